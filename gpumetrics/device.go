package gpumetrics

import (
	"slices"
	"sync/atomic"
	"time"
)

// Bounds of what a driver can make the monitor keep and export.
const (
	maxDevices   = 64
	maxParts     = 64
	maxProcesses = 64
	maxErrors    = 16
	maxXIDs      = 15 // codes of one device beside those that are expected
)

// device is all that the monitor knows of one device, by its identity: it outlives the closing and
// opening of the source. The worker that samples the device owns what is not atomic.
type device struct {
	info   atomic.Pointer[Info]
	series atomic.Pointer[deviceSeries]
	latest atomic.Pointer[record]
	guard  atomic.Pointer[guard] // of the worker that samples it now
	lost   atomic.Bool
	xids   xidCounts

	dev      Device
	support  [numReadings]support
	table    atomic.Pointer[[numReadings]support] // a copy for Support
	counters [numReadings]accumulator
	parts    map[partKey]*part
	errors   []errorCount
	values   record // the one that is published next
	again    bool   // what is read once could not all be read
	failures int    // samples that failed, in a row
	until    time.Time
}

// partKey names one part of a device.
type partKey struct {
	kind  PartKind
	index int
}

// part keeps the counters of one part.
type part struct {
	series   *partSeries
	counters [numPartReadings]accumulator
	told     time.Time // when a sample last had it
}

type errorCount struct {
	detail  string
	options observeOptions
	n       int64
}

// newDevice makes the state of a device that was not there before.
func newDevice(t *table, info *Info) *device {
	d := &device{parts: map[partKey]*part{}}
	d.values.counts = t.counts
	d.describe(t, info)
	return d
}

// describe takes what the source says of the device, when the source was opened.
func (d *device) describe(t *table, info *Info) {
	if old := d.info.Load(); old != nil && *old == *info {
		return
	}
	d.info.Store(info)
	d.series.Store(newDeviceSeries(t, info))
	d.xids.describe(info)
	for key, p := range d.parts {
		p.series = newPartSeries(info, key)
	}
}

// opened begins anew what is only true while a source is open.
func (d *device) opened(dev Device) {
	d.dev, d.again, d.failures, d.until = dev, true, 0, time.Time{}
	d.support = [numReadings]support{}
	d.lost.Store(false)
	d.xids.opened()
}

// prepare empties s and marks what is not wanted of the device now.
func (d *device) prepare(s *Sample, t *table, now time.Time) {
	s.Reset()
	s.At = now
	s.skip = t.off
	s.links = t.links
	for r := range d.support {
		if !d.support[r].wanted(now) {
			s.skip.add(Reading(r))
		}
	}
}

// take makes the sample of one tier part of what is known, and publishes it.
func (d *device) take(s *Sample, tier Tier, t *table, now time.Time) {
	r := &d.values
	r.at[tier] = s.At
	for i := range numReadings {
		d.takeReading(s, i, tier, t, now)
	}
	d.derive(tier, t)
	if tier == Once {
		d.again = slices.ContainsFunc(s.values[:], func(v value) bool { return v.miss == Failed || v.miss == Denied })
	}
	if tier == Slow {
		d.takeParts(s, now)
	}
	if power, ok := r.values[Power], r.known.has(Power); ok && (r.minPower == 0 || power < r.minPower) {
		r.minPower = power
	}
	d.failures = 0
	table := d.support
	d.table.Store(&table)
	d.publish()
}

// publish shows what is known. The copy shares the lists, which are replaced and never changed.
func (d *device) publish() {
	r := d.values
	r.errors = make([]errorRecord, len(d.errors))
	for i := range d.errors {
		r.errors[i] = errorRecord{options: d.errors[i].options, n: d.errors[i].n}
	}
	d.latest.Store(&r)
}

func (d *device) takeReading(s *Sample, i Reading, tier Tier, t *table, now time.Time) {
	v, r, row := &s.values[i], &d.values, &t.rows[i]
	if t.off.has(i) {
		return
	}
	if !v.known {
		d.miss(i, v, tier, now)
		return
	}
	if row.check.counts() {
		switch {
		case !plausibleCount(v.count, v.bits):
			d.implausible(i, now)
		case !d.counters[i].add(v.count, v.bits, now, row.check, row.factor()):
			d.implausible(i, now)
			if row.check == heldTime { // its unit is not what the driver's documentation says
				d.support[i].missed(NotSupported, implausible, now)
			}
		default:
			d.support[i].good()
			r.values[i] = d.counters[i].sum
			r.known.add(i)
		}
		return
	}
	value := v.v * row.factor()
	if !row.check.ok(value) {
		r.known.remove(i)
		d.implausible(i, now)
		return
	}
	d.support[i].good()
	r.values[i], r.tier[i] = value, tier
	r.known.add(i)
}

