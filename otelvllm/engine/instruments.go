package engine

import (
	"net"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// ScopeName is the name of the instrumentation scope of this package's metrics.
const ScopeName = "github.com/otelvllm/otelvllm-go/otelvllm/engine"

// Attribute keys. server.* are the OpenTelemetry conventions'; no convention covers the others.
const (
	keyRank    = attribute.Key("vllm.engine.rank")
	keyModel   = attribute.Key("vllm.model")
	keyState   = attribute.Key("vllm.request.state")
	keyReason  = attribute.Key("vllm.wait.reason")
	keyAddress = attribute.Key("server.address")
	keyPort    = attribute.Key("server.port")
)

// instruments holds every metric of this package. All are observed from memory, of engines whose last
// reading is current; an engine's counters go on where they were when it restarts.
type instruments struct {
	meter             metric.Meter
	requests, waiting metric.Int64ObservableUpDownCounter
	kvCache, age      metric.Float64ObservableGauge
	asleep, up        metric.Int64ObservableGauge
	counters          [totalCount]metric.Int64ObservableCounter
	registered        []metric.Observable
}

func newInstruments(mp metric.MeterProvider) instruments {
	b := &builder{meter: mp.Meter(ScopeName)}
	in := instruments{
		meter: b.meter,
		requests: b.upDown("vllm.scheduler.requests",
			"Requests that the engine's scheduler has, by state, as of its last step."),
		waiting: b.upDown("vllm.scheduler.waiting",
			"Requests that wait in the engine's scheduler, by what they wait for."),
		kvCache: b.gauge("vllm.kv_cache.utilization", "1",
			"Share of the KV cache's blocks that are in use, from 0 to 1."),
		age: b.gauge("vllm.engine.scrape.age", "s",
			"Time since the last good reading of the engine's metrics; absent if there never was one."),
		asleep: b.flag("vllm.engine.asleep",
			"1 while the engine sleeps and requests wait until it is woken, 0 while it is awake."),
		up: b.flag("vllm.engine.up",
			"1 while the engine can serve; 0 while it loads, sleeps, hangs, is dead or cannot be reached."),
	}
	in.counters = [totalCount]metric.Int64ObservableCounter{
		totalPreemptions: b.counter("vllm.scheduler.preemptions", "{preemption}",
			"Requests that lost their place in the batch for want of KV cache, counted when they go on."),
		totalPrompt: b.counter("vllm.engine.prompt_tokens", "{token}",
			"Prompt tokens that the engine has processed, those of aborted requests too."),
		totalGeneration: b.counter("vllm.engine.generation_tokens", "{token}",
			"Tokens that the engine has generated, those of aborted requests too."),
		totalQueries: b.counter("vllm.prefix_cache.queries", "{token}",
			"Tokens of prompts that were looked up in the prefix cache."),
		totalHits: b.counter("vllm.prefix_cache.hits", "{token}",
			"Tokens of prompts that were found in the prefix cache."),
	}
	in.registered = b.all
	return in
}

// register has every instrument observed by f.
func (in *instruments) register(f metric.Callback) (metric.Registration, error) {
	return in.meter.RegisterCallback(f, in.registered...)
}

// builder makes instruments and collects them. A failure goes to the OpenTelemetry error handler and
// leaves a no-op in place: names are constants, so it can only be a conflict with another instrument.
type builder struct {
	meter metric.Meter
	all   []metric.Observable
}

func (b *builder) made(o metric.Observable, err error) {
	if err != nil {
		otel.Handle(err)
	}
	b.all = append(b.all, o)
}

func (b *builder) upDown(name, description string) metric.Int64ObservableUpDownCounter {
	o, err := b.meter.Int64ObservableUpDownCounter(name, metric.WithUnit("{request}"), metric.WithDescription(description))
	if o == nil {
		o = noop.Int64ObservableUpDownCounter{}
	}
	b.made(o, err)
	return o
}

func (b *builder) gauge(name, unit, description string) metric.Float64ObservableGauge {
	o, err := b.meter.Float64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
	if o == nil {
		o = noop.Float64ObservableGauge{}
	}
	b.made(o, err)
	return o
}

func (b *builder) flag(name, description string) metric.Int64ObservableGauge {
	o, err := b.meter.Int64ObservableGauge(name, metric.WithUnit("1"), metric.WithDescription(description))
	if o == nil {
		o = noop.Int64ObservableGauge{}
	}
	b.made(o, err)
	return o
}

func (b *builder) counter(name, unit, description string) metric.Int64ObservableCounter {
	o, err := b.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	if o == nil {
		o = noop.Int64ObservableCounter{}
	}
	b.made(o, err)
	return o
}

// observeOptions are attributes made ready once, as a slice that observing does not copy.
type observeOptions []metric.ObserveOption

func observed(kv ...attribute.KeyValue) observeOptions {
	return observeOptions{metric.WithAttributeSet(attribute.NewSet(kv...))}
}

// rankView is what is observed of one rank.
type rankView struct {
	rank    *Rank
	totals  [totalCount]Value
	options *rankOptions
}

type rankOptions struct {
	plain, running, waiting, swapped, capacity, deferred observeOptions
}

// addressOf returns the attributes of host:port.
func addressOf(address string) []attribute.KeyValue {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return []attribute.KeyValue{keyAddress.String(address)}
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return []attribute.KeyValue{keyAddress.String(host)}
	}
	return []attribute.KeyValue{keyAddress.String(host), keyPort.Int(n)}
}

func optionsOf(address string) observeOptions { return observed(addressOf(address)...) }

func optionsOfRank(address string, r *Rank) *rankOptions {
	base := append(addressOf(address), keyRank.String(r.Rank))
	if r.Model != "" {
		base = append(base, keyModel.String(r.Model))
	}
	with := func(kv attribute.KeyValue) observeOptions { return observed(append(base[:len(base):len(base)], kv)...) }
	return &rankOptions{
		plain:    observed(base...),
		running:  with(keyState.String("running")),
		waiting:  with(keyState.String("waiting")),
		swapped:  with(keyState.String("swapped")),
		capacity: with(keyReason.String("capacity")),
		deferred: with(keyReason.String("deferred")),
	}
}

// observe tells everything of one engine.
func (in *instruments) observe(o metric.Observer, v *view, now time.Time, interval time.Duration) {
	s := v.at(now, interval)
	if s.State != Unknown {
		up := int64(0)
		if s.State == Up {
			up = 1
		}
		o.ObserveInt64(in.up, up, v.options...)
	}
	if s.Age >= 0 {
		o.ObserveFloat64(in.age, s.Age.Seconds(), v.options...)
	}
	if s.Snapshot == nil {
		return
	}
	for i := range v.ranks {
		in.observeRank(o, &v.ranks[i])
	}
}

func (in *instruments) observeRank(o metric.Observer, v *rankView) {
	r, with := v.rank, v.options
	whole := func(inst metric.Int64Observable, value Value, options observeOptions) {
		if value.Known {
			o.ObserveInt64(inst, int64(value.V), options...)
		}
	}
	whole(in.requests, r.Running, with.running)
	whole(in.requests, r.Waiting, with.waiting)
	whole(in.requests, r.Swapped, with.swapped)
	whole(in.waiting, r.WaitingCapacity, with.capacity)
	whole(in.waiting, r.WaitingDeferred, with.deferred)
	whole(in.asleep, r.Asleep, with.plain)
	if r.KVCache.Known {
		o.ObserveFloat64(in.kvCache, r.KVCache.V, with.plain...)
	}
	for i, total := range v.totals {
		whole(in.counters[i], total, with.plain)
	}
}
