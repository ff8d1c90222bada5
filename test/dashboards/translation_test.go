package dashboards

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/otel/attribute"
	scraped "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// TestPrometheusNamesMetricsAsWeSay sends every metric of the surface through Prometheus' OTLP receiver, with all of its
// attributes, and compares what is stored with the table that queries are checked against. Once with explicit buckets,
// once with exponential ones.
func TestPrometheusNamesMetricsAsWeSay(t *testing.T) {
	surface, translation := mustSurface(t), mustTranslation(t)
	table, err := translation.Table(surface)
	if err != nil {
		t.Fatal(err)
	}
	for name, exponential := range map[string]bool{"explicit buckets": false, "exponential buckets": true} {
		t.Run(name, func(t *testing.T) {
			s := startPrometheus(t)
			var selector sdkmetric.AggregationSelector
			if exponential {
				selector = exponentialHistograms
			}
			mp, flush := s.provider(t, selector)
			for _, m := range surface {
				emit(t, mp.Meter("test"), m)
			}
			flush()
			got := s.stored(t)
			for series, want := range table {
				m := surface[slices.IndexFunc(surface, func(m Metric) bool { return m.Name == want.Metric })]
				if m.histogram() && want.Native != exponential {
					continue // the form that this run does not send
				}
				if !slices.Equal(got[series], want.Labels) {
					t.Errorf("%s: Prometheus has %s with %v, want the labels %v", want.Metric, series, got[series], want.Labels)
				}
				delete(got, series)
			}
			for series := range got {
				if series != "target_info" {
					t.Errorf("Prometheus has %s, which the table lacks", series)
				}
			}
		})
	}
}

func exponentialHistograms(kind sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	if kind == sdkmetric.InstrumentKindHistogram {
		return sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}
	}
	return sdkmetric.DefaultAggregationSelector(kind)
}

// emit makes the instrument of a metric and gives it one value with every attribute.
func emit(t *testing.T, meter metric.Meter, m Metric) {
	t.Helper()
	var set []attribute.KeyValue
	for _, a := range m.Attributes {
		switch a.Type {
		case "int64":
			set = append(set, attribute.Int(a.Key, 1))
		case "bool":
			set = append(set, attribute.Bool(a.Key, true))
		default:
			set = append(set, attribute.String(a.Key, "x"))
		}
	}
	with := metric.WithAttributes(set...)
	ctx := context.Background()
	var err error
	switch strings.TrimSuffix(strings.TrimSuffix(m.Kind, " int64"), " float64") {
	case "counter":
		var c metric.Float64Counter
		if c, err = meter.Float64Counter(m.Name, metric.WithUnit(m.Unit)); err == nil {
			c.Add(ctx, 1, with)
		}
	case "up-down counter":
		var c metric.Float64UpDownCounter
		if c, err = meter.Float64UpDownCounter(m.Name, metric.WithUnit(m.Unit)); err == nil {
			c.Add(ctx, 1, with)
		}
	case "gauge":
		var g metric.Float64Gauge
		if g, err = meter.Float64Gauge(m.Name, metric.WithUnit(m.Unit)); err == nil {
			g.Record(ctx, 1, with)
		}
	case "histogram":
		var h metric.Float64Histogram
		if h, err = meter.Float64Histogram(m.Name, metric.WithUnit(m.Unit), metric.WithExplicitBucketBoundaries(1, 2)); err == nil {
			h.Record(ctx, 1, with)
		}
	default:
		t.Fatalf("%s is of the unknown kind %q", m.Name, m.Kind)
	}
	if err != nil {
		t.Fatalf("make %s: %v", m.Name, err)
	}
}

// stored returns the labels of every series by its name; of all series of a name together.
func (s *server) stored(t *testing.T) map[string][]string {
	t.Helper()
	now := time.Now()
	querier, err := s.db.Querier(now.Add(-time.Hour).UnixMilli(), now.Add(time.Hour).UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = querier.Close() }()
	found := make(map[string]map[string]bool)
	set := querier.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	for set.Next() {
		series := set.At().Labels()
		name := series.Get("__name__")
		if found[name] == nil {
			found[name] = make(map[string]bool)
		}
		series.Range(func(l labels.Label) {
			if l.Name != "__name__" {
				found[name][l.Name] = true
			}
		})
	}
	if set.Err() != nil {
		t.Fatal(set.Err())
	}
	all := make(map[string][]string)
	for name, set := range found {
		all[name] = slices.Sorted(maps.Keys(set))
	}
	return all
}

// TestTheScrapedNamesAreTheSame compares the names at the gateway's own /metrics, where Prometheus reads instead of being
// sent to, with those that queries are checked against.
func TestTheScrapedNamesAreTheSame(t *testing.T) {
	surface, translation := mustSurface(t), mustTranslation(t)
	registry := client.NewRegistry()
	exporter, err := scraped.New(scraped.WithRegisterer(registry))
	if err != nil {
		t.Fatal(err)
	}
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	for _, m := range surface {
		emit(t, mp.Meter("test"), m)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]bool)
	for _, f := range families {
		got[f.GetName()] = true
	}
	for _, m := range surface {
		series, err := translation.Series(m)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for name := range series {
			found = found || got[name]
		}
		if !found {
			t.Errorf("%s: /metrics has none of %v", m.Name, slices.Sorted(maps.Keys(series)))
		}
	}
}
