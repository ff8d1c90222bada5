package inflight

import "time"

// Pulse is what a watchdog looks at of every request at every look.
type Pulse struct {
	// Quiet is what [Request.Quiet] returns.
	Quiet time.Duration
	// Blocked tells that a write to the caller is blocked.
	Blocked bool
	// Version becomes another one when the request's phase, engine, model or kind of answer does: as
	// long as it stays, so does what [Request.Status] tells of them.
	Version uint32
}

// Pulse returns what is known of the request at the given time without taking a lock. It tells false
// for a request that has ended.
func (q *Request) Pulse(now time.Time) (p Pulse, running bool) {
	if q == nil || q.final.Load() != nil {
		return Pulse{}, false
	}
	at := int64(now.Sub(q.start))
	p.Version = q.version.Load() // first: what is read after it is at least as new
	last := max(q.progress.Load(), q.unblocked.Load())
	if since, ok := q.blocked(at); ok {
		last, p.Blocked = max(last, since), true
	}
	p.Quiet = time.Duration(max(0, at-last))
	return p, true
}
