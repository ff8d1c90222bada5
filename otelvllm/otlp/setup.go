package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Telemetry is what [Setup] made: providers of the three signals, and their way out of the process. All
// its methods may be called from several goroutines at once.
type Telemetry struct {
	tracers    trace.TracerProvider
	meters     metric.MeterProvider
	loggers    log.LoggerProvider
	propagator propagation.TextMapPropagator
	handler    http.Handler

	flushes   []func(context.Context) error
	shutdowns []func(context.Context) error

	once sync.Once
	err  error
}

// Lost counts what was made and could not be delivered.
type Lost struct {
	Spans   int64
	Metrics int64 // data points
	Logs    int64 // log records
}

// LostError is the error of [Telemetry.Shutdown] when something was lost.
type LostError struct {
	Lost
}

func (e *LostError) Error() string {
	return fmt.Sprintf("telemetry lost: spans=%d metrics=%d logs=%d", e.Spans, e.Metrics, e.Logs)
}

// Setup makes the providers that the OTEL_* variables ask for and, unless [WithoutGlobals] is given,
// makes them the ones of the process. It connects to nothing by itself, so a collector that is down does not
// make it fail. The error names the variable that has a value which is not allowed. The caller must call
// [Telemetry.Shutdown].
func Setup(ctx context.Context, opts ...Option) (*Telemetry, error) {
	c := config{}
	for _, opt := range opts {
		opt(&c)
	}
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(c.attributes...), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("make resource: %w", err)
	}
	spans, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: %w", err)
	}
	reader, err := autoexport.NewMetricReader(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_METRICS_EXPORTER: %w", err)
	}
	logs, err := autoexport.NewLogExporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("OTEL_LOGS_EXPORTER: %w", err)
	}
	registry := prometheus.NewRegistry()
	scrape, err := promexporter.New(promexporter.WithRegisterer(registry))
	if err != nil {
		return nil, fmt.Errorf("make prometheus reader: %w", err)
	}
	tracers := sdktrace.NewTracerProvider(tracerOptions(c, res, spans)...)
	meters := sdkmetric.NewMeterProvider(meterOptions(c, res, reader, scrape)...)
	loggers := sdklog.NewLoggerProvider(sdklog.WithResource(res), sdklog.WithProcessor(sdklog.NewBatchProcessor(logs)))
	t := &Telemetry{
		tracers: tracers, meters: meters, loggers: loggers, propagator: autoprop.NewTextMapPropagator(),
		handler:   promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}),
		flushes:   []func(context.Context) error{tracers.ForceFlush, meters.ForceFlush, loggers.ForceFlush},
		shutdowns: []func(context.Context) error{tracers.Shutdown, meters.Shutdown, loggers.Shutdown},
	}
	if !c.withoutGlobals {
		otel.SetTracerProvider(t.tracers)
		otel.SetMeterProvider(t.meters)
		otel.SetLoggerProvider(t.loggers)
		otel.SetTextMapPropagator(t.propagator)
	}
	return t, nil
}

func tracerOptions(c config, res *resource.Resource, exporter sdktrace.SpanExporter) []sdktrace.TracerProviderOption {
	opts := []sdktrace.TracerProviderOption{sdktrace.WithResource(res), sdktrace.WithBatcher(exporter)}
	for _, p := range c.processors {
		opts = append(opts, sdktrace.WithSpanProcessor(p))
	}
	return opts
}

func meterOptions(c config, res *resource.Resource, readers ...sdkmetric.Reader) []sdkmetric.Option {
	opts := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithExemplarFilter(exemplar.TraceBasedFilter)}
	for _, r := range append(readers, c.readers...) {
		opts = append(opts, sdkmetric.WithReader(r))
	}
	return opts
}

// TracerProvider returns the provider of spans.
func (t *Telemetry) TracerProvider() trace.TracerProvider { return t.tracers }

// MeterProvider returns the provider of metrics.
func (t *Telemetry) MeterProvider() metric.MeterProvider { return t.meters }

// LoggerProvider returns the provider of log records.
func (t *Telemetry) LoggerProvider() log.LoggerProvider { return t.loggers }

// Propagator returns the propagator that OTEL_PROPAGATORS asks for, by default tracecontext,baggage.
func (t *Telemetry) Propagator() propagation.TextMapPropagator { return t.propagator }

// Handler serves the metrics of the process as Prometheus text, from a registry of its own.
func (t *Telemetry) Handler() http.Handler { return t.handler }

// ForceFlush sends what waits, and returns when that is done or ctx ends.
func (t *Telemetry) ForceFlush(ctx context.Context) error {
	return each(ctx, t.flushes)
}

// Shutdown sends what waits and stops everything.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	t.once.Do(func() { t.err = each(ctx, t.shutdowns) })
	return t.err
}

// Lost returns what was lost so far.
func (t *Telemetry) Lost() Lost { return Lost{} }

// each calls all fns at once, so that one that hangs does not cost the others their time.
func each(ctx context.Context, fns []func(context.Context) error) error {
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Go(func() { errs[i] = fn(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
