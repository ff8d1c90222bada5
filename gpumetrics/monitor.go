package gpumetrics

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// Monitor samples GPUs in the background and answers from memory. Make one with [New]; its methods
// may be called from several goroutines.
type Monitor struct {
	config
	src         Source
	table       *table
	instruments *instruments
	born        time.Time
	breaker     breaker
	events      eventWatch
	ledgers     ledgers
	running     atomic.Bool
	closeFailed atomic.Bool
	driver      atomic.Pointer[driverStatus]
	devices     atomic.Pointer[[]*device] // in the driver's order
	expected    atomic.Int64
	control     control
	pending     chan struct{} // closed when the goroutines of an abandoned session have ended; owned by Run
}

// driverStatus is what is known of the driver.
type driverStatus struct {
	state DriverState
	text  string
	since time.Time
}

// New makes a monitor of the source's GPUs and its instruments. It starts nothing and asks nothing
// of the driver. src must not be nil.
func New(src Source, opts ...Option) (*Monitor, error) {
	if src == nil {
		return nil, errors.New("gpumetrics: a monitor needs a source")
	}
	c := newConfig(opts)
	m := &Monitor{config: c, src: src, table: newTable(&c), born: time.Now()}
	m.setDriver(DriverOpening, "the monitor has not run yet")
	m.devices.Store(&[]*device{})
	m.instruments = newInstruments(c.meterProvider)
	return m, nil
}

// clock returns the time since the monitor was made.
func (m *Monitor) clock() time.Duration { return time.Since(m.born) }

func (m *Monitor) setDriver(state DriverState, text string) {
	if old := m.driver.Load(); old != nil && old.state == state && old.text == text {
		return
	}
	m.driver.Store(&driverStatus{state, text, time.Now()})
}

// driverNow returns the state of the driver; a driver whose calls are held back is wedged.
func (m *Monitor) driverNow() driverStatus {
	d := *m.driver.Load()
	if d.state == DriverOK && m.breaker.isOpen() {
		d.state, d.text = DriverWedged, "driver calls hang; they are held back until one returns"
	}
	return d
}

func (m *Monitor) anyWedged() bool {
	for _, d := range *m.devices.Load() {
		if g := d.guard.Load(); g != nil && g.wedged.Load() {
			return true
		}
	}
	return false
}

// Run opens the source, samples until ctx ends, closes the source, and returns nil. A machine
// without GPUs is no error: the source is opened again with pauses that grow from five seconds to
// five minutes. Where a driver call hangs, Run returns within five seconds after ctx ended and leaves
// the one goroutine behind that the call holds. A second Run at the same time is an error.
func (m *Monitor) Run(ctx context.Context) error {
	if !m.running.CompareAndSwap(false, true) {
		return errors.New("gpumetrics: the monitor is running already")
	}
	defer m.running.Store(false)
	registration, err := m.instruments.register(m.observe)
	if err != nil {
		return err
	}
	defer unregister(registration)
	m.control.run(true)
	defer m.control.run(false)
	m.loop(ctx)
	m.setDriver(DriverOpening, "the monitor does not run")
	return nil
}

func unregister(r metric.Registration) {
	_ = r.Unregister() // it cannot fail for a callback that is registered
}

// Latest returns what is known now, from memory.
func (m *Monitor) Latest() Snapshot {
	driver := m.driverNow()
	s := Snapshot{State: driver.state, Text: driver.text, Since: driver.since}
	now := time.Now()
	for _, d := range *m.devices.Load() {
		s.Devices = append(s.Devices, m.snapshot(d, now))
	}
	return s
}

func (m *Monitor) snapshot(d *device, now time.Time) DeviceSnapshot {
	v := m.view(d, now)
	s := DeviceSnapshot{
		Info: *d.info.Load(), Up: v.up, Wedged: v.health.wedged, Lost: v.health.lost, Status: v.status,
		record: v.record, fresh: v.fresh,
	}
	s.LastXID, s.LastXIDAt = d.xids.last()
	if v.record == nil {
		return s
	}
	s.At, s.MinPower = v.record.at[Fast], v.record.minPower
	if v.fresh[Slow] {
		s.Processes = append([]Process(nil), v.record.list...)
	}
	return s
}

// view is a device as it is at one time.
type view struct {
	record *record
	fresh  [len(tiers)]bool
	health health
	up     bool
	status Status
}

func (m *Monitor) view(d *device, now time.Time) (v view) {
	v.record = d.latest.Load()
	v.health.lost = d.lost.Load()
	if g := d.guard.Load(); g != nil {
		v.health.wedged = g.wedged.Load()
	}
	v.health.xidFatal, v.health.offBus = d.xids.fatal()
	if v.record != nil {
		v.fresh = v.record.freshness(now, &m.config)
	}
	v.up = v.fresh[Fast] && !v.health.lost && !v.health.wedged
	v.status = judge(v.record, &v.fresh, v.health)
	if v.status == StatusDegraded && m.driver.Load().state == DriverPaused {
		v.status = "" // it was not asked, which says nothing about it
	}
	return v
}

// Support tells which readings each device has. What was not asked yet, or is switched off, is
// unknown.
func (m *Monitor) Support() (all []Support) {
	for _, d := range *m.devices.Load() {
		known := d.table.Load()
		for i := range m.table.rows {
			row := &m.table.rows[i]
			s := Support{
				Device: d.id(), Reading: row.reading, Metric: row.metric, Attributes: row.attrs.String(), Call: row.call,
				State: SupportUnknown,
			}
			if known != nil && known[i].state != "" {
				s.State, s.Detail = known[i].state, known[i].detail
			}
			all = append(all, s)
		}
	}
	return all
}

// control is how Pause and Resume speak to Run.
type control struct {
	mu       sync.Mutex
	paused   bool
	running  bool
	released bool          // Run has closed the source and waits
	changed  chan struct{} // closed at each change
}

// change applies f and wakes everybody who waits.
func (c *control) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// look returns what is true now and a channel that is closed when it changes.
func (c *control) look() (paused, running, released bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.paused, c.running, c.released, c.changed
}

func (c *control) run(on bool) { c.change(func() { c.running, c.released = on, false }) }

// Pause makes the monitor let go of the driver, so that a GPU can be reset or divided, or the driver
// replaced: these fail while a process has it open. It returns nil once the source is closed, and an
// error if ctx ends before, as when a driver call hangs; the monitor stays paused then too.
func (m *Monitor) Pause(ctx context.Context) error {
	m.control.change(func() { m.control.paused = true })
	for {
		_, running, released, changed := m.control.look()
		if released || !running {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(errors.New("gpumetrics: the driver is still in use: a call has not returned"), ctx.Err())
		}
	}
}

// Resume ends a pause: the source is opened at once.
func (m *Monitor) Resume() { m.control.change(func() { m.control.paused = false }) }
