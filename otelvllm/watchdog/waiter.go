package watchdog

import (
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// waiter is what the rules look at of one running request. The watchdog keeps one for each from look
// to look, so that a look at thousands of them costs little.
type waiter struct {
	quiet   time.Duration // for how long it waits for one thing
	blocked bool          // the write to its caller is
	stream  bool
	ended   bool
	phase   inflight.Phase
	since   time.Time // of the phase
	address string    // of its engine, as it was sent to
	engine  *reading  // in this look; nil if it is not known

	// Of a request in a registry.
	request *inflight.Request
	version uint32
	known   bool   // it was described, at its version
	stall   *stall // nil, or one that may be over
}

// describe takes over what only changes with the request's version.
func (r *waiter) describe(s *inflight.Status) {
	r.stream, r.phase, r.since, r.address = s.Stream, s.Phase, s.PhaseSince, s.Engine
}

// waiters are the requests of a view.
func (v *View) waiters() []waiter {
	if v.watched != nil {
		return v.watched
	}
	list := make([]waiter, len(v.Requests))
	for i := range v.Requests {
		s, r := &v.Requests[i], &list[i]
		r.describe(s)
		r.ended, r.blocked, r.quiet = s.Ended, !s.BlockedSince.IsZero(), max(0, v.Now.Sub(quietSince(s)))
		if s.Phase == inflight.PhaseIdle {
			r.quiet = 0
		}
	}
	return list
}

// status returns all that is known of a request, for the texts about it.
func (v *View) status(i int) *inflight.Status {
	if v.watched == nil {
		return &v.Requests[i]
	}
	s := v.watched[i].request.Status(v.Now)
	return &s
}

// silentByNature tells that the request's answer is not streamed and has not begun: nothing comes
// until all of it does.
func (r *waiter) silentByNature() bool {
	return !r.stream && (r.phase == inflight.PhaseQueueOrPrefill || r.phase == inflight.PhaseConnect)
}

// withScheduler tells that a request waits for what the engine's scheduler does.
func (r *waiter) withScheduler() bool {
	return r.phase == inflight.PhaseQueueOrPrefill || r.phase == inflight.PhaseDecode
}

// follow brings the waiters in line with the requests that run, and tells whether one is silent for
// longer than the threshold, and when the next one can be. It takes the lock only of requests that
// have changed.
func (w *Watchdog) follow(now, next time.Time) (time.Time, bool) {
	before := len(w.handles)
	w.handles = w.Registry.AppendRequests(w.handles[:0])
	forget(w.handles, before)
	if n := len(w.handles); n < len(w.waiters) {
		clear(w.waiters[n:])
		w.waiters = w.waiters[:n]
	} else {
		w.waiters = append(w.waiters, make([]waiter, n-len(w.waiters))...)
	}
	silent, limit := false, w.threshold()
	soonest := next.Sub(now)
	for i, q := range w.handles {
		p, running := q.Pulse(now)
		r := &w.waiters[i]
		r.ended, r.quiet, r.blocked = !running, p.Quiet, p.Blocked
		switch {
		case !running:
		case p.Quiet < limit:
			soonest = min(soonest, limit-p.Quiet)
		default:
			silent = true
			// An answer that is not streamed is looked at again where nature's patience ends.
			if p.Quiet < unstreamedFactor*limit {
				soonest = min(soonest, unstreamedFactor*limit-p.Quiet)
			}
		}
		if r.request != q {
			r.request, r.known, r.stall = q, false, w.stalls[q]
		}
		r.known = r.known && r.version == p.Version
		r.version = p.Version
	}
	if silent {
		w.describe(now)
	}
	return now.Add(soonest), silent
}

// describe reads what has changed of the requests.
func (w *Watchdog) describe(now time.Time) {
	for i := range w.waiters {
		r := &w.waiters[i]
		if !r.known {
			s := r.request.Status(now)
			r.describe(&s)
			r.known = true
		}
		if r.phase == inflight.PhaseIdle {
			r.quiet = 0
		}
	}
}
