package otlp

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// limits are the settings of a queue, all greater than zero.
type limits struct {
	bytes   int           // estimated memory of what may wait, in flight included, packed or not
	batch   int           // items in one export
	delay   time.Duration // longest time an item waits for a batch to fill up
	timeout time.Duration // of one attempt to export
}

// maxBatchBytes keeps a batch below the 4 MiB that a gRPC server takes by default.
const maxBatchBytes = 3 << 20

// queue delivers items in order: in batches, one at a time, each for as long as it takes. Adding never
// waits for an export. The items in flight stay at the front of the queue until their fate is known, so
// that at any time what was made is what was delivered, what was dropped, and what is in the queue.
type queue[T any] struct {
	limits
	ledger   *ledger
	reporter *reporter
	export   func(context.Context, []T) error
	packer   packer[T] // nil where items cannot be packed
	plain    bool      // packing failed once; the worker's alone

	wake   chan struct{} // another batch is full
	hurry  chan struct{} // a flush or the shutdown waits: skip the delay, and the back-off once
	ctx    context.Context
	cancel context.CancelFunc // ends the worker and its export
	done   chan struct{}      // closed when the worker has ended

	mu       sync.Mutex
	waiting  []entry[T]
	held     int    // bytes of waiting
	flight   int    // items at the front that are being exported
	accepted uint64 // items ever taken into waiting
	settled  uint64 // items ever taken out
	changed  chan struct{}
	awaited  int   // callers that wait for items to be settled
	closed   bool  // nothing more is taken
	over     bool  // what was left is accounted for; a late answer changes nothing
	last     error // of the last attempt, nil when it succeeded
}

// entry is one item, or a block of packed ones.
type entry[T any] struct {
	item  T
	bytes int
	block *block
}

// newQueue starts the one worker of a queue; shutdown ends it. p is nil where items cannot be packed.
func newQueue[T any](l limits, account *ledger, r *reporter, p packer[T], export func(context.Context, []T) error) *queue[T] {
	q := &queue[T]{
		limits: l, ledger: account, reporter: r, export: export, packer: p,
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{}),
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	go q.run()
	return q
}

// add takes an item, or drops it when the queue is full or closed.
func (q *queue[T]) add(item T, bytes int) {
	q.ledger.make(1)
	q.mu.Lock()
	reason := ""
	switch {
	case q.closed:
		reason = reasonShutdown
	case q.held+bytes > q.bytes:
		reason = reasonQueueFull
	default:
		q.waiting = append(q.waiting, entry[T]{item: item, bytes: bytes})
		q.held += bytes
		q.accepted++
	}
	full := len(q.waiting)%q.batch == 0
	q.mu.Unlock()
	if reason == "" {
		if full {
			signal(q.wake)
		}
		return
	}
	q.ledger.settle(1, 1, reason)
	if reason == reasonQueueFull {
		q.reporter.report(q.ledger.signal, reason, fmt.Errorf(
			"%s: the export queue is full (%d bytes): new items are dropped until the collector takes some", q.ledger.signal, q.bytes))
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// flush waits until all items that are in the queue now have been delivered or dropped.
func (q *queue[T]) flush(ctx context.Context) error {
	q.mu.Lock()
	target := q.accepted
	q.mu.Unlock()
	return q.await(ctx, target)
}

// await hurries the worker and waits until target items are settled.
func (q *queue[T]) await(ctx context.Context, target uint64) error {
	q.wait(1)
	defer q.wait(-1)
	signal(q.hurry)
	for {
		q.mu.Lock()
		left, changed, last := int64(target)-int64(q.settled), q.changed, q.last
		q.mu.Unlock()
		if left <= 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if last != nil {
				return fmt.Errorf("%s: %d items still wait: %w", q.ledger.signal, left, last)
			}
			return fmt.Errorf("%s: %d items still wait: %w", q.ledger.signal, left, context.Cause(ctx))
		}
	}
}

func (q *queue[T]) wait(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.awaited += n
}

// grace is how long each step of a shutdown may take after the caller's time is over. There are three at
// most, one after the other.
const grace = 12 * time.Millisecond

// shutdown takes nothing more, delivers what it can until ctx ends, and drops the rest. The second call
// and later ones do nothing.
func (q *queue[T]) shutdown(ctx context.Context) error {
	q.mu.Lock()
	again := q.closed
	q.closed = true
	target := q.accepted
	q.mu.Unlock()
	if again {
		return nil
	}
	err := q.await(ctx, target)
	q.cancel()
	q.mu.Lock()
	q.over = true
	left := int64(q.accepted - q.settled)
	q.waiting, q.held = nil, 0
	q.settled = q.accepted
	close(q.changed)
	q.changed = make(chan struct{})
	q.ledger.settle(left, left, reasonShutdown)
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(grace): // the exporter does not obey its context
	}
	return err
}
