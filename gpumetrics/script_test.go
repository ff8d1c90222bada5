package gpumetrics

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// script is a Source whose GPUs do what the test says. Its fields may change between calls.
type script struct {
	mu     sync.Mutex
	open   func(try int) ([]Device, error) // nil: the devices
	gpus   []*card
	opens  int
	closes int
	openAt []time.Time
}

func (s *script) Open(context.Context) ([]Device, error) {
	s.mu.Lock()
	s.opens++
	s.openAt = append(s.openAt, time.Now())
	open, try := s.open, s.opens
	var devices []Device
	for _, g := range s.gpus {
		devices = append(devices, g)
	}
	s.mu.Unlock()
	if open != nil {
		return open(try)
	}
	return devices, nil
}

func (s *script) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closes++
	return nil
}

func (s *script) counts() (opens, closes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens, s.closes
}

// talker is a script with events.
type talker struct {
	*script
	next func(ctx context.Context) (Event, error)
}

func (s *talker) NextEvent(ctx context.Context) (Event, error) { return s.next(ctx) }

// card is one scripted GPU.
type card struct {
	info   Info
	mu     sync.Mutex
	sample func(tier Tier, s *Sample) error
	calls  []call
	inside int
	most   int // calls at the same time
}

type call struct {
	at   time.Time
	tier Tier
}

func newCard(id string, sample func(tier Tier, s *Sample) error) *card {
	return &card{info: Info{ID: id, Model: "Test GPU", Vendor: "NVIDIA", NUMANode: -1}, sample: sample}
}

func (c *card) Info() Info { return c.info }

func (c *card) Sample(tier Tier, s *Sample) error {
	c.mu.Lock()
	c.calls = append(c.calls, call{time.Now(), tier})
	c.inside++
	c.most = max(c.most, c.inside)
	sample := c.sample
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.inside--
		c.mu.Unlock()
	}()
	if sample == nil {
		return nil
	}
	return sample(tier, s)
}

func (c *card) script(sample func(tier Tier, s *Sample) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sample = sample
}

func (c *card) times(tier Tier) (at []time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range c.calls {
		if call.tier == tier {
			at = append(at, call.at)
		}
	}
	return at
}

// fast is a sample of one reading of the fast tier.
func fast(set func(s *Sample)) func(Tier, *Sample) error {
	return func(tier Tier, s *Sample) error {
		if tier == Fast {
			set(s)
		}
		return nil
	}
}

// steady tells a utilization of one half.
func steady(tier Tier, s *Sample) error {
	if tier == Fast {
		s.Set(UtilizationGeneral, 0.5)
	}
	return nil
}

// play is a monitor that runs, with a reader of its metrics.
type play struct {
	t      *testing.T
	m      *Monitor
	reader *sdkmetric.ManualReader
	stop   func()
}

// start runs a monitor of src until the test stops it. It must be called in a synctest bubble.
func start(t *testing.T, src Source, opts ...Option) *play {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	m, err := New(src, append([]Option{WithMeterProvider(mp)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	stopped := false
	return &play{t, m, reader, func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	}}
}

// collect returns what a reader sees: "name{key=value,…}" with the value of each data point.
func (p *play) collect() map[string]float64 { return collect(p.t, p.reader) }

func collect(t *testing.T, reader sdkmetric.Reader) map[string]float64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &rm); err != nil {
		t.Fatal(err)
	}
	points := map[string]float64{}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Gauge[float64]:
				addPoints(points, m.Name, d.DataPoints)
			case metricdata.Gauge[int64]:
				addPoints(points, m.Name, d.DataPoints)
			case metricdata.Sum[float64]:
				addPoints(points, m.Name, d.DataPoints)
			case metricdata.Sum[int64]:
				addPoints(points, m.Name, d.DataPoints)
			case metricdata.Histogram[float64]:
				for _, dp := range d.DataPoints {
					points[name(m.Name+".count", dp.Attributes)] = float64(dp.Count)
					points[name(m.Name+".sum", dp.Attributes)] = dp.Sum
				}
			default:
				t.Errorf("%s: unexpected data %T", m.Name, m.Data)
			}
		}
	}
	return points
}

func addPoints[N int64 | float64](points map[string]float64, metric string, dps []metricdata.DataPoint[N]) {
	for _, dp := range dps {
		points[name(metric, dp.Attributes)] = float64(dp.Value)
	}
}

// name writes a series without hw.name, which is the same everywhere.
func name(metric string, set attribute.Set) string {
	var kvs []string
	for _, kv := range set.ToSlice() {
		if kv.Key != keyName {
			kvs = append(kvs, string(kv.Key)+"="+kv.Value.String())
		}
	}
	slices.Sort(kvs)
	out := metric + "{"
	for i, kv := range kvs {
		if i > 0 {
			out += ","
		}
		out += kv
	}
	return out + "}"
}

// want compares one series.
func want(t *testing.T, points map[string]float64, series string, value float64) {
	t.Helper()
	got, ok := points[series]
	if !ok {
		t.Errorf("%s: got none, want %v", series, value)
	} else if diff := got - value; diff > 1e-9 || diff < -1e-9 {
		t.Errorf("%s: got %v, want %v", series, got, value)
	}
}

func wantNone(t *testing.T, points map[string]float64, series string) {
	t.Helper()
	if got, ok := points[series]; ok {
		t.Errorf("%s: got %v, want none", series, got)
	}
}
