package gpumetrics

import (
	"context"
	"sync"
	"time"
)

// breakerWindow is the time within which two wedged GPUs mean that the driver hangs, not a GPU.
const breakerWindow = time.Minute

// breaker holds back driver calls for all GPUs when the driver itself seems to hang. While it is
// open a call begins only if no other is under way; any call that returns closes it.
type breaker struct {
	mu       sync.Mutex
	open     bool
	calls    int
	last     time.Duration // when a GPU was last found wedged, as time after the monitor's birth
	who      *guard        // of that GPU; nil if none ever was
	returned chan struct{} // closed when a call returns; nil if nobody waits
}

func (b *breaker) enter(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b.mu.Lock()
		if !b.open || b.calls == 0 {
			b.calls++
			b.mu.Unlock()
			return nil
		}
		if b.returned == nil {
			b.returned = make(chan struct{})
		}
		returned := b.returned
		b.mu.Unlock()
		select {
		case <-returned:
		case <-ctx.Done():
		}
	}
}

func (b *breaker) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls--
	b.open = false
	if b.returned != nil {
		close(b.returned)
		b.returned = nil
	}
}

// wedged notes that a GPU was found wedged, and opens the breaker if another was a short time ago.
func (b *breaker) wedged(g *guard, now time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.who != nil && b.who != g && now-b.last <= breakerWindow {
		b.open = true
	}
	b.last, b.who = now, g
}

// trip opens the breaker.
func (b *breaker) trip() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = true
}

func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}
