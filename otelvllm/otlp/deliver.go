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
		q.deliver(batch)
	}
}

// front copies the next batch, nothing when fewer than n items wait.
func (q *queue[T]) front(n int) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) < n {
		return nil
	}
	batch := make([]T, 0, min(len(q.waiting), q.batch))
	bytes := 0
	for _, e := range q.waiting[:cap(batch)] {
		if bytes += e.bytes; bytes > maxBatchBytes && len(batch) > 0 {
			break
		}
		batch = append(batch, e.item)
	}
	return batch
}

// deliver exports the items at the front of the queue until their fate is known, or the queue is shut down.
func (q *queue[T]) deliver(batch []T) {
	for tries := 0; q.ctx.Err() == nil; tries++ {
		v := q.attempt(batch)
		if q.ctx.Err() != nil && v.fate != fateDelivered {
			return // shutdown cut the attempt off, and counts the batch
		}
		q.tell(v, len(batch))
		switch {
		case v.fate == fateDelivered:
			q.settle(len(batch), min(v.rejected, int64(len(batch))), v)
			return
		case v.fate == fateRetry:
			q.pause(backoff(tries, v.after))
		case v.fate == fateSplit && len(batch) > 1:
			half := len(batch) / 2
			q.deliver(batch[:half])
			q.deliver(batch[half:])
			return
		default:
			q.settle(len(batch), int64(len(batch)), v)
			return
		}
	}
}

// attempt exports once, within the timeout.
func (q *queue[T]) attempt(batch []T) verdict {
	ctx, cancel := context.WithTimeout(q.ctx, q.timeout)
	defer cancel()
	return attempt(ctx, func(ctx context.Context) error { return q.export(ctx, batch) })
}

// attempt calls export once and judges the outcome. An exporter that panics must not end the process.
func attempt(ctx context.Context, export func(context.Context) error) (v verdict) {
	ctx, a := withAnswer(ctx)
	defer func() {
		if p := recover(); p != nil {
			v = verdict{fate: fateDrop, reason: reasonPanic, err: fmt.Errorf("exporter panicked: %v", p)}
		}
	}()
	return judge(export(ctx), a)
}

// tell reports what went wrong, and remembers it for the error of Shutdown.
func (q *queue[T]) tell(v verdict, items int) {
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
	case v.fate == fateSplit && items > 1: // the halves say more
	default:
		q.reporter.report(signal, v.reason, fmt.Errorf("%s: %d items dropped, the collector does not take them: %w", signal, items, v.err))
	}
}

// settle takes n items from the front of the queue, of which dropped were lost.
func (q *queue[T]) settle(n int, dropped int64, v verdict) {
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
	q.settled += uint64(n)
	q.ledger.settle(int64(n), dropped, v.reason)
	close(q.changed)
	q.changed = make(chan struct{})
}

// pause waits for d, less when a flush or the shutdown wants an attempt now.
func (q *queue[T]) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-q.hurry:
	case <-q.ctx.Done():
	}
}

// backoff is the time before the next attempt after tries failed ones: from 1 s to 30 s, doubling, with up
// to half on top so that many processes do not come back at once, and never sooner than the collector asks.
func backoff(tries int, after time.Duration) time.Duration {
	base := min(minBackoff<<min(tries, 5), maxBackoff)
	return max(min(base+rand.N(base/2), maxBackoff), after)
}
