package nvml

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// source is the [gpumetrics.Source] of NVIDIA's driver. Its methods may be called from several
// goroutines at a time.
type source struct {
	config

	mu      sync.Mutex
	libs    map[string]library // those that were tried, by path, so that each is loaded once
	pending *opening
	current *session
	// mapped is the driver version of the library that this process has mapped. A library stays
	// mapped after it was closed, so a module of another version can never be served again.
	mapped string
}

// Source returns the GPUs of NVIDIA's driver. It does nothing before Open, which looks for the
// library, initialises it and lists the GPUs and their MIG instances. Every driver call can hang;
// Open and Close return when their context ends all the same, and no call is begun while an
// earlier one of the same kind hangs, so a hanging driver costs one thread.
//
// The source is also a [gpumetrics.EventSource], and its devices are [gpumetrics.ProcessLister]s.
func Source(opts ...Option) gpumetrics.Source {
	return &source{config: newConfig(opts), libs: map[string]library{}}
}

// opening is an Open whose driver calls may outlast the caller's patience.
type opening struct {
	done      chan struct{}
	session   *session
	err       error
	abandoned bool // guarded by source.mu: Close was called meanwhile
}

// Open lists the GPUs, each followed by its MIG instances. Where an earlier Open still hangs in the
// driver because its time had run out, it waits for that one. One whose context was cancelled is
// closed when it returns: nobody wants it.
func (s *source) Open(ctx context.Context) ([]gpumetrics.Device, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("open NVML: %w", ctx.Err())
	}
	o, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			s.leave(o)
		}
		return nil, wedged(ctx, "nvmlInit or the listing of GPUs has not returned: the driver hangs; see dmesg for Xid or NVRM messages")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == o {
		s.pending = nil
	}
	if o.err != nil {
		return nil, o.err
	}
	if o.abandoned {
		return nil, errors.New("the source was closed while it was opened")
	}
	devices := make([]gpumetrics.Device, len(o.session.devices))
	for i, d := range o.session.devices {
		devices[i] = d
	}
	return devices, nil
}

// begin starts to open, or returns the opening that is under way.
func (s *source) begin(ctx context.Context) (*opening, error) {
	for {
		s.mu.Lock()
		wait := s.busy()
		if wait == nil {
			defer s.mu.Unlock()
			if s.pending == nil {
				s.pending = &opening{done: make(chan struct{})}
				go s.run(s.pending)
			}
			return s.pending, nil
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, wedged(ctx, "a driver call from before has not returned, and a new start would hang as well; see dmesg for Xid or NVRM messages")
		}
	}
}

// busy returns what must end before an opening may begin or be waited for, or nil. The caller holds
// the lock.
func (s *source) busy() <-chan struct{} {
	if s.pending != nil {
		if !s.pending.abandoned {
			return nil
		}
		select {
		case <-s.pending.done:
			s.pending = nil
		default:
			return s.pending.done
		}
	}
	if s.current == nil {
		return nil
	}
	select {
	case <-s.current.done:
		s.current = nil
		return nil
	default:
		s.current.end() // where it was opened twice without Close between
		return s.current.done
	}
}

// run opens, and closes again what nobody waits for any more.
func (s *source) run(o *opening) {
	session, err := s.open()
	s.mu.Lock()
	o.session, o.err, s.current = session, err, session
	if o.abandoned && session != nil {
		session.end()
	}
	s.mu.Unlock()
	close(o.done)
}

// leave tells that nobody waits for the opening any more.
func (s *source) leave(o *opening) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.abandoned = true
	if o.session != nil {
		o.session.end()
	}
}

// Close waits for the calls under way and shuts the library down. Where a call hangs, it returns
// with ctx's error and the library stays as it is until that call returns.
func (s *source) Close(ctx context.Context) error {
	s.mu.Lock()
	pending := s.pending
	if pending != nil {
		pending.abandoned = true
	}
	s.mu.Unlock()
	if pending != nil {
		select {
		case <-pending.done:
		case <-ctx.Done():
			return fmt.Errorf("close NVML while it is being opened: %w", ctx.Err())
		}
	}
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	if current == nil {
		return nil
	}
	current.end()
	select {
	case <-current.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close NVML while a driver call has not returned: %w", ctx.Err())
	}
}

// wedged is the error of an Open whose context ended: the driver's fault where time ran out, the
// caller's wish where it was cancelled.
func wedged(ctx context.Context, text string) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("open NVML: %w", ctx.Err())
	}
	return &gpumetrics.UnavailableError{State: gpumetrics.DriverWedged, Text: text}
}
