package gpumetrics

import "go.opentelemetry.io/otel/trace"

// turns are the times in which a request ran that was paused between them.
type turns struct {
	energy, gpuTime float64 // of those that have been settled
	waiting         int     // those that have not
	lost            bool    // the share of one cannot be told
	why             int     // the reason, of the first
	ended           bool
	outcome         Outcome
	span            trace.SpanContext
}

// Pause notes that a request does not use the GPUs for now. Begin lets it go on, End ends it as it is. A Use that does
// not run is left alone.
func (l *Ledger) Pause(u *Use) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !u.running {
		return
	}
	l.stop(u)
	if u.turns == nil {
		u.turns = &turns{}
	}
	l.turn(u)
}

// turn keeps the time in which a request has just run. It is joined to the last one where both were within the time
// between two readings: there the power counts as constant. So what waits grows with the readings and not with the
// turns.
func (l *Ledger) turn(u *Use) {
	now := l.base + len(l.segments) - 1
	if !u.settled && u.segment == now {
		for i := len(l.pending) - 1; i >= 0 && l.pending[i].segment == now; i-- {
			if p := &l.pending[i]; p.use.turns == u.turns {
				p.virtual += l.virtual - u.virtual
				p.gpuTime += l.gpuTime - u.gpuTime
				return
			}
		}
	}
	u.turns.waiting++
	l.wait(settlement{use: *u})
}

// endTurns ends a request that was paused. Its Use can be used again.
func (l *Ledger) endTurns(u *Use, o Outcome, span trace.SpanContext) {
	t := u.turns
	u.turns = nil
	t.ended, t.outcome, t.span = true, o, span
	l.finish(t)
}

// tell takes in a share that is known.
func (l *Ledger) tell(s *settlement) {
	t := s.use.turns
	if t == nil {
		l.ready = append(l.ready, *s)
		return
	}
	t.waiting--
	t.energy += s.use.energy
	t.gpuTime += max(0, s.gpuTime-s.use.gpuTime)
	l.finish(t)
}

// miss takes in that a share cannot be told. A request counts once, however many of its times that is so of.
func (l *Ledger) miss(s *settlement, why int) {
	t := s.use.turns
	if t == nil {
		l.dropped[why].Add(1)
		return
	}
	t.waiting--
	if !t.lost {
		t.lost, t.why = true, why
	}
	l.finish(t)
}

// finish makes the record of a request that was paused ready once it has ended and all its times are settled.
func (l *Ledger) finish(t *turns) {
	switch {
	case !t.ended || t.waiting > 0:
	case t.lost:
		l.dropped[t.why].Add(1)
	case len(l.ready) == maxPending:
		l.dropped[tooMany].Add(1)
	default:
		l.ready = append(l.ready, settlement{use: Use{energy: t.energy}, gpuTime: t.gpuTime, outcome: t.outcome, span: t.span})
	}
}
