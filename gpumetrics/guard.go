package gpumetrics

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Deadlines of a driver call. None of them ends it: a driver call cannot be cancelled.
const (
	softDeadline = time.Second     // then it counts as slow
	hardDeadline = 5 * time.Second // then the GPU counts as wedged
	// openDeadline is longer: without persistence mode the driver starts each GPU anew.
	openDeadline = 30 * time.Second
)

var errPanicked = errors.New("the source panicked")

// guard watches the driver calls of one worker. There is never more than one at a time, so that a
// driver that hangs costs one thread for each GPU and no more.
type guard struct {
	m      *Monitor
	since  atomic.Int64 // when the present call began, as time after the monitor's birth; 0 if there is none
	wedged atomic.Bool
	slow   atomic.Int64
}

// call runs f once the breaker lets it. It returns f's error, [errPanicked] if f panicked, and the
// error of ctx if that ended before f began.
func (g *guard) call(ctx context.Context, f func() error) error {
	if err := g.m.breaker.enter(ctx); err != nil {
		return err
	}
	g.since.Store(max(1, int64(g.m.clock())))
	soft := time.AfterFunc(softDeadline, func() { g.slow.Add(1) })
	hard := time.AfterFunc(hardDeadline, func() {
		g.wedged.Store(true)
		g.m.breaker.wedged(g, g.m.clock())
	})
	defer func() {
		soft.Stop()
		hard.Stop()
		g.since.Store(0)
		g.wedged.Store(false)
		g.m.breaker.leave()
	}()
	return protect(f)
}

// inFlight returns how long the present call has lasted, 0 if there is none.
func (g *guard) inFlight(now time.Duration) time.Duration {
	since := g.since.Load()
	if since == 0 {
		return 0
	}
	return max(0, now-time.Duration(since))
}

// protect turns a panic of the source into an error: wrappers of driver libraries have been seen to
// panic, and a GPU's metrics must not end the process that serves requests.
func protect(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	return f()
}
