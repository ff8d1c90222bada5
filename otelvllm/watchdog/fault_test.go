package watchdog

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// TestFault_B28_StalledStream lets a stream fall silent with keep-alives between, and go on in each
// of the ways it can.
func TestFault_B28_StalledStream(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(q *inflight.Request)
	}{
		{"it resumes", func(q *inflight.Request) { q.Progress(time.Now(), 1) }},
		{"it ends", func(q *inflight.Request) { q.End("completed", nil, time.Now()) }},
		{"its caller leaves", func(q *inflight.Request) { q.End("caller_left", nil, time.Now()) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			watch(t, func(t *testing.T, r *inflight.Registry, w *Watchdog) {
				var reports recorder
				q := begin(r, inflight.PhaseDecode, true, &reports)
				for range 40 {
					time.Sleep(time.Second)
					q.KeepAlive(time.Now())
				}
				synctest.Wait()
				if len(w.Findings()) != 1 || q.Status(time.Now()).Stall == nil {
					t.Errorf("while it lasts: got findings %q, want one", outline(w.Findings()))
				}
				tt.then(q)
				time.Sleep(1500 * time.Millisecond)
				synctest.Wait()
				if first := causes(reports.all()); len(first) != 1 {
					t.Errorf("got %d stalls, want one", len(first))
				}
				if len(w.Findings()) != 0 || len(w.Cleared()) != 1 {
					t.Errorf("afterwards: got findings %q, cleared %q; want none, and one", outline(w.Findings()), outline(w.Cleared()))
				}
				q.End("completed", nil, time.Now())
			})
		})
	}
}
