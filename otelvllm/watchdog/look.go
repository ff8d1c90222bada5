package watchdog

import (
	"slices"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// look is a view with what follows from it, for the tests of the rules.
type look struct {
	view     *View
	after    time.Duration
	engines  []*reading
	byAddr   map[string]*reading
	requests []waiter
	due      []int // indexes of the requests that are silent for longer than the threshold
	running  int
}

func newLook(v *View) *look {
	x := &look{view: v, after: v.stallAfter(), requests: v.waiters()}
	if v.scratch != nil {
		x.due = v.scratch.due[:0]
	}
	x.due = slices.Grow(x.due, len(x.requests))
	if len(v.Engines) > 0 {
		x.byAddr = make(map[string]*reading, len(v.Engines))
	}
	for i := range v.Engines {
		e := read(&v.Engines[i])
		e.found = make([]*condition, len(rules))
		e.local = len(v.Engines) == 1 || onThisHost(e.Address)
		e.progressed = v.Now.Sub(e.LastProgress)
		e.view = v
		x.engines = append(x.engines, e)
		x.byAddr[e.Address] = e
	}
	for i := range x.requests {
		x.take(i)
	}
	for _, i := range x.due {
		if r := &x.requests[i]; r.engine != nil {
			x.judge(r.engine, r)
		}
	}
	return x
}

// take gives a request to its engine.
func (x *look) take(i int) {
	r := &x.requests[i]
	r.engine = nil
	if r.ended {
		return
	}
	x.running++
	silent := r.quiet >= x.after
	if silent {
		x.due = append(x.due, i)
	}
	e := x.engineOf(r)
	if e == nil {
		return
	}
	r.engine = e
	if r.withScheduler() {
		e.own++
	}
	if silent {
		e.due++
		e.longest = max(e.longest, r.quiet)
	}
}

// engineOf returns the engine that serves a request; nil if that cannot be told. With one engine
// there is no choice, whatever name the request was sent to.
func (x *look) engineOf(r *waiter) *reading {
	if len(x.engines) == 1 {
		return x.engines[0]
	}
	return x.byAddr[r.address]
}

// since returns since when a request waits for one thing.
func (x *look) since(r *waiter) time.Time { return x.view.Now.Add(-r.quiet) }

// judge asks whether the engine stands still beside a request that waits for it. A request that
// is not with the scheduler says nothing about it: an engine without work stands still too.
func (x *look) judge(e *reading, r *waiter) {
	if !r.withScheduler() || r.blocked {
		return
	}
	e.decodes = e.decodes || r.phase == inflight.PhaseDecode
	if !e.frozen {
		moved, known := e.moved(r.quiet)
		e.frozen = known && !moved
	}
	// It may have stopped later, and says itself that it has work. Without work an engine that has
	// lost this request stands still too.
	if !e.frozen && (positive(e.running) || positive(e.waiting)) {
		if moved, known := e.moved(min(r.quiet, x.after)); known && !moved {
			e.frozen = true
		}
	}
	if len(e.FrozenRanks) > 0 && !e.partly && !e.FrozenSince.After(x.since(r).Add(e.delay())) {
		e.partly = true
	}
}

// waits returns since when our requests wait that have no token yet, if the engine says that some do:
// sorted, as lengths of time.
func (x *look) waits(e *reading) []time.Duration {
	if e.waits == nil {
		e.waits = make([]time.Duration, 0, e.own)
		some := positive(e.waiting) || positive(e.deferred)
		for i := range x.requests {
			if r := &x.requests[i]; some && r.engine == e && r.phase == inflight.PhaseQueueOrPrefill {
				e.waits = append(e.waits, x.view.Now.Sub(r.since))
			}
		}
		slices.Sort(e.waits)
	}
	return e.waits
}
