package inflight

import (
	"strings"
	"time"
)

// blockedAfter is how long a write to the caller may take before it counts as blocked. A caller who
// reads takes far less; a shorter limit would let a look in the middle of such a write take the
// caller for slow.
const blockedAfter = 100 * time.Millisecond

// SentTo notes which engine the request is sent to, as host:port. The empty string leaves what is
// known.
func (q *Request) SentTo(engine string) {
	if q == nil || engine == "" {
		return
	}
	engine = strings.Clone(clean(engine))
	q.mu.Lock()
	defer q.mu.Unlock()
	q.info.Engine = engine
	q.version.Add(1)
}

// WriteStarted notes that a write to the caller began at the given time. While it is blocked the
// engine cannot be read, so its silence is not its own.
func (q *Request) WriteStarted(at time.Time) {
	if q == nil || q.final.Load() != nil {
		return
	}
	q.writing.CompareAndSwap(0, max(0, int64(at.Sub(q.start)))+1)
}

// WriteEnded notes that the write to the caller ended at the given time. That is not progress: a
// comment of the engine is written to the caller too.
func (q *Request) WriteEnded(at time.Time) {
	if q == nil || q.final.Load() != nil {
		return
	}
	began := q.writing.Swap(0) - 1
	if now := int64(at.Sub(q.start)); began >= 0 && now-began >= int64(blockedAfter) {
		raise(&q.unblocked, now)
	}
}

// blocked returns when the write began that is blocked now; both are in ns since q.start.
func (q *Request) blocked(now int64) (since int64, ok bool) {
	since = q.writing.Load() - 1
	return since, since >= 0 && now-since >= int64(blockedAfter)
}

// Quiet returns how long the request has been waiting for one thing: the time since its last
// progress or, if that is later, since the write to the caller began or ended that is or was
// blocked. It tells false for a request that has ended. It takes no lock, for a watchdog that looks
// at every request.
func (q *Request) Quiet(now time.Time) (d time.Duration, running bool) {
	p, running := q.Pulse(now)
	return p.Quiet, running
}
