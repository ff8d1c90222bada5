package watchdog

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// TestGPUsThatWereNotReadAgainAreNoCause lets an engine stop whose GPUs are read every 10 s, each at a time of its own.
func TestGPUsThatWereNotReadAgainAreNoCause(t *testing.T) {
	for _, tt := range []struct {
		name string
		// after is what the second GPU shows once the engine has stopped; the first is idle then.
		after GPU
		want  []string
	}{
		{"GPUs that become idle one after another", gpu("1", 0, 0.1), []string{"engine_wedged"}},
		{"a rank that stays in the collective", gpu("1", 1, 0.2), []string{"engine_wedged", "collective_skew"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, e := &inflight.Registry{}, &fakeEngine{}
				e.become(engine.Up, "", false, false)
				var stopped atomic.Pointer[time.Time]
				read := func(g, after GPU, offset time.Duration) GPU {
					at := time.Now().Add(-offset).Truncate(10 * time.Second).Add(offset)
					if s := stopped.Load(); s != nil && at.After(*s) {
						g = after
					}
					g.Read = at
					return g
				}
				w := &Watchdog{Registry: r, StallAfter: 5 * time.Second, Engines: e.status}
				w.GPUs = func() []GPU {
					return []GPU{read(gpu("0", 0.95, 0.7), gpu("0", 0, 0.1), time.Second), read(gpu("1", 0.95, 0.7), tt.after, 9*time.Second)}
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- w.Run(ctx) }()
				time.Sleep(20 * time.Second)
				var reports recorder
				begin(r, inflight.PhaseDecode, true, &reports)
				now := time.Now()
				stopped.Store(&now)
				e.become(engine.Wedged, "", true, false)
				time.Sleep(time.Minute)
				cancel()
				if err := <-done; err != nil {
					t.Errorf("Run returned %v, want nil", err)
				}
				var got []string
				for _, s := range reports.all() {
					if !slices.Contains(got, s.Cause) {
						got = append(got, s.Cause)
					}
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("got the causes %q, want %q", got, tt.want)
				}
			})
		})
	}
}
