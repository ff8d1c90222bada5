package watchdog

import (
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// TestAStallStaysItsRequestsWhenOthersEnd ends requests so that those that are left change places.
func TestAStallStaysItsRequestsWhenOthersEnd(t *testing.T) {
	r, reports := &inflight.Registry{}, map[string]int{}
	var requests []*inflight.Request
	for _, id := range []string{"a", "b", "c", "d"} {
		q := r.Begin(inflight.Info{TraceID: id, Stream: true, Engine: address, Start: at(-time.Minute), OnStall: func(s inflight.Stall) {
			if s.Repeat == 0 {
				reports[id]++
			}
		}})
		q.Enter(inflight.PhaseDecode, at(-time.Minute))
		requests = append(requests, q)
	}
	w := &Watchdog{Registry: r, Engines: func() []engine.Status { return engines(wedged()) }}
	w.reset()
	w.check(now)
	requests[0].End("caller_left", nil, now)
	w.check(at(time.Second))
	requests[2].End("caller_left", nil, now)
	requests[3].Progress(at(time.Second), 1)
	w.check(at(2 * time.Second))
	for _, id := range []string{"a", "b", "c", "d"} {
		if reports[id] != 1 {
			t.Errorf("%s: got %d first reports, want 1", id, reports[id])
		}
	}
	if got := outline(w.Findings()); got != "engine_wedged"+on1+"[b]" {
		t.Errorf("got %s, want b alone held up", got)
	}
	w.check(at(40 * time.Second))
	if reports["d"] != 2 {
		t.Errorf("d stalled again: got %d first reports, want 2", reports["d"])
	}
}

// TestAChangeOfPhaseIsSeenAtTheNextLook: what is kept of a request is read again when it has changed.
func TestAChangeOfPhaseIsSeenAtTheNextLook(t *testing.T) {
	r := &inflight.Registry{}
	stalled := r.Begin(inflight.Info{TraceID: "a", Stream: true, Start: at(-time.Hour)})
	stalled.Enter(inflight.PhaseDecode, at(-time.Hour))
	q := r.Begin(inflight.Info{TraceID: "b", Start: at(-time.Minute)})
	q.Enter(inflight.PhaseConnect, at(-time.Minute))
	w := &Watchdog{Registry: r}
	w.reset()
	w.check(now)
	q.Describe("chat", "m", true)
	q.SentTo(address)
	q.Enter(inflight.PhaseQueueOrPrefill, at(-time.Minute)) // not later: its silence lasts
	w.check(at(time.Second))
	for i := range w.waiters {
		if got := &w.waiters[i]; got.request == q && (got.phase != inflight.PhaseQueueOrPrefill || !got.stream || got.address != address) {
			t.Errorf("got %s, stream %t at %q; want what was described", got.phase, got.stream, got.address)
		}
	}
	if s := q.Status(now).Stall; s == nil || s.Phase != string(inflight.PhaseQueueOrPrefill) {
		t.Errorf("got %+v, want a stall in queue_or_prefill", s)
	}
}

func TestALookAtStallsAllocatesLittle(t *testing.T) {
	r := &inflight.Registry{}
	for range 10_000 {
		r.Begin(inflight.Info{Stream: true, Engine: address, Start: at(-time.Minute)}).Enter(inflight.PhaseDecode, at(-time.Minute))
	}
	list := engines(wedged())
	w := &Watchdog{Registry: r, Engines: func() []engine.Status { return list }}
	w.reset()
	w.check(now)
	if n := testing.AllocsPerRun(20, func() { w.check(now) }); n > 200 {
		t.Errorf("got %v allocations for a look at 10,000 stalls, want at most 200", n)
	}
}
