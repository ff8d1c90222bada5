// Package watchdog sees requests that hang, while they hang.
//
// A request is judged by our own clock and its phase: it is stalled when the engine has sent nothing
// for longer than a threshold. Never by the engine's /health, which stays 200 while the engine is
// wedged. A keep-alive comment shows that the connection lives; it is evidence, not progress.
//
// One timer serves all requests. The watchdog raises each stall once, through the request's own
// OnStall hook, repeats it with growing pauses while it lasts, and keeps the findings for a page or
// an endpoint to show.
package watchdog

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// DefaultStallAfter is the silence after which a request counts as stalled.
const DefaultStallAfter = 30 * time.Second

// unstreamedFactor stretches the threshold for an answer that is not streamed, before its headers:
// such a request is silent by nature until it is done.
const unstreamedFactor = 10

// maxRepeatPause bounds the growing pause between two reports of one stall.
const maxRepeatPause = 10 * time.Minute

// Watchdog watches the running requests of a registry. Registry must be set before Run; the zero
// value of every other field is a usable default. Its methods are safe for concurrent use.
type Watchdog struct {
	// Registry holds the requests to watch. Nil means there are none.
	Registry *inflight.Registry
	// StallAfter is the silence after which a request counts as stalled. Zero means 30 s.
	StallAfter time.Duration

	state   atomic.Pointer[report]
	stalls  map[*inflight.Request]*stall // of the goroutine that runs Run
	cleared []Finding
}

// stall is one stall that lasts.
type stall struct {
	report inflight.Stall
	next   time.Time // when it is reported again
	pause  time.Duration
	trace  string
}

// Run watches until ctx ends, then returns nil. It must not run twice at the same time.
func (w *Watchdog) Run(ctx context.Context) error {
	w.stalls = make(map[*inflight.Request]*stall)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		now := time.Now()
		timer.Reset(max(w.check(now).Sub(now), time.Millisecond))
	}
}

func (w *Watchdog) threshold() time.Duration {
	if w.StallAfter > 0 {
		return w.StallAfter
	}
	return DefaultStallAfter
}

// limit is how long a request may be silent in its phase.
func (w *Watchdog) limit(s *inflight.Status) time.Duration {
	if !s.Stream && (s.Phase == inflight.PhaseQueueOrPrefill || s.Phase == inflight.PhaseConnect) {
		return unstreamedFactor * w.threshold()
	}
	return w.threshold()
}

// check judges every running request and returns when to look again. A request that begins later
// cannot be due before that: its own silence begins later too.
func (w *Watchdog) check(now time.Time) time.Time {
	next := now.Add(w.threshold())
	requests := w.Registry.Requests()
	running := make(map[*inflight.Request]bool, len(w.stalls))
	moving := 0
	type due struct {
		request *inflight.Request
		status  inflight.Status
	}
	var silent []due
	for _, q := range requests {
		s := q.Status(now)
		if s.Ended {
			continue
		}
		limit := w.limit(&s)
		if s.Silent < limit {
			moving++
			next = earlier(next, now.Add(limit-s.Silent))
			continue
		}
		running[q] = true
		silent = append(silent, due{q, s})
	}
	changed := w.clear(running, now)
	for _, d := range silent {
		if st := w.stalls[d.request]; st == nil {
			w.raise(d.request, &d.status, now, moving, len(requests))
			changed = true
		} else if !now.Before(st.next) {
			w.repeat(d.request, st, &d.status, now)
			changed = true
		}
		next = earlier(next, w.stalls[d.request].next)
	}
	if changed || w.state.Load() == nil {
		w.publish()
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// raise reports a stall for the first time.
func (w *Watchdog) raise(q *inflight.Request, s *inflight.Status, now time.Time, moving, running int) {
	st := &stall{pause: w.threshold(), trace: s.TraceID}
	st.report = inflight.Stall{
		Cause: string(NoProgress), Phase: string(s.Phase), Summary: summaryNoProgress(s), Remedy: remedyNoProgress,
		Since: s.LastProgress, Silence: s.Silent, Evidence: evidence(s, now, moving, running),
	}
	st.next = now.Add(st.pause)
	w.stalls[q] = st
	q.Stalled(st.report)
}

// repeat reports a stall that lasts, after twice the pause before.
func (w *Watchdog) repeat(q *inflight.Request, st *stall, s *inflight.Status, now time.Time) {
	st.pause = min(2*st.pause, maxRepeatPause)
	st.next = now.Add(st.pause)
	st.report.Silence = s.Silent
	st.report.Summary = summaryNoProgress(s)
	st.report.Repeat++
	q.Stalled(st.report)
}

// clear forgets the stalls of requests that move again or have ended, and tells whether there were
// any.
func (w *Watchdog) clear(silent map[*inflight.Request]bool, now time.Time) bool {
	changed := false
	for q, st := range w.stalls {
		if silent[q] {
			continue
		}
		delete(w.stalls, q)
		q.Resumed(now)
		w.cleared = append(w.cleared, clearedFinding(st, now))
		changed = true
	}
	if extra := len(w.cleared) - maxCleared; extra > 0 {
		w.cleared = append([]Finding(nil), w.cleared[extra:]...)
	}
	return changed
}
