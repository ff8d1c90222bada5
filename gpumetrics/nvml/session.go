package nvml

import (
	"sync"
	"sync/atomic"
	"time"
)

// session is the time between an open of the library and its shutdown. It counts the calls that are
// under way, because the library must not be shut down under one.
type session struct {
	config
	lib     library
	devices []*device
	// driver is the version that the driver told when the session began, count how many GPUs.
	driver string
	count  uint64

	mu      sync.Mutex
	calls   int
	closing bool
	drained chan struct{} // closed when the session is closing and no call is under way
	done    chan struct{} // closed when the library was shut down

	// alone is held by calls that must not run on two GPUs at once: those of GPM, which crash where
	// they do, and lists of processes, which hold the driver for long.
	alone chan struct{}
	// occupied tells that somebody waited for alone in vain, so that the next do not wait as well.
	occupied atomic.Bool
	// reopen tells that what was found at the open is not so any more.
	reopen atomic.Bool
	events eventWatch
}

func newSession(c config, lib library) *session {
	return &session{
		config: c, lib: lib,
		drained: make(chan struct{}), done: make(chan struct{}), alone: make(chan struct{}, 1),
	}
}

// enter counts a call in, unless the session is closing.
func (s *session) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.calls++
	return true
}

func (s *session) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls--; s.closing && s.calls == 0 {
		close(s.drained)
	}
}

// end lets no more calls begin. When those under way have returned, the library is shut down, in
// the background: under a running call, which may be one that hangs, it could crash the process.
// done is closed after that.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	s.closing = true
	if s.calls == 0 {
		close(s.drained)
	}
	go s.finish()
}

func (s *session) finish() {
	defer close(s.done)
	<-s.drained
	for _, d := range s.devices {
		d.freeGPM()
	}
	s.events.free()
	s.lib.shutdown()
}

// hold waits a little for the right to make a call that must be alone. Where another GPU's call
// does not return, waiting for long would make this GPU look as sick as that one.
func (s *session) hold() bool {
	select {
	case s.alone <- struct{}{}:
		s.occupied.Store(false)
		return true
	default:
	}
	if s.occupied.Load() {
		return false
	}
	patience := time.NewTimer(holdPatience)
	defer patience.Stop()
	select {
	case s.alone <- struct{}{}:
		return true
	case <-patience.C:
		s.occupied.Store(true)
		return false
	}
}

func (s *session) release() { <-s.alone }

// holdPatience is well below the time after which a monitor calls a GPU wedged.
const holdPatience = 500 * time.Millisecond
