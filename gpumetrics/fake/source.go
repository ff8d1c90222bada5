package fake

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// Source plays scripted GPUs. Make one with [New]; its methods may be called from several goroutines.
type Source struct {
	// Clock tells the time by which the scripts play. Nil means time.Now. Set it before Open.
	Clock func() time.Time
	// Unavailable, if it is set before Open, is what Open answers: there is no driver.
	Unavailable *gpumetrics.UnavailableError

	cards    []*card
	reports  []told // in the order of time
	released chan struct{}
	release  sync.Once

	mu    sync.Mutex
	begun time.Time // when the source was opened first
	told  int       // how many of the reports were told
}

// told is a report of a card.
type told struct {
	report
	id string
}

// New returns a source of the given cards. It does nothing before it is opened; the scripts begin then.
func New(gpus ...GPU) *Source {
	s := &Source{released: make(chan struct{})}
	for i := range gpus {
		c := newCard(s, gpus[i])
		s.cards = append(s.cards, c)
		for _, r := range c.gpu.reports {
			s.reports = append(s.reports, told{r, c.info.ID})
		}
	}
	slices.SortStableFunc(s.reports, func(a, b told) int { return cmp.Compare(a.at, b.at) })
	return s
}

// Open returns the cards, each followed by its parts. Cards that are lost by then are left out.
func (s *Source) Open(ctx context.Context) ([]gpumetrics.Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.Unavailable != nil {
		return nil, s.Unavailable
	}
	s.mu.Lock()
	if s.begun.IsZero() {
		s.begun = s.now()
	}
	s.mu.Unlock()
	var devices []gpumetrics.Device
	for _, c := range s.cards {
		if c.isLost(s.after()) {
			continue
		}
		devices = append(devices, c)
		for _, part := range c.instances {
			devices = append(devices, part)
		}
	}
	if len(devices) == 0 {
		return nil, &gpumetrics.UnavailableError{State: gpumetrics.DriverNoDevices, Text: "the driver has no GPU"}
	}
	return devices, nil
}

// Close does nothing: the scripts play on.
func (s *Source) Close(context.Context) error { return nil }

// Release makes calls that hang return, now and later, as a test must before it ends.
func (s *Source) Release() { s.release.Do(func() { close(s.released) }) }

func (s *Source) now() time.Time {
	if s.Clock != nil {
		return s.Clock()
	}
	return time.Now()
}

// after returns the time since the source was opened first.
func (s *Source) after() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun.IsZero() {
		return 0
	}
	return max(0, s.now().Sub(s.begun))
}

// NextEvent waits for the next error code of a script, at most for a second.
func (s *Source) NextEvent(ctx context.Context) (gpumetrics.Event, error) {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	for {
		e, wait := s.due()
		if wait == 0 {
			return e, nil
		}
		next := time.NewTimer(wait)
		select {
		case <-next.C:
		case <-timer.C:
			next.Stop()
			return gpumetrics.Event{}, gpumetrics.ErrNoEvent
		case <-ctx.Done():
			next.Stop()
			return gpumetrics.Event{}, ctx.Err()
		}
	}
}

// due returns the first report that was not told and is due, or how long to wait for the next.
func (s *Source) due() (gpumetrics.Event, time.Duration) {
	after := s.after()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told >= len(s.reports) {
		return gpumetrics.Event{}, time.Hour
	}
	next := s.reports[s.told]
	if wait := next.at - after; wait > 0 {
		return gpumetrics.Event{}, wait
	}
	s.told++
	return gpumetrics.Event{Time: s.now(), Device: next.id, XID: next.xid}, 0
}
