package otlp

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// measuring is a Telemetry with metrics alone over the real OTLP exporter, for virtual time: three points in
// two metrics each collection.
type measuring struct {
	*Telemetry
	collector *collector
	counter   metric.Int64Counter
}

func newMeasuring(t *testing.T, temporality metricdata.Temporality) *measuring {
	t.Helper()
	c := &collector{}
	inner, err := otlpmetrichttp.New(t.Context(), otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}),
		otlpmetrichttp.WithHTTPClient(&http.Client{Transport: noting{c}, Timeout: 10 * time.Second}),
		otlpmetrichttp.WithTemporalitySelector(func(sdkmetric.InstrumentKind) metricdata.Temporality { return temporality }))
	if err != nil {
		t.Fatal(err)
	}
	tel := &Telemetry{accounts: newAccounts(), shutdown: newOnce()}
	tel.metrics = &metricExporter{Exporter: inner, ledger: tel.accounts.metrics, reporter: newReporter(func(error) {})}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(tel.metrics)))
	tel.meters = provider
	m := &measuring{Telemetry: tel, collector: c}
	meter := provider.Meter("test")
	m.counter, _ = meter.Int64Counter("requests")
	histogram, _ := meter.Float64Histogram("durations")
	m.counter.Add(t.Context(), 1, metric.WithAttributes(attribute.String("k", "a\xffb")))
	m.counter.Add(t.Context(), 1, metric.WithAttributes(attribute.String("k", "v")))
	histogram.Record(t.Context(), 1)
	return m
}

func (m *measuring) stopIn(t *testing.T, d time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	begin := time.Now()
	err := m.Shutdown(ctx)
	if took := time.Since(begin); took > d+50*time.Millisecond {
		t.Errorf("Shutdown took %v, want at most %v and 50ms", took, d)
	}
	return err
}

func TestFailedCumulativeExportsAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeasuring(t, metricdata.CumulativeTemporality)
		m.collector.always(reply{err: errRefused})
		time.Sleep(10*time.Minute + time.Second) // between two collections
		m.collector.set(nil)
		if err := m.stopIn(t, time.Second); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
		if got := m.Lost(); got != (Lost{}) {
			t.Errorf("Lost: got %+v, want none", got)
		}
		if got := len(m.collector.metrics); got != 2 {
			t.Errorf("got %d metrics, want 2: an attribute that is not UTF-8 must not cost the export", got)
		}
	})
}

func TestCumulativePointsAreLostAtShutdown(t *testing.T) {
	tests := map[string]struct {
		reply reply
		limit time.Duration
	}{
		"refused":                 {reply{err: errRefused}, time.Second},
		"hung":                    {reply{hang: true}, time.Second},
		"400":                     {reply{status: 400}, time.Second},
		"context already expired": {reply{hang: true}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMeasuring(t, metricdata.CumulativeTemporality)
				m.collector.always(test.reply)
				time.Sleep(61 * time.Second) // a periodic export has failed, or hangs
				err := m.stopIn(t, test.limit)
				var lost *LostError
				if !errors.As(err, &lost) || lost.Lost != (Lost{Metrics: 3}) {
					t.Errorf("got %v, want 3 points lost", err)
				}
				synctest.Wait()
				if got := m.accounts.metrics.reasons(); got[reasonShutdown] != 3 || len(got) != 1 {
					t.Errorf("reasons: got %v, want 3 for shutdown", got)
				}
			})
		})
	}
}

func TestLastExportIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeasuring(t, metricdata.CumulativeTemporality)
		m.collector.set(func(*http.Request, int) reply {
			if m.collector.requests < 3 {
				return reply{status: http.StatusServiceUnavailable}
			}
			return reply{}
		})
		if err := m.stopIn(t, 10*time.Second); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
	})
}

func TestDeltasAreRetriedThenLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeasuring(t, metricdata.DeltaTemporality)
		m.collector.always(reply{err: errRefused})
		time.Sleep(100 * time.Second) // one collection, given up after thirty seconds
		if got := m.Lost(); got != (Lost{Metrics: 3}) {
			t.Errorf("Lost: got %+v, want 3 points", got)
		}
		if requests, _, _ := m.collector.counts(); requests < 4 {
			t.Errorf("got %d requests, want retries", requests)
		}
		m.collector.set(nil)
		m.counter.Add(t.Context(), 1)
		if err := m.stopIn(t, time.Second); err == nil {
			t.Error("Shutdown: got nil, want what was lost before")
		}
		l := m.accounts.metrics
		if l.made != 4 || l.delivered != 1 || l.reasons()[reasonExport] != 3 {
			t.Errorf("got %d made, %d delivered, dropped %v, want 4, 1 and 3", l.made, l.delivered, l.reasons())
		}
	})
}

func TestTooLargeMetricsAreSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeasuring(t, metricdata.CumulativeTemporality)
		m.collector.set(func(_ *http.Request, metrics int) reply {
			if metrics > 1 {
				return reply{status: http.StatusRequestEntityTooLarge}
			}
			return reply{}
		})
		if err := m.stopIn(t, time.Second); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
		if got := len(m.collector.metrics); got != 2 {
			t.Errorf("got %d metrics, want 2", got)
		}
	})
}

func TestRejectedPointsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeasuring(t, metricdata.CumulativeTemporality)
		m.collector.always(reply{rejected: 2})
		err := m.stopIn(t, time.Second)
		var lost *LostError
		if !errors.As(err, &lost) || lost.Metrics != 2 || m.accounts.metrics.delivered != 1 {
			t.Errorf("got %v and %d delivered, want 2 lost and 1 delivered", err, m.accounts.metrics.delivered)
		}
	})
}
