package gpumetrics

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// eight is a machine with eight GPUs that tell everything, sampled once, with n data points.
func eight(tb testing.TB, opts ...sdkmetric.Option) (m *Monitor, reader *sdkmetric.ManualReader, stop func()) {
	tb.Helper()
	src := &eightGPUs{}
	for i := range 8 {
		src.gpus = append(src.gpus, newTalkative(Info{ID: fmt.Sprintf("GPU-%d", i), Model: "NVIDIA H100 80GB HBM3", NUMANode: -1}))
	}
	reader = sdkmetric.NewManualReader()
	m, err := New(src, WithMeterProvider(sdkmetric.NewMeterProvider(append(opts, sdkmetric.WithReader(reader))...)), WithPCIeThroughput(), WithLinks())
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = m.Run(ctx); close(done) }()
	for i := 0; !sampled(m); i++ {
		if i == 5000 {
			tb.Fatal("the GPUs were not sampled within five seconds")
		}
		<-time.After(time.Millisecond)
	}
	return m, reader, func() { cancel(); <-done }
}

func sampled(m *Monitor) bool {
	devices := m.Latest().Devices
	for i := range devices {
		if _, ok := devices[i].Value(BAR1Used); !ok {
			return false
		}
	}
	return len(devices) == 8
}

type eightGPUs struct{ gpus []*talkative }

func (e *eightGPUs) Open(context.Context) (devices []Device, err error) {
	for _, g := range e.gpus {
		devices = append(devices, g)
	}
	return devices, nil
}
func (e *eightGPUs) Close(context.Context) error { return nil }

// counting is an observer that counts what it is told, and does nothing else.
type counting struct {
	embedded.Observer
	n int
}

func (c *counting) ObserveFloat64(metric.Float64Observable, float64, ...metric.ObserveOption) { c.n++ }

func (c *counting) ObserveInt64(metric.Int64Observable, int64, ...metric.ObserveOption) { c.n++ }

func TestTheCallbackAllocatesNothing(t *testing.T) {
	m, _, stop := eight(t)
	defer stop()
	o := &counting{}
	if n := testing.AllocsPerRun(100, func() { _ = m.observe(t.Context(), o) }); n != 0 {
		t.Errorf("got %v allocations in the callback, want none", n)
	}
	if o.n/101 < 8*150 {
		t.Errorf("got %d data points, want every one of eight GPUs", o.n/101)
	}
}

// rebuilding is an observer that makes attributes anew for each data point, as callbacks are often
// written.
type rebuilding struct {
	embedded.Observer
	to metric.Observer
}

func anew(options []metric.ObserveOption) []metric.ObserveOption {
	set := metric.NewObserveConfig(options).Attributes()
	kvs := make([]attribute.KeyValue, 0, 4)
	for iter := set.Iter(); iter.Next(); {
		kvs = append(kvs, iter.Attribute())
	}
	return []metric.ObserveOption{metric.WithAttributes(kvs...)}
}

func (r *rebuilding) ObserveFloat64(i metric.Float64Observable, v float64, options ...metric.ObserveOption) {
	r.to.ObserveFloat64(i, v, anew(options)...)
}

func (r *rebuilding) ObserveInt64(i metric.Int64Observable, v int64, options ...metric.ObserveOption) {
	r.to.ObserveInt64(i, v, anew(options)...)
}

// naively has the monitor's callback called in the naive way.
func naively(b *testing.B, m *Monitor) func() {
	b.Helper()
	r, err := m.instruments.register(func(ctx context.Context, o metric.Observer) error {
		return m.observe(ctx, &rebuilding{to: o})
	})
	if err != nil {
		b.Fatal(err)
	}
	return func() { _ = r.Unregister() }
}

// BenchmarkCallback measures the callback of eight GPUs with all readings alone, and a whole
// collection by the SDK with it, with attributes made anew, and while a GPU hangs.
func BenchmarkCallback(b *testing.B) {
	b.Run("callback", func(b *testing.B) {
		m, _, stop := eight(b)
		defer stop()
		o := &counting{}
		b.ReportAllocs()
		for b.Loop() {
			o.n = 0
			_ = m.observe(b.Context(), o)
		}
		b.ReportMetric(float64(o.n), "points")
	})
	b.Run("callback, a GPU hangs", func(b *testing.B) {
		m, _, stop := eight(b)
		defer stop()
		g := (*m.devices.Load())[0].guard.Load()
		g.since.Store(1)
		g.wedged.Store(true)
		defer g.wedged.Store(false)
		b.ReportAllocs()
		o := &counting{}
		for b.Loop() {
			_ = m.observe(b.Context(), o)
		}
	})
	b.Run("collect", func(b *testing.B) { benchmarkCollect(b, nil) })
	b.Run("collect, attributes made anew", func(b *testing.B) { benchmarkCollect(b, naively) })
}

// benchmarkCollect measures collections; instead replaces the monitor's own callback.
func benchmarkCollect(b *testing.B, instead func(*testing.B, *Monitor) func()) {
	m, reader, stop := eight(b)
	if instead != nil {
		stop()
		defer instead(b, m)()
	} else {
		defer stop()
	}
	var rm metricdata.ResourceMetrics
	b.ReportAllocs()
	for b.Loop() {
		if err := reader.Collect(b.Context(), &rm); err != nil {
			b.Fatal(err)
		}
	}
}
