package watchdog

import (
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// BenchmarkTickOver10000Requests is one look at 10,000 running requests and an engine.
func BenchmarkTickOver10000Requests(b *testing.B) {
	for _, bb := range []struct {
		name   string
		stream bool
		silent time.Duration
		engine engine.Status
	}{
		{"healthy streams", true, 0, busy()},
		{"answers that are silent by nature", false, time.Minute, busy()},
		{"all stalled by a wedge", true, time.Minute, wedged()},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := &inflight.Registry{}
			for range 10_000 {
				r.Begin(inflight.Info{
					TraceID: "0af7651916cd43dd8448eb211c80319c", Operation: "chat", Stream: bb.stream, Engine: address, Start: at(-bb.silent),
				}).Enter(inflight.PhaseQueueOrPrefill, at(-bb.silent))
			}
			w := &Watchdog{Registry: r, Engines: func() []engine.Status { return []engine.Status{bb.engine} }}
			w.reset()
			w.check(now)
			b.ReportAllocs()
			for b.Loop() {
				w.check(now)
			}
			if got, want := len(w.stalls) > 0, bb.stream && bb.silent > 0; got != want {
				b.Errorf("got stalls %t, want %t", got, want)
			}
		})
	}
}

func TestHealthyLookAllocatesLittle(t *testing.T) {
	r := &inflight.Registry{}
	for range 10_000 {
		r.Begin(inflight.Info{Stream: true, Start: at(0)}).Enter(inflight.PhaseDecode, at(0))
	}
	list := []engine.Status{busy()}
	w := &Watchdog{Registry: r, Engines: func() []engine.Status { return list }}
	w.reset()
	w.check(now)
	if n := testing.AllocsPerRun(20, func() { w.check(now) }); n > 20 {
		t.Errorf("got %v allocations a look, want at most 20", n)
	}
}
