package gpumetrics

import (
	"context"
	"math/bits"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// observe tells a metric reader everything, from memory. It is the one callback of all instruments,
// so that a reader sees them at one time. The SDK calls it for each reader while it holds a lock that
// every metric of the process needs: so it asks no driver, takes no lock that a worker holds while it
// waits, and makes nothing that could have been made before.
func (m *Monitor) observe(_ context.Context, o metric.Observer) error {
	now := time.Now()
	in := m.instruments
	driver := m.driverNow()
	for i, s := range driverStates {
		in.own[driverMetric].observe(o, one(s == driver.state), in.states[i])
	}
	up := 0
	for _, d := range *m.devices.Load() {
		if m.observeDevice(o, d, now) && d.info.Load().Parent == "" {
			up++
		}
	}
	in.own[countMetric].observe(o, float64(up), nil)
	in.own[expectedMetric].observe(o, float64(m.expected.Load()), nil)
	if beat := m.events.beat.Load(); beat > 0 {
		in.own[eventAgeMetric].observe(o, (m.clock() - time.Duration(beat)).Seconds(), nil)
	}
	m.observeXIDs(o, &m.events.machine)
	m.ledgers.observe(o, in, len(*m.devices.Load()) > 0)
	return nil
}

func one(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// observeDevice tells everything of one device, and returns whether it is up.
func (m *Monitor) observeDevice(o metric.Observer, d *device, now time.Time) bool {
	in, series := m.instruments, d.series.Load()
	v := m.view(d, now)
	in.own[infoMetric].observe(o, 1, series.info)
	in.own[upMetric].observe(o, one(v.up), series.plain)
	in.own[wedgedMetric].observe(o, one(v.health.wedged), series.plain)
	if v.status != "" {
		for i, s := range statuses {
			in.own[statusMetric].observe(o, one(s == v.status), series.status[i])
		}
	}
	if g := d.guard.Load(); g != nil && d.info.Load().Parent == "" {
		in.own[inFlightMetric].observe(o, g.inFlight(m.clock()).Seconds(), series.plain)
		in.own[slowMetric].observe(o, float64(g.slow.Load()), series.plain)
	}
	m.observeXIDs(o, &d.xids)
	if v.record != nil {
		m.observeRecord(o, v.record, series, &v.fresh, now)
	}
	return v.up
}

func (m *Monitor) observeRecord(o metric.Observer, r *record, series *deviceSeries, fresh *[len(tiers)]bool, now time.Time) {
	in := m.instruments
	if !r.at[Fast].IsZero() {
		in.own[ageMetric].observe(o, now.Sub(r.at[Fast]).Seconds(), series.plain)
	}
	for word, set := range r.known {
		for ; set != 0; set &= set - 1 {
			i := Reading(word*64 + bits.TrailingZeros64(set))
			if r.counts.has(i) || fresh[r.tier[i]] {
				in.readings[i].observe(o, r.values[i], series.readings[i])
			}
		}
	}
	for i := range r.parts {
		p := &r.parts[i]
		for n := range p.known {
			if p.known[n] && (fresh[Slow] || partRows[n].check.counts()) {
				in.parts[n].observe(o, p.values[n], p.series.readings[n])
			}
		}
	}
	for i := range r.errors {
		in.own[errorsMetric].observe(o, float64(r.errors[i].n), r.errors[i].options)
	}
	if fresh[Slow] {
		for i := range r.processes {
			in.own[processMetric].observe(o, float64(r.processes[i].bytes), r.processes[i].options)
		}
	}
}

func (m *Monitor) observeXIDs(o metric.Observer, x *xidCounts) {
	in := m.instruments
	counts := x.list()
	for i := range counts {
		c := &counts[i]
		in.own[xidMetric].observe(o, float64(c.n), c.options)
		if !c.last.IsZero() {
			in.own[xidTimeMetric].observe(o, seconds(c.last), c.options)
		}
	}
}
