package watchdog

import (
	"slices"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// look is a view with what follows from it, for the tests of the rules.
type look struct {
	view    *View
	after   time.Duration
	engines []*reading
	byAddr  map[string]*reading
	due     []int // indexes of the requests that are silent for longer than the threshold
	running int
}

func newLook(v *View) *look {
	x := &look{view: v, after: v.stallAfter(), due: make([]int, 0, len(v.Requests))}
	if len(v.Engines) > 0 {
		x.byAddr = make(map[string]*reading, len(v.Engines))
	}
	for i := range v.Engines {
		e := read(&v.Engines[i])
		e.found = make([]*condition, len(rules))
		e.local = len(v.Engines) == 1 || onThisHost(e.Address)
		x.engines = append(x.engines, e)
		x.byAddr[e.Address] = e
	}
	for i := range v.Requests {
		x.take(i)
	}
	for _, e := range x.engines {
		slices.SortFunc(e.waits, time.Time.Compare)
		for _, i := range e.due {
			x.judge(e, &v.Requests[i])
		}
	}
	return x
}

// take gives a request to its engine.
func (x *look) take(i int) {
	s := &x.view.Requests[i]
	if s.Ended {
		return
	}
	x.running++
	silent := x.quiet(s) >= x.after
	if silent {
		x.due = append(x.due, i)
	}
	e := x.engineOf(s)
	if e == nil {
		return
	}
	if withScheduler(s) {
		e.own++
	}
	if s.Phase == inflight.PhaseQueueOrPrefill && (positive(e.waiting) || positive(e.deferred)) {
		e.waits = append(e.waits, s.PhaseSince)
	}
	if silent {
		e.due = append(e.due, i)
	}
}

// engineOf returns the engine that serves a request; nil if that cannot be told. With one engine
// there is no choice, whatever name the request was sent to.
func (x *look) engineOf(s *inflight.Status) *reading {
	if len(x.engines) == 1 {
		return x.engines[0]
	}
	return x.byAddr[s.Engine]
}

// judge asks whether the engine stands still beside a request that waits for it. A request that
// is not with the scheduler says nothing about it: an engine without work stands still too.
func (x *look) judge(e *reading, s *inflight.Status) {
	if !withScheduler(s) || !s.BlockedSince.IsZero() {
		return
	}
	since := quietSince(s)
	e.decodes = e.decodes || s.Phase == inflight.PhaseDecode
	if moved, known := e.moved(since); known && !moved {
		e.frozen = true
	}
	// It may have stopped later, and says itself that it has work. Without work an engine that has
	// lost this request stands still too.
	if positive(e.running) || positive(e.waiting) {
		if moved, known := e.moved(latest(since, x.view.Now.Add(-x.after))); known && !moved {
			e.frozen = true
		}
	}
	if len(e.FrozenRanks) > 0 && !e.FrozenSince.After(since.Add(e.delay())) {
		e.partly = true
	}
}

// withScheduler tells that a request waits for what the engine's scheduler does.
func withScheduler(s *inflight.Status) bool {
	return s.Phase == inflight.PhaseQueueOrPrefill || s.Phase == inflight.PhaseDecode
}
