package gpumetrics

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pauses before the source is opened again.
const (
	minRetry = 5 * time.Second
	maxRetry = 5 * time.Minute
)

// errInterrupted tells that the monitor was stopped or paused while it opened the source.
var errInterrupted = errors.New("interrupted")

// backoff doubles a pause from try to try.
type backoff struct{ next time.Duration }

func (b *backoff) pause() time.Duration {
	p := min(max(b.next, minRetry), maxRetry)
	b.next = p * 2
	return p
}

// loop opens the source, samples, closes it, until ctx ends.
func (m *Monitor) loop(ctx context.Context) {
	var retry, missing backoff
	defer m.abandon()
	for ctx.Err() == nil {
		if !m.waitUnpaused(ctx) || !m.waitPending(ctx) {
			continue
		}
		devices, err := m.open(ctx)
		if errors.Is(err, errInterrupted) {
			continue
		}
		if err != nil {
			m.unavailable(ctx, err, &retry)
			continue
		}
		m.adopt(devices)
		m.setDriver(DriverOK, "")
		began := time.Now()
		switch m.session(ctx, &missing) {
		case lost:
			m.setDriver(DriverOK, "a GPU is lost; the driver is opened again")
		case reopen:
			if time.Since(began) < minRetry {
				m.wait(ctx, retry.pause()) // a driver that asks for it again and again
				continue
			}
		case stopped:
		}
		retry = backoff{}
	}
}

// session samples until ctx ends, a pause begins or the source must be opened again.
func (m *Monitor) session(ctx context.Context, missing *backoff) why {
	s := m.start(ctx, m.present())
	var again <-chan time.Time // when to look for GPUs that are gone
	if m.anyLost() {
		timer := time.NewTimer(missing.pause())
		defer timer.Stop()
		again = timer.C
	}
	result := m.attend(ctx, s, again, missing)
	if !m.anyLost() {
		*missing = backoff{}
	}
	if !s.end() {
		m.pending = s.done
	}
	return result
}

func (m *Monitor) attend(ctx context.Context, s *session, again <-chan time.Time, missing *backoff) why {
	for {
		paused, _, _, changed := m.control.look()
		if paused {
			return stopped
		}
		select {
		case <-ctx.Done():
			return stopped
		case <-changed:
		case w := <-s.asked:
			if w != lost {
				return w
			}
			if again == nil { // the others go on meanwhile
				timer := time.NewTimer(missing.pause())
				defer timer.Stop()
				again = timer.C
			}
		case <-again:
			return lost
		}
	}
}

// waitUnpaused waits while the monitor is paused. It returns false if ctx ended.
func (m *Monitor) waitUnpaused(ctx context.Context) bool {
	for {
		paused, _, released, changed := m.control.look()
		if !paused {
			if released {
				m.control.change(func() { m.control.released = false })
				continue
			}
			return true
		}
		if !m.waitPending(ctx) {
			return false
		}
		m.setDriver(DriverPaused, "the monitor is paused and has closed the driver")
		if !released {
			m.control.change(func() { m.control.released = true })
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// waitPending waits for the driver call of an earlier session that has not returned: there is never
// a second one beside it.
func (m *Monitor) waitPending(ctx context.Context) bool {
	if m.pending == nil {
		return true
	}
	select {
	case <-m.pending:
	default:
		m.setDriver(DriverWedged, "a driver call has not returned; the driver is opened again when it does")
		select {
		case <-m.pending:
		case <-ctx.Done():
			return false
		}
	}
	m.pending = nil
	return true
}

// unavailable notes why there are no GPUs, and waits before the next try.
func (m *Monitor) unavailable(ctx context.Context, err error, retry *backoff) {
	if ctx.Err() != nil {
		return
	}
	state, text, terminal := DriverFailed, err.Error(), false
	if why, ok := errors.AsType[*UnavailableError](err); ok {
		state, text, terminal = why.State, why.Text, why.Terminal
	}
	m.setDriver(state, text)
	if terminal {
		m.wait(ctx, 0)
		return
	}
	m.wait(ctx, retry.pause())
}

// wait returns after d, or never for 0, but at once when ctx ends or a pause begins or ends.
func (m *Monitor) wait(ctx context.Context, d time.Duration) {
	var end <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		end = timer.C
	}
	paused, _, _, changed := m.control.look()
	if paused {
		return
	}
	select {
	case <-end:
	case <-changed:
	case <-ctx.Done():
	}
}

// opened is what Open gave.
type opened struct {
	devices []Device
	err     error
}

// open opens the source. While Open hangs it waits, without a second try. If ctx ends or a pause
// begins meanwhile, the source is closed as soon as Open returns.
func (m *Monitor) open(ctx context.Context) ([]Device, error) {
	m.setDriver(DriverOpening, "the driver is being opened")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	result, done := make(chan opened), make(chan struct{})
	go func() {
		defer close(done)
		var o opened
		o.err = protect(func() (err error) {
			o.devices, err = m.src.Open(ctx)
			return err
		})
		select {
		case result <- o:
		case <-ctx.Done():
			if o.err == nil {
				m.closeSource()
			}
		}
	}()
	slow := time.AfterFunc(openDeadline, func() {
		m.setDriver(DriverWedged, fmt.Sprintf("opening the driver has not returned for %v", openDeadline))
	})
	defer slow.Stop()
	for {
		paused, _, _, changed := m.control.look()
		if paused || ctx.Err() != nil {
			m.pending = done
			return nil, errInterrupted
		}
		select {
		case o := <-result:
			if o.err == nil && len(o.devices) == 0 {
				m.closeSource()
				return nil, &UnavailableError{State: DriverNoDevices, Text: "the driver has no GPU"}
			}
			return o.devices, o.err
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// abandon notes at the end of Run that nothing waits any more.
func (m *Monitor) abandon() {
	for _, d := range *m.devices.Load() {
		m.ledgers.gone(d.id())
	}
}
