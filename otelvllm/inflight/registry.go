package inflight

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultHistory is the number of finished requests that a [Registry] keeps where
// [Registry.History] is zero.
const DefaultHistory = 256

// Registry holds the running requests and a short history of finished ones. The zero value is
// ready for use; a nil *Registry accepts every call and keeps nothing. All methods are safe for
// concurrent use. A Registry must not be copied.
type Registry struct {
	// History is how many finished requests are kept: zero means [DefaultHistory], less than zero
	// means none. Set it before the first request ends.
	History int

	begun atomic.Uint64 // numbers the requests

	// mu is held while pointers are moved or copied, and never while anything is called.
	mu      sync.Mutex
	running []*Request // in no order; each knows its place
	recent  []*Status  // a ring once it is full
	oldest  int        // where the oldest of the full ring is
}

// Begin adds a running request. The caller must end it with [Request.End]. A nil Registry returns
// nil, which is a valid *Request that keeps nothing.
func (r *Registry) Begin(info Info) *Request {
	if r == nil {
		return nil
	}
	q := newRequest(info)
	q.registry = r
	q.number = r.begun.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	q.place = len(r.running)
	r.running = append(r.running, q)
	return q
}

// end moves q, which is over, from the running requests to the history.
func (r *Registry) end(q *Request, final *Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.running) - 1
	moved := r.running[last]
	r.running[q.place], moved.place = moved, q.place
	r.running[last] = nil
	r.running = r.running[:last]

	limit := r.History
	if limit == 0 {
		limit = DefaultHistory
	}
	switch {
	case limit < 0:
	case len(r.recent) < limit:
		r.recent = append(r.recent, final)
	default:
		r.recent[r.oldest] = final
		r.oldest = (r.oldest + 1) % len(r.recent)
	}
}

// Requests returns the running requests, oldest first.
func (r *Registry) Requests() []*Request {
	running, _ := r.snapshot()
	return running
}

// AppendRequests appends the running requests to list, in no order, and returns it. It is for a
// reader who looks often and keeps the list: it allocates only where the list has no room.
func (r *Registry) AppendRequests(list []*Request) []*Request {
	if r == nil {
		return list
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(list, r.running...)
}

// Running returns what is known about each running request now, oldest first. However many
// requests have finished, none that runs is left out.
func (r *Registry) Running() []Status {
	running, _ := r.snapshot()
	now := time.Now()
	list := make([]Status, 0, len(running))
	for _, q := range running {
		if s := q.Status(now); !s.Ended {
			list = append(list, s)
		}
	}
	return list
}

// Recent returns the finished requests that are kept, newest first.
func (r *Registry) Recent() []Status {
	_, recent := r.snapshot()
	now := time.Now()
	list := make([]Status, 0, len(recent))
	for _, final := range recent {
		list = append(list, final.at(now))
	}
	return list
}

// all returns the running and the finished requests as they are at one instant: each is in one of
// the two lists.
func (r *Registry) all() (running, recent []Status) {
	requests, finals := r.snapshot()
	now := time.Now()
	running, recent = make([]Status, 0, len(requests)), make([]Status, 0, len(finals))
	for _, q := range requests {
		// What ended since the snapshot is newer than all of the history.
		if s := q.Status(now); s.Ended {
			recent = append(recent, s)
		} else {
			running = append(running, s)
		}
	}
	slices.SortStableFunc(recent, func(a, b Status) int {
		return b.Started.Add(b.Duration).Compare(a.Started.Add(a.Duration))
	})
	for _, final := range finals {
		recent = append(recent, final.at(now))
	}
	return running, recent
}

// snapshot copies the pointers to all running requests, oldest first, and to all finished ones,
// newest first.
func (r *Registry) snapshot() (running []*Request, recent []*Status) {
	if r == nil {
		return nil, nil
	}
	r.mu.Lock()
	running = slices.Clone(r.running)
	recent = slices.Concat(r.recent[r.oldest:], r.recent[:r.oldest])
	r.mu.Unlock()
	slices.SortFunc(running, func(a, b *Request) int {
		return cmp.Or(a.start.Compare(b.start), cmp.Compare(a.number, b.number))
	})
	slices.Reverse(recent)
	return running, recent
}
