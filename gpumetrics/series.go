package gpumetrics

import (
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const keyErrorType = attribute.Key(keyError)

// table is the rows as the options have them.
type table struct {
	rows   [numReadings]row
	counts bitset // readings that are counts
	off    bitset // readings that are switched off
	links  bool   // bytes of links are wanted one by one
	serial bool
}

func newTable(c *config) *table {
	t := &table{links: c.links, serial: c.serial}
	for _, r := range rows() {
		t.rows[r.reading] = r
		if r.check.counts() {
			t.counts.add(r.reading)
		}
		if r.feature == profiling && c.noProfiling || r.feature == throughput && !c.throughput {
			t.off.add(r.reading)
		}
	}
	return t
}

func (r *row) factor() float64 {
	if r.scale == 0 {
		return 1
	}
	return r.scale
}

func (r *partRow) factor() float64 {
	if r.scale == 0 {
		return 1
	}
	return r.scale
}

// observeOptions are attributes made ready once, as a slice that observing does not copy.
type observeOptions []metric.ObserveOption

func optionsOf(as attrs) observeOptions {
	return observeOptions{metric.WithAttributeSet(attribute.NewSet(as...))}
}

func recordOptionsOf(as attrs) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(as...))}
}

// deviceSeries are the attributes of every data point that a device can have.
type deviceSeries struct {
	readings [numReadings]observeOptions
	plain    observeOptions
	info     observeOptions
	status   [len(statuses)]observeOptions
	duration [len(tiers)][]metric.RecordOption
}

func newDeviceSeries(t *table, i *Info) *deviceSeries {
	base := identity(i)
	with := func(more ...attribute.KeyValue) attrs { return append(base[:len(base):len(base)], more...) }
	s := &deviceSeries{plain: optionsOf(base), info: optionsOf(infoAttributes(i, t.serial))}
	for r := range t.rows {
		row := &t.rows[r]
		id := base
		if row.part != "" {
			id = partIdentity(i, row.part)
		}
		s.readings[r] = s.plain
		if row.part != "" || len(row.attrs) > 0 {
			s.readings[r] = optionsOf(append(id[:len(id):len(id)], row.attrs...))
		}
	}
	for n, status := range statuses {
		s.status[n] = optionsOf(with(attribute.String(keyType, "gpu"), keyState.String(string(status))))
	}
	for n, tier := range tiers {
		s.duration[n] = recordOptionsOf(with(keyTier.String(tier.String())))
	}
	return s
}

// partSeries are the attributes of every data point that a part of a device can have.
type partSeries struct {
	kind     PartKind
	readings [numPartReadings]observeOptions
}

func newPartSeries(i *Info, key partKey) *partSeries {
	id := partIdentity(i, key.kind.String()+"/"+strconv.Itoa(key.index))
	s := &partSeries{kind: key.kind}
	for r := range partRows {
		s.readings[r] = optionsOf(append(id[:len(id):len(id)], partRows[r].attrs...))
	}
	return s
}

// String returns the word that names a part in its identity: "nvlink", "fan" or "c2c".
func (k PartKind) String() string {
	switch k {
	case Link:
		return nvlink
	case Fan:
		return "fan"
	default:
		return "c2c"
	}
}
