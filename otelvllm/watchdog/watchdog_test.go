package watchdog

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// watch runs a watchdog with a threshold of 30 s in a bubble and calls f.
func watch(t *testing.T, f func(t *testing.T, r *inflight.Registry, w *Watchdog)) {
	synctest.Test(t, func(t *testing.T) {
		r := &inflight.Registry{}
		w := &Watchdog{Registry: r, StallAfter: 30 * time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		f(t, r, w)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v, want nil", err)
		}
	})
}

// recorder keeps the reports of stalls.
type recorder struct {
	mu   sync.Mutex
	list []inflight.Stall
}

func (r *recorder) add(s inflight.Stall) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, s)
}

func (r *recorder) all() []inflight.Stall {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// begin starts a request whose stalls are kept in reports.
func begin(r *inflight.Registry, phase inflight.Phase, stream bool, reports *recorder) *inflight.Request {
	q := r.Begin(inflight.Info{TraceID: "t", Operation: "chat", Stream: stream, OnStall: reports.add})
	q.Enter(phase, time.Now())
	return q
}

func TestStallIsRaisedAtTheThresholdInEveryPhase(t *testing.T) {
	for _, tt := range []struct {
		name   string
		phase  inflight.Phase
		stream bool
		after  time.Duration
	}{
		{"waiting for the engine", inflight.PhaseEngineInit, false, 30 * time.Second},
		{"sending a stream", inflight.PhaseConnect, true, 30 * time.Second},
		{"a stream before its first token", inflight.PhaseQueueOrPrefill, true, 30 * time.Second},
		{"a stream between tokens", inflight.PhaseDecode, true, 30 * time.Second},
		{"the rest of an answer", inflight.PhaseBody, false, 30 * time.Second},
		{"an answer that is not streamed is silent for longer by nature", inflight.PhaseQueueOrPrefill, false, 300 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			watch(t, func(t *testing.T, r *inflight.Registry, w *Watchdog) {
				time.Sleep(7 * time.Second) // not in step with the timer
				var reports recorder
				q := begin(r, tt.phase, tt.stream, &reports)
				time.Sleep(tt.after - time.Millisecond)
				synctest.Wait()
				if len(reports.all()) != 0 || len(w.Findings()) != 0 {
					t.Fatalf("got %d reports before the threshold, want none", len(reports.all()))
				}
				time.Sleep(2 * time.Millisecond)
				synctest.Wait()
				if len(reports.all()) != 1 || reports.all()[0].Phase != string(tt.phase) || reports.all()[0].Cause != string(NoProgress) || reports.all()[0].Silence < tt.after {
					t.Fatalf("got reports %+v, want one of phase %s after %s", reports.all(), tt.phase, tt.after)
				}
				q.End("caller_left", nil, time.Now())
			})
		})
	}
}

func TestStallClearsOnceOnResumeAndCanComeAgain(t *testing.T) {
	watch(t, func(t *testing.T, r *inflight.Registry, w *Watchdog) {
		var reports recorder
		q := begin(r, inflight.PhaseDecode, true, &reports)
		for round := 1; round <= 2; round++ {
			time.Sleep(31 * time.Second)
			synctest.Wait()
			if f := w.Findings(); len(f) != 1 || len(f[0].Requests) != 1 {
				t.Fatalf("round %d: got findings %+v, want one with one request", round, f)
			}
			q.Progress(time.Now(), 1)
			time.Sleep(29 * time.Second)
			q.Progress(time.Now(), 1)
			time.Sleep(29 * time.Second)
			q.Progress(time.Now(), 1)
			synctest.Wait()
			if f := w.Findings(); len(f) != 0 {
				t.Fatalf("round %d: got findings %+v after progress, want none", round, f)
			}
			if len(w.state.Load().Cleared) != round {
				t.Fatalf("round %d: got %d cleared findings, want %d", round, len(w.state.Load().Cleared), round)
			}
		}
		if len(reports.all()) != 2 {
			t.Errorf("got %d reports, want 2", len(reports.all()))
		}
		q.End("completed", nil, time.Now())
	})
}

func TestChangesAreToldOnceForAllRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &inflight.Registry{}
		var told []string
		w := &Watchdog{Registry: r, StallAfter: 30 * time.Second}
		w.OnChange = func(raised, cleared []Finding) {
			for _, f := range raised {
				told = append(told, "raised "+string(f.Code))
			}
			for _, f := range cleared {
				told = append(told, "cleared "+string(f.Code))
			}
			if shown := len(w.Findings()); shown != len(raised) {
				t.Errorf("got %d findings to read when %d are raised", shown, len(raised))
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		var reports recorder
		one := begin(r, inflight.PhaseDecode, true, &reports)
		time.Sleep(time.Second)
		two := begin(r, inflight.PhaseDecode, true, &reports)
		time.Sleep(60 * time.Second)
		one.End("completed", nil, time.Now())
		time.Sleep(5 * time.Second)
		two.End("completed", nil, time.Now())
		time.Sleep(5 * time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v, want nil", err)
		}
		if want := []string{"raised no_progress", "cleared no_progress"}; !slices.Equal(told, want) {
			t.Errorf("got %q, want %q", told, want)
		}
	})
}

