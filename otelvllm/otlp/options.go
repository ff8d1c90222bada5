package otlp

import (
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/prometheus/client_golang/prometheus"
)

// DefaultQueueBytes bounds each of the two queues, spans and log records, by the estimated memory of what
// waits in it. Spans that wait long for OTLP are encoded and compressed to about 40 bytes each, so it holds some 800,000 of
// them: half an hour without a collector at 50 requests a second. It holds about 40,000 log records, which are not compressed.
const DefaultQueueBytes = 32 << 20

// Option changes what [Setup] makes.
type Option func(*config)

type config struct {
	serviceName    string
	serviceVersion string
	attributes     []attribute.KeyValue
	processors     []sdktrace.SpanProcessor
	readers        []sdkmetric.Reader
	gatherers      []prometheus.Gatherer
	withoutGlobals bool
	handle         func(error)
	ownHandler     bool // handle is the caller's
	queueBytes     int
}

// WithServiceName sets service.name. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over it, so that
// who runs the program has the last word. Without any of them the SDK's unknown_service:<program> is used.
func WithServiceName(name string) Option {
	return func(c *config) { c.serviceName = name }
}

// WithServiceVersion sets service.version. OTEL_RESOURCE_ATTRIBUTES wins over it.
func WithServiceVersion(version string) Option {
	return func(c *config) { c.serviceVersion = version }
}

// WithResource adds attributes to the resource of all signals. OTEL_RESOURCE_ATTRIBUTES wins over them.
func WithResource(attrs ...attribute.KeyValue) Option {
	return func(c *config) { c.attributes = append(c.attributes, attrs...) }
}

// WithSpanProcessor adds a processor that sees every span, beside the export. [Telemetry.Shutdown] shuts
// it down. A nil processor is ignored.
func WithSpanProcessor(p sdktrace.SpanProcessor) Option {
	return func(c *config) {
		if p != nil {
			c.processors = append(c.processors, p)
		}
	}
}

// WithMetricReader adds a reader of all metrics, beside the export. [Telemetry.Shutdown] shuts it down.
// A nil reader is ignored.
func WithMetricReader(r sdkmetric.Reader) Option {
	return func(c *config) {
		if r != nil {
			c.readers = append(c.readers, r)
		}
	}
}

// WithGatherer adds what g gathers to the metrics that leave by OTLP, such as the whole /metrics of an
// engine that an engine.Bridge reads. It is called at each export and must not wait. Nil adds nothing.
func WithGatherer(g prometheus.Gatherer) Option {
	return func(c *config) {
		if g != nil {
			c.gatherers = append(c.gatherers, g)
		}
	}
}

// WithoutGlobals leaves the global providers, propagator and error handler of the process as they are.
// Without it Setup sets them to its own.
func WithoutGlobals() Option {
	return func(c *config) { c.withoutGlobals = true }
}

// WithErrorHandler sets who hears of export failures. Without it they go to the error handler of the
// process (otel.Handle), which writes them to standard error. Either way one cause is reported at most
// once in ten minutes while it lasts, and once in ten seconds when it comes and goes, with the number of
// reports left out. Unless [WithoutGlobals] is given, the handler hears of the SDK's own errors too. It may
// be called from any goroutine; a panic in it is swallowed. A nil handler is ignored.
func WithErrorHandler(handle func(error)) Option {
	return func(c *config) {
		if handle != nil {
			c.handle, c.ownHandler = handle, true
		}
	}
}

// WithQueueBytes bounds the queue of spans and the queue of log records, each, to n bytes of estimated
// memory. Zero or less means [DefaultQueueBytes].
func WithQueueBytes(n int) Option {
	return func(c *config) { c.queueBytes = n }
}
