package gpumetrics

import (
	"context"
	"sync"
	"time"
)

// why says why a session ends.
type why uint8

const (
	stopped why = iota
	reopen
	lost
)

// session is the time for which the source is open.
type session struct {
	m      *Monitor
	cancel context.CancelFunc
	asked  chan why // what the workers ask for

	mu        sync.Mutex
	left      int  // goroutines that run
	abandoned bool // nobody waits for them: the last one closes the source
	done      chan struct{}
}

// start begins to sample. The session's goroutines use ctx.
func (m *Monitor) start(ctx context.Context, devices []*device) *session {
	ctx, cancel := context.WithCancel(ctx)
	s := &session{m: m, cancel: cancel, asked: make(chan why, 1), done: make(chan struct{})}
	workers := s.workers(devices)
	s.left = len(workers)
	events, hasEvents := m.src.(EventSource)
	if hasEvents {
		s.left++
	}
	if s.left == 0 {
		close(s.done)
	}
	for _, w := range workers {
		go func() {
			defer s.leave()
			w.run(ctx)
		}()
	}
	if hasEvents {
		go func() {
			defer s.leave()
			m.watch(ctx, events)
		}()
	}
	return s
}

// workers makes one worker for each GPU, which samples its parts too.
func (s *session) workers(devices []*device) (workers []*worker) {
	of := map[string]*worker{}
	for _, d := range devices {
		info := d.info.Load()
		w := of[info.Parent]
		if info.Parent == "" || w == nil {
			w = &worker{m: s.m, s: s, guard: &guard{m: s.m}}
			workers = append(workers, w)
			of[info.ID] = w
		}
		w.devices = append(w.devices, d)
		if old := d.guard.Load(); old != nil && d == w.devices[0] {
			w.guard.slow.Store(old.slow.Load())
		}
		d.guard.Store(w.guard)
	}
	for i, w := range workers {
		w.offset = s.m.interval * time.Duration(i) / time.Duration(len(workers))
	}
	return workers
}

// ask asks for the session to end. The first wish counts.
func (s *session) ask(w why) {
	select {
	case s.asked <- w:
	default:
	}
}

// leave ends one of the session's goroutines.
func (s *session) leave() {
	s.mu.Lock()
	s.left--
	last, abandoned := s.left == 0, s.abandoned
	s.mu.Unlock()
	if !last {
		return
	}
	if abandoned {
		s.m.closeSource()
	}
	close(s.done)
}

// end stops the session and closes the source. Where a driver call hangs it gives up, and the source
// is closed when that call returns; then it returns false.
func (s *session) end() bool {
	s.cancel()
	timer := time.NewTimer(hardDeadline)
	defer timer.Stop()
	if !s.m.anyWedged() {
		select {
		case <-s.done:
		case <-timer.C:
		}
	}
	s.mu.Lock()
	idle := s.left == 0
	s.abandoned = !idle
	s.mu.Unlock()
	if idle {
		<-s.done
		s.m.closeSource()
	}
	return idle
}

// closeSource closes the source within the deadline.
func (m *Monitor) closeSource() {
	ctx, cancel := context.WithTimeout(context.Background(), hardDeadline)
	defer cancel()
	if err := protect(func() error { return m.src.Close(ctx) }); err != nil {
		m.closeFailed.Store(true)
	}
}
