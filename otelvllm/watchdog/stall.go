package watchdog

import (
	"maps"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

const (
	// maxRepeatPause bounds the growing pause between two reports of one stall.
	maxRepeatPause = 10 * time.Minute
	// settle is how long another cause must be found before a stall is said to have it: a span is
	// exported for each. A root cause of what was found before is believed at once.
	settle = 3 * time.Second
	// maxChanges bounds the changes of one stall, however its cause wavers.
	maxChanges = 8
)

// stall is one stall that lasts.
type stall struct {
	cause   key
	engine  *string
	report  inflight.Stall
	next    time.Time // when it is reported again
	pause   time.Duration
	trace   string
	changes int
	seen    uint64 // the last look that found it
	over    bool
	// other is a cause that was found since then; it is not believed yet.
	other      key
	otherSince time.Time
}

// due returns when the stall is to be looked at again.
func (st *stall) due() time.Time {
	if st.other == st.cause || st.changes >= maxChanges {
		return st.next
	}
	return earlier(st.next, st.otherSince.Add(settle))
}

// reconcile brings the stalls in line with the diagnosis. It tells whether anything has changed, and
// when a stall is to be looked at next; zero if there is none.
func (w *Watchdog) reconcile(d *diagnosis) (changed bool, next time.Time) {
	w.looks++
	seen := 0
	for n, i := range d.look.due {
		c := d.causes[n]
		if c == nil { // silent by nature, or again so: the engine moves on
			continue
		}
		r := &w.waiters[i]
		// A request that is looked at may move on meanwhile; then Stalled takes no notice.
		if r.stall == nil || r.stall.over {
			r.stall = w.raise(r, c, d.look, i)
			changed = true
		} else if w.renew(r, c, d.look, i) {
			changed = true
		}
		r.stall.seen = w.looks
		seen++
		if due := r.stall.due(); next.IsZero() || due.Before(next) {
			next = due
		}
	}
	if seen < len(w.stalls) {
		w.clear()
		changed = true
	}
	return changed, next
}

// clear ends the stalls that the last look did not find.
func (w *Watchdog) clear() {
	for q, st := range w.stalls {
		if st.seen != w.looks {
			st.over = true
			delete(w.stalls, q)
			w.count(st.cause, -1)
			q.Resumed()
		}
	}
}

// raise reports a stall for the first time.
func (w *Watchdog) raise(r *waiter, c *condition, x *look, i int) *stall {
	s := x.view.status(i)
	st := &stall{pause: w.threshold(), trace: s.TraceID}
	st.take(c, x, r, s)
	st.next = x.view.Now.Add(st.pause)
	w.stalls[r.request] = st
	w.count(st.cause, 1)
	r.request.Stalled(st.report)
	return st
}

// renew follows a stall that lasts: to another cause, if that has come to stay, or to its next
// report. It tells whether it has reported.
func (w *Watchdog) renew(r *waiter, c *condition, x *look, i int) bool {
	now, st, q := x.view.Now, r.stall, r.request
	if c.key == st.cause {
		st.other = st.cause
	} else if c.key != st.other {
		st.other, st.otherSince = c.key, now
	}
	if st.other != st.cause && st.changes < maxChanges && (follows(st.cause.code, c.code) || now.Sub(st.otherSince) >= settle) {
		w.count(st.cause, -1)
		st.take(c, x, r, x.view.status(i))
		w.count(st.cause, 1)
		st.changes++
		q.Stalled(st.report)
		return true
	}
	if now.Before(st.next) {
		return false
	}
	st.pause = min(2*st.pause, maxRepeatPause)
	st.next = now.Add(st.pause)
	repeat := st.report.Repeat + 1
	if c.key == st.cause {
		st.take(c, x, r, x.view.status(i))
	}
	st.report.Silence, st.report.Repeat = r.quiet, repeat
	q.Stalled(st.report)
	return true
}

// take gives the stall its cause, with what is seen of it now.
func (st *stall) take(c *condition, x *look, r *waiter, s *inflight.Status) {
	st.cause, st.other, st.engine = c.key, c.key, nil
	if engine := c.address(x); engine != "" {
		st.engine = &engine
	}
	sign := c.sign
	if c.rule.tell != nil {
		sign = c.rule.tell(x, c.place, s)
	}
	// The cause's own readings count more where both have a name for theirs.
	evidence := x.requestEvidence(s)
	maps.Copy(evidence, sign.evidence)
	st.report = inflight.Stall{
		Cause: string(c.code), Phase: string(s.Phase), Summary: summary(c.rule, sign), Remedy: remedy(c.rule, sign),
		Since: x.since(r), Silence: r.quiet, Evidence: evidence,
	}
}

func (w *Watchdog) count(k key, n int) {
	if w.groups[k] += n; w.groups[k] <= 0 {
		delete(w.groups, k)
	}
}
