package sim

import (
	"context"
	"slices"
	"time"
)

// stage is how far the engine has come in its life.
type stage int

const (
	stageLoading stage = iota
	stageUp
	stageDying   // dead, and the HTTP server does not know it yet
	stageErrored // dead, and the HTTP server says so
	stageGone    // the process has ended
)

// How long a real engine's death took to be seen.
const (
	deathNoticed = 120 * time.Millisecond
	deathLeft    = 310 * time.Millisecond
)

// start begins a life: new ranks, new counters. What is left of the old life fails. The engine loads for a while, or if
// load is negative until the fault Loading is lifted.
func (e *Engine) start(load time.Duration) {
	e.failAll()
	e.lifetime++
	e.held = load < 0
	e.started = time.Now()
	e.front = newFront()
	e.cores = nil
	for rank := range e.cfg.DataParallelSize {
		e.cores = append(e.cores, newCore(e, rank))
	}
	if load == 0 {
		e.enter(stageUp)
		return
	}
	e.enter(stageLoading)
	if load > 0 {
		e.later(load, func() { e.enter(stageUp) })
	}
}

// die ends the engine's life. Its ranks stop at once; the server notices later.
func (e *Engine) die() {
	if e.stage != stageUp {
		return
	}
	e.lifetime++
	e.enter(stageDying)
	e.later(deathNoticed, func() {
		e.enter(stageErrored)
		e.failAll()
	})
	if !e.cfg.KeepAliveOnEngineDeath {
		e.later(deathLeft, func() { e.enter(stageGone) })
	}
}

// later calls f under the mutex after d, if the engine then still lives the same life.
func (e *Engine) later(d time.Duration, f func()) {
	life := e.lifetime
	time.AfterFunc(d, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.lifetime == life {
			f()
		}
	})
}

func (e *Engine) enter(s stage) {
	e.stage = s
	e.announce()
}

// announce wakes everyone who waits for something about the engine to change.
func (e *Engine) announce() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// await waits until holds, which is called under the mutex, returns true, or ctx ends.
func (e *Engine) await(ctx context.Context, holds func() bool) bool {
	for {
		e.mu.Lock()
		ok, changed := holds(), e.changed
		e.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// failAll tells every request that the engine has died. Gauges and counters stay as they were.
func (e *Engine) failAll() {
	for _, c := range e.cores {
		for _, list := range [][]*sequence{c.inbox, c.deferred, c.waiting, c.running} {
			for _, s := range slices.Clone(list) {
				c.remove(s)
				s.out.err = errDead()
				s.job.wake(s)
			}
		}
	}
}
