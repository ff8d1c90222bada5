package gpumetrics

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// instruments holds every metric of this package.
type instruments struct {
	meter    metric.Meter
	all      []metric.Observable
	readings [numReadings]instrument
	parts    [numPartReadings]instrument
	own      [unsettledMetric + 1]instrument

	durations, energyShare, timeShare, energyToken metric.Float64Histogram
	states                                         [len(driverStates)]observeOptions
	unsettled                                      [len(unsettledReasons)]observeOptions
}

// instrument is an observable that takes whole numbers or others.
type instrument struct {
	whole metric.Int64Observable
	float metric.Float64Observable
}

// observe tells one value. Nothing is allocated here.
func (i *instrument) observe(o metric.Observer, v float64, options observeOptions) {
	switch {
	case i.whole != nil:
		o.ObserveInt64(i.whole, int64(v), options...)
	case i.float != nil:
		o.ObserveFloat64(i.float, v, options...)
	}
}

func newInstruments(mp metric.MeterProvider) *instruments {
	in := &instruments{meter: mp.Meter(ScopeName)}
	made := map[string]instrument{}
	for _, d := range definitions {
		made[d.name] = in.observable(d)
	}
	for i, d := range own {
		if d.kind != Histogram {
			in.own[i] = in.observable(d)
		}
	}
	for _, r := range rows() {
		in.readings[r.reading] = made[r.metric]
	}
	for _, r := range partRows {
		in.parts[r.reading] = made[r.metric]
	}
	in.durations = in.histogram(own[durationMetric])
	in.energyShare = in.histogram(own[energyShareMetric])
	in.timeShare = in.histogram(own[timeShareMetric])
	in.energyToken = in.histogram(own[energyTokenMetric])
	for i, s := range driverStates {
		in.states[i] = optionsOf(attrs{keyDriver.String(string(s))})
	}
	for i, reason := range unsettledReasons {
		in.unsettled[i] = optionsOf(attrs{keyErrorType.String(reason)})
	}
	return in
}

// observable makes an instrument. A failure goes to the OpenTelemetry error handler and leaves a
// no-op in place: names are constants, so it can only be a conflict with another instrument.
func (in *instruments) observable(d definition) instrument {
	unit, text := metric.WithUnit(d.unit), metric.WithDescription(d.description)
	if d.whole {
		return in.wholeObservable(d.name, d.kind, unit, text)
	}
	var o metric.Float64Observable
	var err error
	switch d.kind {
	case Counter:
		o, err = in.meter.Float64ObservableCounter(d.name, unit, text)
	case UpDownCounter:
		o, err = in.meter.Float64ObservableUpDownCounter(d.name, unit, text)
	default:
		o, err = in.meter.Float64ObservableGauge(d.name, unit, text)
	}
	if err != nil {
		otel.Handle(err)
		return instrument{}
	}
	in.all = append(in.all, o)
	return instrument{float: o}
}

// option is what every kind of instrument takes: a unit or a description.
type option interface {
	metric.Int64ObservableCounterOption
	metric.Int64ObservableUpDownCounterOption
	metric.Int64ObservableGaugeOption
}

func (in *instruments) wholeObservable(name string, kind Kind, unit, text option) instrument {
	var o metric.Int64Observable
	var err error
	switch kind {
	case Counter:
		o, err = in.meter.Int64ObservableCounter(name, unit, text)
	case UpDownCounter:
		o, err = in.meter.Int64ObservableUpDownCounter(name, unit, text)
	default:
		o, err = in.meter.Int64ObservableGauge(name, unit, text)
	}
	if err != nil {
		otel.Handle(err)
		return instrument{}
	}
	in.all = append(in.all, o)
	return instrument{whole: o}
}

func (in *instruments) histogram(d definition) metric.Float64Histogram {
	h, err := in.meter.Float64Histogram(d.name, metric.WithUnit(d.unit), metric.WithDescription(d.description),
		metric.WithExplicitBucketBoundaries(buckets[d.name]...))
	if err != nil {
		otel.Handle(err)
	}
	if h == nil {
		return noop.Float64Histogram{}
	}
	return h
}

func (in *instruments) register(f metric.Callback) (metric.Registration, error) {
	return in.meter.RegisterCallback(f, in.all...)
}

// duration records how long a sample took.
func (in *instruments) duration(ctx context.Context, d *device, tier Tier, took time.Duration) {
	in.durations.Record(ctx, took.Seconds(), d.series.Load().duration[tier]...)
}
