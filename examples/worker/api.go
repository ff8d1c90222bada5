package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"github.com/otelvllm/otelvllm-go/otelvllm/health"
)

// maxBody bounds the body of a job, in bytes.
const maxBody = 4 << 20

// How long calls wait at most before they answer with what there is.
const (
	bodyWait   = 30 * time.Second // for the body of a job
	streamWait = 10 * time.Second // /stream, for the next part
)

// api answers in the form of RunPod's serverless API.
type api struct {
	queue       *queue
	health      *health.Source
	propagator  propagation.TextMapPropagator
	logger      *slog.Logger
	concurrency map[string]*string // what the health document tells of the environment
	syncWait    time.Duration      // /runsync, for the end of the job
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /run", a.run)
	mux.HandleFunc("POST /runsync", a.runSync)
	mux.HandleFunc("POST /cancel/{id}", a.withJob(a.cancel))
	mux.HandleFunc("GET /status/{id}", a.withJob(func(w http.ResponseWriter, _ *http.Request, j *job) { a.answer(w, j) }))
	mux.HandleFunc("GET /stream/{id}", a.withJob(a.stream))
	mux.HandleFunc("GET /health", a.serveHealth)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, fmt.Errorf("there is no %.16s %.64s; there are POST /run, /runsync and /cancel/{id}, GET /status/{id}, /stream/{id} and /health", r.Method, r.URL.Path))
	})
	return mux
}

// run takes a job and answers at once.
func (a *api) run(w http.ResponseWriter, r *http.Request) {
	switch j := a.submit(w, r, false); {
	case j == nil:
	case j.quick:
		a.answer(w, j)
	default: // it may run by now, but callers expect this word
		write(w, http.StatusOK, view{ID: j.id, Status: inQueue})
	}
}

// runSync takes a job and answers with its output, or after a while with its id. If the caller
// leaves, nobody knows the id, and the job is cancelled.
func (a *api) runSync(w http.ResponseWriter, r *http.Request) {
	j := a.submit(w, r, true)
	if j == nil {
		return
	}
	select {
	case <-j.done:
	case <-time.After(a.syncWait):
	case <-r.Context().Done():
		a.queue.stop(j)
	}
	a.answer(w, j)
}

// submit reads a job and puts it into the queue; if that fails it answers and returns nil.
func (a *api) submit(w http.ResponseWriter, r *http.Request, sync bool) *job {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyWait)) // a caller who never sends it holds no connection
	t, err := parse(http.MaxBytesReader(w, r.Body, maxBody))
	_ = rc.SetReadDeadline(time.Time{})
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			status, err = http.StatusRequestEntityTooLarge, fmt.Errorf("the job is larger than %d bytes", tooLarge.Limit)
		}
		refuse(w, status, err)
		return nil
	}
	t.sync, t.carrier = sync, propagation.MapCarrier{}
	a.propagator.Inject(r.Context(), t.carrier)
	if t.input.Action == actionHealth {
		return a.queue.answered(t, a.healthOutput(r.Context()))
	}
	j, err := a.queue.submit(t)
	switch {
	case errors.Is(err, errFull):
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusTooManyRequests, err)
		return nil
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, err)
		return nil
	}
	a.logger.InfoContext(r.Context(), "queued", ids(r.Context(), j.id)...)
	return j
}

func (a *api) cancel(w http.ResponseWriter, _ *http.Request, j *job) {
	a.queue.stop(j)
	a.answer(w, j)
}

// stream answers with the parts of the output since the last call, as soon as there are any: call
// again until the status is a final one and there are none.
func (a *api) stream(w http.ResponseWriter, r *http.Request, j *job) {
	type part struct {
		Output map[string]string `json:"output"`
	}
	parts := []part{}
	for limit := time.After(streamWait); len(parts) == 0; {
		chunks, more := a.queue.take(j)
		for _, c := range chunks {
			parts = append(parts, part{map[string]string{"text": c}})
		}
		if more == nil || len(chunks) > 0 {
			break
		}
		select {
		case <-more:
			continue
		case <-r.Context().Done():
		case <-limit:
		}
		break
	}
	write(w, http.StatusOK, map[string]any{"status": a.queue.view(j).Status, "stream": parts})
}

// serveHealth answers with RunPod's counts of jobs and workers beside the health document.
func (a *api) serveHealth(w http.ResponseWriter, r *http.Request) {
	stats, jobs := a.health.Stats(r.Context()), a.queue.tally()
	write(w, http.StatusOK, map[string]any{
		"jobs":    jobs,
		"workers": map[string]int{"running": jobs["inProgress"], "idle": a.queue.concurrency - jobs["inProgress"]},
		"stats":   stats, "summary": stats.Summary(),
	})
}

// healthOutput is the output of a job whose action is "health".
func (a *api) healthOutput(ctx context.Context) any {
	stats := a.health.Stats(ctx)
	return map[string]any{"action": actionHealth, "stats": stats, "summary": stats.Summary(), "concurrency_env": a.concurrency}
}

// concurrencyEnv reads the variables that decide how much runs at a time; nil is one that is not set.
func concurrencyEnv(getenv func(string) string) map[string]*string {
	env := make(map[string]*string)
	for _, name := range []string{"MAX_NUM_SEQS", "MAX_CONCURRENCY", "GPU_MEMORY_UTILIZATION", "MAX_MODEL_LEN"} {
		env[name] = nil
		if v := getenv(name); v != "" {
			env[name] = &v
		}
	}
	return env
}

// withJob finds the job that a path names.
func (a *api) withJob(h func(http.ResponseWriter, *http.Request, *job)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if j := a.queue.find(r.PathValue("id")); j != nil {
			h(w, r, j)
			return
		}
		refuse(w, http.StatusNotFound, fmt.Errorf("there is no job %.64q; the last %d that have ended are kept", r.PathValue("id"), a.queue.history))
	}
}

func (a *api) answer(w http.ResponseWriter, j *job) { write(w, http.StatusOK, a.queue.view(j)) }

func refuse(w http.ResponseWriter, status int, err error) {
	write(w, status, map[string]any{"error": err.Error(), "status": failed})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // its error is that the caller has left
}
