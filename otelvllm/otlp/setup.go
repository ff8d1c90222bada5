package otlp

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/log"
	nooplog "go.opentelemetry.io/otel/log/noop"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
)

// Telemetry is what [Setup] made: providers of the three signals, and their way out of the process. All
// its methods may be called from several goroutines at once.
type Telemetry struct {
	tracers    trace.TracerProvider
	meters     metric.MeterProvider
	loggers    log.LoggerProvider
	propagator propagation.TextMapPropagator
	handler    http.Handler

	accounts   accounts
	transports transports
	spans      *spanProcessor  // nil where nothing is exported, or another way
	metrics    *metricExporter // nil where nothing is exported, or another way
	logs       *logProcessor   // nil where nothing is exported, or another way

	fromConfig bool // the providers come from OTEL_CONFIG_FILE

	flushes []func(context.Context) error
	stops   []func(context.Context) error // of what is not ours: callers' processors, readers, providers

	shutdown *once
}

// Setup makes the providers that the OTEL_* variables ask for and, unless [WithoutGlobals] is given,
// makes them those of the process. With OTEL_CONFIG_FILE they are those that the file describes, and only [WithSpanProcessor],
// [WithMetricReader], [WithErrorHandler] and [WithoutGlobals] have a meaning. It waits for no collector, so one that is down does not make it fail. The
// error names the variable that has a value which is not allowed, and what is allowed. The caller must
// call [Telemetry.Shutdown].
func Setup(ctx context.Context, opts ...Option) (*Telemetry, error) {
	c := config{handle: otel.Handle}
	for _, opt := range opts {
		opt(&c)
	}
	if err := checkEnvironment(); err != nil {
		return nil, err
	}
	propagator, err := newPropagator()
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	t := &Telemetry{
		accounts: newAccounts(), propagator: propagator,
		handler:  promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError}),
		shutdown: newOnce(),
	}
	r := newReporter(c.handle)
	switch {
	case strings.EqualFold(env("OTEL_SDK_DISABLED"), "true"):
		t.disable(c)
	case env("OTEL_CONFIG_FILE") != "":
		err = t.fromFile(ctx, c, registry)
	default:
		err = t.build(ctx, c, registry, r)
	}
	if err != nil {
		t.discard()
		return nil, err
	}
	if !c.withoutGlobals {
		t.install(c, r)
	}
	return t, nil
}

// newPropagator makes the propagator that OTEL_PROPAGATORS asks for.
func newPropagator() (propagation.TextMapPropagator, error) {
	const variable = "OTEL_PROPAGATORS"
	v := env(variable)
	if v == "" {
		return propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}), nil
	}
	names := strings.Split(v, ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	p, err := autoprop.TextMapPropagator(names...)
	if err != nil {
		return nil, badValue(variable, v, oneOf([]string{"tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray", "ottrace", "none"}))
	}
	return p, nil
}

// disable makes providers that do nothing, as OTEL_SDK_DISABLED asks for.
func (t *Telemetry) disable(c config) {
	t.tracers, t.meters, t.loggers = nooptrace.NewTracerProvider(), noopmetric.NewMeterProvider(), nooplog.NewLoggerProvider()
	for _, p := range c.processors {
		t.stops = append(t.stops, p.Shutdown)
	}
	for _, r := range c.readers {
		t.stops = append(t.stops, r.Shutdown)
	}
}

// build makes providers whose exports go through the queues.
func (t *Telemetry) build(ctx context.Context, c config, registry *prometheus.Registry, r *reporter) error {
	res, err := newResource(ctx, c, r)
	if err != nil {
		return err
	}
	spans, err := newSpanExporter(ctx, &t.transports)
	if err != nil {
		return err
	}
	if spans != nil {
		t.spans = newSpanProcessor(spans, queueLimits(c, "OTEL_BSP_", 5*time.Second), t.accounts.traces, r)
	}
	logs, err := newLogExporter(ctx, &t.transports)
	if err != nil {
		return err
	}
	if logs != nil {
		t.logs = newLogProcessor(logs, queueLimits(c, "OTEL_BLRP_", time.Second), t.accounts.logs, r)
	}
	tracing := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	for _, p := range c.processors { // first, so that a flush of ours that waits does not keep theirs
		s := &stoppable{SpanProcessor: p}
		tracing = append(tracing, sdktrace.WithSpanProcessor(s))
		t.stops = append(t.stops, s.Shutdown)
	}
	if t.spans != nil {
		tracing = append(tracing, sdktrace.WithSpanProcessor(t.spans))
	}
	logging := []sdklog.LoggerProviderOption{sdklog.WithResource(res)}
	if t.logs != nil {
		logging = append(logging, sdklog.WithProcessor(t.logs))
	}
	tracers, loggers := sdktrace.NewTracerProvider(tracing...), sdklog.NewLoggerProvider(logging...)
	t.tracers, t.loggers = tracers, loggers
	t.flushes = append(t.flushes, tracers.ForceFlush, loggers.ForceFlush)
	return t.buildMetrics(ctx, c, registry, r, sdkmetric.WithResource(res))
}

func (t *Telemetry) buildMetrics(ctx context.Context, c config, registry *prometheus.Registry, r *reporter, opts ...sdkmetric.Option) error {
	scrape, err := promexporter.New(promexporter.WithRegisterer(registry))
	if err != nil {
		return fmt.Errorf("make the Prometheus reader: %w", err)
	}
	opts = append(opts, sdkmetric.WithReader(scrape), sdkmetric.WithView(views()...))
	var reader sdkmetric.Reader
	if reader, t.metrics, err = newMetricReader(ctx, &t.transports, t.accounts.metrics, r, c.gatherers...); err != nil {
		return err
	}
	if reader != nil {
		opts = append(opts, sdkmetric.WithReader(reader))
	}
	for _, other := range c.readers {
		opts = append(opts, sdkmetric.WithReader(other))
	}
	meters := sdkmetric.NewMeterProvider(opts...)
	t.meters = meters
	t.flushes = append(t.flushes, func(ctx context.Context) error {
		err := meters.ForceFlush(ctx)
		if t.metrics != nil {
			err = first(err, t.metrics.lastError())
		}
		return err
	})
	return t.accounts.observe(meters)
}

// queueLimits reads the settings of a queue from the variables with prefix. OTEL_BSP_MAX_QUEUE_SIZE and
// OTEL_BLRP_MAX_QUEUE_SIZE, a number of items, have no meaning here: bytes bound the queue.
func queueLimits(c config, prefix string, delay time.Duration) limits {
	l := limits{
		bytes: c.queueBytes, batch: number(prefix+"MAX_EXPORT_BATCH_SIZE", 512),
		delay: milliseconds(prefix+"SCHEDULE_DELAY", delay), timeout: milliseconds(prefix+"EXPORT_TIMEOUT", 30*time.Second),
	}
	if l.bytes <= 0 {
		l.bytes = DefaultQueueBytes
	}
	return l
}

// install makes t the telemetry of the process.
func (t *Telemetry) install(c config, r *reporter) {
	otel.SetTracerProvider(t.tracers)
	otel.SetMeterProvider(t.meters)
	otel.SetLoggerProvider(t.loggers)
	otel.SetTextMapPropagator(t.propagator)
	if c.ownHandler {
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { r.report("sdk", causeOf(err), err) }))
	}
}