// miss notes why a reading is not there. A gauge that this tier told before is forgotten: what is
// not known is absent. A count stays.
func (d *device) miss(i Reading, v *value, tier Tier, now time.Time) {
	r := &d.values
	if v.miss == NotAsked {
		if r.known.has(i) && !r.counts.has(i) && r.tier[i] == tier {
			r.known.remove(i)
		}
		return
	}
	if !r.counts.has(i) {
		r.known.remove(i)
	}
	d.support[i].missed(v.miss, v.detail, now)
	if v.miss != NotSupported {
		d.failed(v.detail)
	}
}

const implausible = "implausible"

func (d *device) implausible(i Reading, now time.Time) {
	d.support[i].missed(Failed, implausible, now)
	d.failed(implausible)
}

// derive computes what follows from other readings, and drops what contradicts them.
func (d *device) derive(tier Tier, t *table) {
	r := &d.values
	if tier != Fast {
		return
	}
	r.known.remove(MemoryUtilization)
	if !r.known.has(MemoryUsed) || !r.known.has(MemoryTotal) {
		return
	}
	used, total := r.values[MemoryUsed], r.values[MemoryTotal]
	if used > total {
		r.known.remove(MemoryUsed)
		d.failed(implausible)
		return
	}
	if total > 0 && !t.off.has(MemoryUtilization) {
		r.values[MemoryUtilization], r.tier[MemoryUtilization] = used/total, r.tier[MemoryUsed]
		r.known.add(MemoryUtilization)
	}
}

// takeParts replaces what is known of the device's parts. The counts of parts that the sample lacks
// stay: a reader with delta temporality would take one that comes back for all new.
func (d *device) takeParts(s *Sample, now time.Time) {
	records := make([]partRecord, 0, len(s.parts))
	for n := range s.parts {
		told := &s.parts[n]
		p := d.part(partKey{told.Kind, told.Index})
		if p == nil || p.told.Equal(now) {
			continue
		}
		p.told = now
		rec := partRecord{series: p.series}
		for i := range told.values {
			d.takePart(p, &rec, PartReading(i), &told.values[i], now)
		}
		records = append(records, rec)
	}
	for _, p := range d.parts {
		if p.told.Equal(now) {
			continue
		}
		rec := partRecord{series: p.series}
		for i := range partRows {
			rec.values[i], rec.known[i] = p.counters[i].sum, !p.counters[i].at.IsZero()
		}
		records = append(records, rec)
	}
	d.values.parts = records
}

// part returns the state of a part, nil if there are too many.
func (d *device) part(key partKey) *part {
	p := d.parts[key]
	if p == nil && len(d.parts) < maxParts {
		p = &part{series: newPartSeries(d.info.Load(), key)}
		d.parts[key] = p
	}
	return p
}

func (d *device) takePart(p *part, rec *partRecord, i PartReading, v *value, now time.Time) {
	row := &partRows[i]
	switch {
	case row.check.counts():
		if v.known && (!plausibleCount(v.count, v.bits) || !p.counters[i].add(v.count, v.bits, now, row.check, row.factor())) {
			d.failed(implausible)
		}
		rec.values[i], rec.known[i] = p.counters[i].sum, !p.counters[i].at.IsZero()
	case !v.known:
		if v.miss == Failed || v.miss == Denied {
			d.failed(v.detail)
		}
	case !row.check.ok(v.v):
		d.failed(implausible)
	default:
		rec.values[i], rec.known[i] = v.v, true
	}
}

// failed counts an error by the driver's word for it.
func (d *device) failed(detail string) {
	if detail == "" {
		detail = other
	}
	at := func() int {
		return slices.IndexFunc(d.errors, func(e errorCount) bool { return e.detail == detail })
	}
	i := at()
	if i < 0 && len(d.errors) >= maxErrors-1 {
		detail = other
		i = at()
	}
	if i < 0 {
		i = len(d.errors)
		d.errors = append(d.errors, errorCount{
			detail: detail, options: optionsOf(append(identity(d.info.Load()), keyErrorType.String(detail))),
		})
	}
	d.errors[i].n++
}

// other stands for the values that a bounded attribute has no room for.
const other = "_OTHER"