func TestLastingStallIsRepeatedWithGrowingPauses(t *testing.T) {
	watch(t, func(t *testing.T, r *inflight.Registry, w *Watchdog) {
		var reports recorder
		q := begin(r, inflight.PhaseDecode, true, &reports)
		time.Sleep(30*time.Second + 30*time.Second + 60*time.Second + 120*time.Second + time.Second)
		synctest.Wait()
		var at []time.Duration
		for i, s := range reports.all() {
			if s.Repeat != i {
				t.Errorf("report %d: got repeat %d", i, s.Repeat)
			}
			at = append(at, s.Silence)
		}
		want := []time.Duration{30 * time.Second, 60 * time.Second, 120 * time.Second, 240 * time.Second}
		if len(at) != len(want) {
			t.Fatalf("got reports after %v, want after %v", at, want)
		}
		for i := range want {
			if at[i] < want[i] || at[i] > want[i]+100*time.Millisecond {
				t.Errorf("report %d: got it after %s, want after %s", i, at[i], want[i])
			}
		}
		q.End("completed", nil, time.Now())
	})
}

func TestKeepAliveIsEvidenceAndNotProgress(t *testing.T) {
	watch(t, func(t *testing.T, r *inflight.Registry, _ *Watchdog) {
		var reports recorder
		q := begin(r, inflight.PhaseDecode, true, &reports)
		for range 31 {
			time.Sleep(time.Second)
			q.KeepAlive(time.Now())
		}
		synctest.Wait()
		if len(reports.all()) != 1 || reports.all()[0].Evidence["keep_alive_age_seconds"] == nil {
			t.Errorf("got reports %+v, want one with the age of the keep-alive", reports.all())
		}
		q.End("completed", nil, time.Now())
	})
}

func TestTenThousandHealthyStreamsRaiseNothing(t *testing.T) {
	watch(t, func(t *testing.T, r *inflight.Registry, w *Watchdog) {
		var reports recorder
		requests := make([]*inflight.Request, 10_000)
		for i := range requests {
			requests[i] = begin(r, inflight.PhaseQueueOrPrefill, true, &reports)
		}
		for round := range 12 {
			time.Sleep(29 * time.Second)
			for i, q := range requests {
				if (i+round)%2 == 0 {
					q.KeepAlive(time.Now())
				}
				q.Progress(time.Now(), 1)
			}
		}
		synctest.Wait()
		if len(reports.all()) != 0 || len(w.Findings()) != 0 {
			t.Errorf("got %d reports of healthy streams, want 0", len(reports.all()))
		}
		for _, q := range requests {
			q.End("completed", nil, time.Now())
		}
	})
}

func TestFindingsAnswerAsJSON(t *testing.T) {
	watch(t, func(t *testing.T, r *inflight.Registry, w *Watchdog) {
		get := func(method string) *httptest.ResponseRecorder {
			rec := httptest.NewRecorder()
			w.ServeHTTP(rec, httptest.NewRequest(method, "/findings", nil))
			return rec
		}
		if got := strings.TrimSpace(get(http.MethodGet).Body.String()); got != `{"findings":[],"cleared":[]}` {
			t.Errorf("got %s, want empty lists", got)
		}
		var reports recorder
		q := begin(r, inflight.PhaseDecode, true, &reports)
		time.Sleep(31 * time.Second)
		synctest.Wait()
		var answer struct{ Findings, Cleared []map[string]any }
		if err := json.Unmarshal(get(http.MethodGet).Body.Bytes(), &answer); err != nil || len(answer.Findings) != 1 {
			t.Fatalf("got %v, %v; want one finding", answer, err)
		}
		for _, key := range []string{"code", "since", "summary", "remedy", "evidence", "engine", "requests"} {
			if _, ok := answer.Findings[0][key]; !ok {
				t.Errorf("the finding lacks %q", key)
			}
		}
		q.End("completed", nil, time.Now())
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if err := json.Unmarshal(get(http.MethodGet).Body.Bytes(), &answer); err != nil || len(answer.Findings) != 0 || len(answer.Cleared) != 1 {
			t.Errorf("got %v, %v; want one cleared finding", answer, err)
		}
		if rec := get(http.MethodPost); rec.Code != http.StatusMethodNotAllowed || rec.Header().Get("Allow") == "" {
			t.Errorf("POST: got %d, want 405 with Allow", rec.Code)
		}
	})
}

func TestZeroWatchdogHasNothingToSay(t *testing.T) {
	var w Watchdog
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); err != nil || len(w.Findings()) != 0 {
		t.Errorf("got %v, %v; want nothing", err, w.Findings())
	}
}
