package otlp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
	// maxRetryAfter caps what a collector may ask for.
	maxRetryAfter = 2 * time.Minute
	// maxDoubts is how often a batch is tried that may itself be the reason why it is not taken, over
	// about half a minute. Without a limit such a batch would keep back all that comes after it.
	maxDoubts = 6
)

// run is the worker.
func (q *queue[T]) run() {
	defer close(q.done)
	ticker := time.NewTicker(q.delay)
	defer ticker.Stop()
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-q.wake:
			q.drain(q.batch)
		case <-ticker.C:
			q.drain(1)
		case <-q.hurry:
			q.drain(1)
		}
	}
}

// drain exports batches as long as at least n items wait.
func (q *queue[T]) drain(n int) {
	for q.ctx.Err() == nil {
		batch := q.front(n)
		if len(batch) == 0 {
			return
		}
		q.deliver(batch, 0)
	}
}

// front copies the next batch, nothing when fewer than n items wait. While a flush waits one item is enough:
// its signal may have been spent on cutting a back-off short.
func (q *queue[T]) front(n int) []T {
	q.unpackFront()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.awaited > 0 {
		n = 1
	}
	if q.accepted-q.settled < uint64(n) {
		return nil
	}
	batch := make([]T, 0, min(len(q.waiting), q.batch))
	bytes := 0
	for _, e := range q.waiting[:cap(batch)] {
		if bytes += e.bytes; e.block != nil || bytes > maxBatchBytes && len(batch) > 0 {
			break
		}
		batch = append(batch, e.item)
	}
	q.flight = len(batch)
	return batch
}

// deliver exports the items at the front of the queue until their fate is known, or the queue is shut down.
// It begins to count at tries failed attempts.
func (q *queue[T]) deliver(batch []T, tries int) {
	for ; q.ctx.Err() == nil; tries++ {
		v := q.attempt(batch)
		if q.ctx.Err() != nil && v.fate != fateDelivered {
			return // shutdown cut the attempt off, and counts the batch
		}
		q.tell(v, len(batch), tries)
		switch {
		case v.fate == fateDelivered:
			q.settle(len(batch), len(batch), min(v.rejected, int64(len(batch))), v.reason)
			return
		case v.fate == fateRetry, v.fate == fateDoubt && tries+1 < maxDoubts:
			q.pause(backoff(tries), v.after)
		case len(batch) > 1 && (v.fate == fateSplit || v.fate == fateDoubt && v.local):
			half := len(batch) / 2
			q.deliver(batch[:half], tries)
			q.deliver(batch[half:], tries)
			return
		default:
			q.settle(len(batch), len(batch), int64(len(batch)), v.reason)
			return
		}
	}
}

// attempt exports once, within the timeout, and packs what waits meanwhile.
func (q *queue[T]) attempt(batch []T) verdict {
	ctx, cancel := context.WithTimeout(q.ctx, q.timeout)
	defer cancel()
	done := make(chan verdict, 1)
	go func() {
		done <- attempt(ctx, func(ctx context.Context) error { return q.export(ctx, batch) })
	}()
	for {
		q.pack()
		select {
		case v := <-done:
			return v
		case <-q.wake:
		}
	}
}

// attempt calls export once and judges the outcome. An exporter that panics must not end the process.
func attempt(ctx context.Context, export func(context.Context) error) (v verdict) {
	ctx, a := withAnswer(ctx)
	defer func() {
		if p := recover(); p != nil {
			v = verdict{fate: fateDrop, reason: reasonPanic, err: clip(fmt.Errorf("exporter panicked: %v", p))}
		}
	}()
	v = judge(export(ctx), a)
	v.err = clip(v.err)
	return v
}

// tell reports what went wrong, and remembers it for the error of Shutdown.
func (q *queue[T]) tell(v verdict, items, tries int) {
	q.mu.Lock()
	q.last = v.err
	q.mu.Unlock()
	signal := q.ledger.signal
	switch {
	case v.err == nil:
		q.reporter.recovered(signal)
	case v.fate == fateDelivered && v.rejected == 0:
		q.reporter.report(signal, "warning", fmt.Errorf("%s: the collector warns: %w", signal, v.err))
	case v.fate == fateDelivered:
		q.reporter.report(signal, v.reason, fmt.Errorf("%s: the collector left out %d of %d items: %w", signal, v.rejected, items, v.err))
	case v.fate == fateRetry:
		q.reporter.report(signal, v.reason, fmt.Errorf("%s: export failed, trying again until it works or the queue is full: %w", signal, v.err))
	case v.fate == fateDoubt && tries+1 < maxDoubts:
		q.reporter.report(signal, v.reason, fmt.Errorf("%s: export failed, trying again for half a minute: %w", signal, v.err))
	case items > 1 && (v.fate == fateSplit || v.local): // the halves say more
	default:
		q.reporter.report(signal, v.reason, fmt.Errorf("%s: %d items dropped, the collector does not take them: %w", signal, items, v.err))
	}
}

// settle takes n entries from the front of the queue. They are so many items, of which dropped were lost.
func (q *queue[T]) settle(n, items int, dropped int64, reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over {
		return
	}
	for _, e := range q.waiting[:n] {
		q.held -= e.bytes
	}
	clear(q.waiting[:n]) // what was delivered must not be kept by the array behind
	q.waiting = q.waiting[n:]
	q.flight = max(q.flight-n, 0)
	q.settled += uint64(items)
	q.ledger.settle(int64(items), dropped, reason)
	close(q.changed)
	q.changed = make(chan struct{})
}

// pause waits for d, or for as long as the collector asks if that is longer. While a flush waits it is a
// second at most, unless the collector asks for more; a shutdown does not wait for what the collector asks.
func (q *queue[T]) pause(d, after time.Duration) {
	q.mu.Lock()
	closed, awaited := q.closed, q.awaited > 0
	q.mu.Unlock()
	if awaited {
		d = min(d, minBackoff)
	}
	if !closed {
		d = max(d, after)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	q.pack()
	for {
		select {
		case <-timer.C:
			return
		case <-q.ctx.Done():
			return
		case <-q.wake:
			q.pack()
		case <-q.hurry:
			if after == 0 || q.isClosed() {
				return
			}
		}
	}
}

func (q *queue[T]) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// backoff is the time before the next attempt after tries failed ones: from 1 s to 30 s, doubling, with up
// to half on top so that many processes do not come back at once.
func backoff(tries int) time.Duration {
	base := min(minBackoff<<min(tries, 5), maxBackoff)
	return min(base+rand.N(base/2), maxBackoff)
}
