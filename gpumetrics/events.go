package gpumetrics

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Pauses after a wait for events that failed.
const (
	minEventPause = time.Second
	maxEventPause = 30 * time.Second
)

// eventWatch is the state of the goroutine that waits for events.
type eventWatch struct {
	beat     atomic.Int64 // when the driver last answered, as time after the monitor's birth; 0 if never
	machine  xidCounts    // of events for which the driver does not name the GPU
	mu       sync.Mutex
	handlers []func(Event)
}

// OnEvent has fn called with each event that the driver reports from now on, from a goroutine of the
// monitor, which waits for it: fn must not block. A nil fn is left out.
func (m *Monitor) OnEvent(fn func(Event)) {
	if fn == nil {
		return
	}
	m.events.mu.Lock()
	defer m.events.mu.Unlock()
	m.events.handlers = append(m.events.handlers[:len(m.events.handlers):len(m.events.handlers)], fn)
}

// watch takes events until ctx ends or the driver turns out to have none.
func (m *Monitor) watch(ctx context.Context, src EventSource) {
	var pause time.Duration
	for ctx.Err() == nil {
		var e Event
		err := protect(func() (err error) {
			e, err = src.NextEvent(ctx)
			return err
		})
		switch {
		case errors.Is(err, ErrUnsupported):
			m.events.beat.Store(0)
			return
		case err == nil:
			m.heard()
			m.event(e)
			pause = 0
		case errors.Is(err, ErrNoEvent):
			m.heard()
			pause = 0
		case ctx.Err() != nil:
			return
		default:
			pause = min(max(pause*2, minEventPause), maxEventPause)
			sleep(ctx, pause)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// heard notes that the driver answered. Now it is known to have events, so the series of the codes
// to be expected begin, with 0.
func (m *Monitor) heard() {
	m.events.beat.Store(max(1, int64(m.clock())))
	for _, d := range *m.devices.Load() {
		if d.info.Load().Parent == "" {
			d.xids.begin()
		}
	}
}

// event counts an event and tells the handlers.
func (m *Monitor) event(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.XID > 0 {
		m.xidsOf(e.Device).add(e.XID, e.Time)
		if brokenDriverXID(e.XID) {
			m.breaker.trip()
		}
	}
	m.events.mu.Lock()
	handlers := m.events.handlers
	m.events.mu.Unlock()
	for _, fn := range handlers {
		fn(e)
	}
}

func (m *Monitor) xidsOf(id string) *xidCounts {
	for _, d := range *m.devices.Load() {
		if d.id() == id {
			return &d.xids
		}
	}
	return &m.events.machine
}

// xidCounts counts the codes of one GPU. Readers see a list that does not change.
type xidCounts struct {
	mu     sync.Mutex
	base   attrs
	counts atomic.Pointer[[]xidCount]
	now    atomic.Pointer[xidState]
}

// xidState is what the codes mean for the GPU's status.
type xidState struct {
	code          int
	at            time.Time
	fatal, offBus bool
}

type xidCount struct {
	code    int
	options observeOptions
	n       int64
	last    time.Time
}

// anyOther stands for codes beyond those that a GPU has room for.
const anyOther = 0

func (x *xidCounts) describe(i *Info) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.base = identity(i)
}

// opened forgets what the codes mean for the status: the GPU answers a driver that was opened anew.
func (x *xidCounts) opened() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if s := x.now.Load(); s != nil {
		x.now.Store(&xidState{code: s.code, at: s.at})
	}
}

func (x *xidCounts) list() []xidCount {
	if p := x.counts.Load(); p != nil {
		return *p
	}
	return nil
}

// begin makes the series of the codes to be expected.
func (x *xidCounts) begin() {
	if x.counts.Load() != nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.expected()
}

func (x *xidCounts) expected() {
	if x.counts.Load() != nil {
		return
	}
	counts := make([]xidCount, 0, len(expectedXIDs))
	for _, code := range expectedXIDs {
		counts = append(counts, x.count(code))
	}
	x.counts.Store(&counts)
}

func (x *xidCounts) count(code int) xidCount {
	return xidCount{code: code, options: optionsOf(append(
		x.base[:len(x.base):len(x.base)], keyCode.Int(code), keyAction.String(XID(code).Action)))}
}

func (x *xidCounts) add(code int, at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.base) > 0 {
		x.expected()
	}
	next := xidState{code: code, at: at, fatal: fatalXID(code), offBus: code == 79}
	if s := x.now.Load(); s != nil {
		next.fatal, next.offBus = next.fatal || s.fatal, next.offBus || s.offBus
	}
	x.now.Store(&next)

	counts := slices.Clone(x.list())
	of := func(code int) int { return slices.IndexFunc(counts, func(c xidCount) bool { return c.code == code }) }
	i := of(code)
	if i < 0 && len(counts) >= len(expectedXIDs)+maxXIDs-1 {
		code = anyOther
		i = of(code)
	}
	if i < 0 {
		i = len(counts)
		counts = append(counts, x.count(code))
	}
	counts[i].n++
	counts[i].last = at
	x.counts.Store(&counts)
}

func (x *xidCounts) last() (code int, at time.Time) {
	if s := x.now.Load(); s != nil {
		return s.code, s.at
	}
	return 0, time.Time{}
}

func (x *xidCounts) fatal() (fatal, offBus bool) {
	if s := x.now.Load(); s != nil {
		return s.fatal, s.offBus
	}
	return false, false
}

// seconds returns a time as seconds since 1970.
func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
