package otlp

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

type deafMetric struct{ release chan struct{} }

func (deafMetric) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality {
	return metricdata.CumulativeTemporality
}

func (deafMetric) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

func (d deafMetric) Export(context.Context, *metricdata.ResourceMetrics) error {
	<-d.release
	return nil
}
func (d deafMetric) ForceFlush(context.Context) error { return nil }
func (d deafMetric) Shutdown(context.Context) error   { <-d.release; return nil }

type deafLog struct{ release chan struct{} }

func (d deafLog) Export(context.Context, []sdklog.Record) error { <-d.release; return nil }
func (d deafLog) ForceFlush(context.Context) error              { return nil }
func (d deafLog) Shutdown(context.Context) error                { <-d.release; return nil }

// Exporters of all three signals that do not obey their context.
func TestShutdownReturnsInTimeFromThreeDeafExporters(t *testing.T) {
	for _, limit := range []time.Duration{0, 10 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			tel := &Telemetry{accounts: newAccounts(), shutdown: newOnce()}
			rep := newReporter(func(error) {})
			tel.spans = newSpanProcessor(stubborn{release}, defaultLimits(), tel.accounts.traces, rep)
			tel.logs = newLogProcessor(deafLog{release}, defaultLimits(), tel.accounts.logs, rep)
			tel.metrics = &metricExporter{Exporter: deafMetric{release}, ledger: tel.accounts.metrics, reporter: rep}
			mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(tel.metrics)))
			tel.meters = mp
			tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(tel.spans))
			lp := sdklog.NewLoggerProvider(sdklog.WithProcessor(tel.logs))
			c, _ := mp.Meter("x").Int64Counter("c")
			c.Add(t.Context(), 1)
			_, s := tp.Tracer("x").Start(t.Context(), "s")
			s.End()
			var r log.Record
			r.SetBody(attribute.StringValue("x"))
			lp.Logger("x").Emit(t.Context(), r)
			time.Sleep(2 * time.Minute)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			begin := time.Now()
			err := tel.Shutdown(ctx)
			took := time.Since(begin)
			if want := (&LostError{}); !errors.As(err, &want) || want.Lost != (Lost{Spans: 1, Metrics: 1, Logs: 1}) {
				t.Errorf("got %v, want one of each lost", err)
			}
			if took > limit+50*time.Millisecond {
				t.Errorf("limit %v: took %v", limit, took)
			}
			close(release)
			synctest.Wait()
		})
	}
}
