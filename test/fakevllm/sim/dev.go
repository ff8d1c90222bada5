package sim

import (
	"encoding/json"
	"net/http"
)

// devTable are the endpoints that VLLM_SERVER_DEV_MODE opens.
func (e *Engine) devTable() []route {
	return []route{
		{"POST", "/pause", e.servePause, true, false},
		{"POST", "/resume", e.serveResume, true, false},
		{"GET", "/is_paused", e.serveIsPaused, true, false},
		{"POST", "/sleep", e.serveSleep, true, false},
		{"POST", "/wake_up", e.serveWakeUp, true, false},
		{"GET", "/is_sleeping", e.serveIsSleeping, true, false},
		{"POST", "/abort_requests", e.serveAbortRequests, true, false},
	}
}

type devStatus struct {
	Status string `json:"status"`
}

func (e *Engine) locked(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

func (e *Engine) servePause(w http.ResponseWriter, _ *http.Request) {
	e.locked(func() { e.strike(&Injection{Kind: Pause}) })
	writeJSON(w, http.StatusOK, devStatus{"paused"})
}

func (e *Engine) serveResume(w http.ResponseWriter, _ *http.Request) {
	e.locked(func() { e.lift(&Injection{Kind: Pause}) })
	writeJSON(w, http.StatusOK, devStatus{"resumed"})
}

func (e *Engine) serveIsPaused(w http.ResponseWriter, _ *http.Request) {
	var paused bool
	e.locked(func() { paused = e.cores[0].paused })
	writeJSON(w, http.StatusOK, struct {
		Paused bool `json:"is_paused"`
	}{paused})
}

func (e *Engine) serveSleep(w http.ResponseWriter, _ *http.Request) {
	e.locked(func() { e.strike(&Injection{Kind: Sleep}); e.front.sleeps("sleep") })
	writeJSON(w, http.StatusOK, struct {
		devStatus
		Level int `json:"level"`
	}{devStatus{"sleeping"}, 1})
}

func (e *Engine) serveWakeUp(w http.ResponseWriter, _ *http.Request) {
	e.locked(func() { e.lift(&Injection{Kind: Sleep}); e.front.sleeps("wake_up") })
	writeJSON(w, http.StatusOK, struct {
		devStatus
		Tags json.RawMessage `json:"tags"`
	}{devStatus{"awake"}, nil})
}

// serveIsSleeping has to ask the engine, so it hangs while the engine is wedged.
func (e *Engine) serveIsSleeping(w http.ResponseWriter, r *http.Request) {
	var sleeping bool
	if !e.await(r.Context(), func() bool { sleeping = e.cores[0].sleeping; return !e.cores[0].wedged }) {
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Sleeping bool `json:"is_sleeping"`
	}{sleeping})
}

func (e *Engine) serveAbortRequests(w http.ResponseWriter, r *http.Request) {
	var body struct {
		IDs []string `json:"request_ids"`
	}
	if err := decode(r, &body); err != nil {
		writeError(w, err)
		return
	}
	n := 0
	e.locked(func() {
		for _, c := range e.cores {
			if len(body.IDs) == 0 {
				n += c.abortAll()
			} else {
				n += c.abortIDs(body.IDs)
			}
			c.begin()
		}
	})
	writeJSON(w, http.StatusOK, struct {
		devStatus
		Aborted int `json:"aborted"`
	}{devStatus{"aborted"}, n})
}
