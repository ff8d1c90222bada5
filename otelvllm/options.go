package otelvllm

import (
	"context"
	"log/slog"
	"net/http"
	"slices"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// Option changes a default of [Middleware], [NewTransport], [NewReverseProxy] and [NewContext].
// A request that passes a Middleware and a Transport is one call, and Middleware's options hold for it; only what is
// done on the way to the engine, as [WithUsageInjection] says, is Transport's. Give both the same.
type Option func(*config)

// config is what the options set.
type config struct {
	tracerProvider trace.TracerProvider
	meterProvider  metric.MeterProvider
	propagator     propagation.TextMapPropagator
	logger         *slog.Logger
	registry       *inflight.Registry
	keep           func(*http.Request) bool
	filtered       bool // keep is not the default
	onDone         []func(context.Context, Call)
	onIdle         []func(context.Context, bool)
	public         func(*http.Request) bool
	models         []string
	injectUsage    bool
	slo            SLO
	capture        Capture
	dialects       []Dialect
}

func newConfig(opts []Option) config {
	c := config{
		tracerProvider: otel.GetTracerProvider(),
		meterProvider:  otel.GetMeterProvider(),
		propagator:     otel.GetTextMapPropagator(),
		keep:           notProbe,
		injectUsage:    true,
		capture:        captureFromEnv(),
	}
	for _, opt := range opts {
		if opt != nil {
			opt(&c)
		}
	}
	return c
}

// WithTracerProvider sets where spans go. Nil, the default, means the global provider.
func WithTracerProvider(tp trace.TracerProvider) Option {
	return func(c *config) {
		if tp != nil {
			c.tracerProvider = tp
		}
	}
}

// WithMeterProvider sets where metrics go. Nil, the default, means the global provider.
func WithMeterProvider(mp metric.MeterProvider) Option {
	return func(c *config) {
		if mp != nil {
			c.meterProvider = mp
		}
	}
}

// WithPropagators sets how the trace context is read from requests and written to them. Nil, the
// default, means the global propagator.
func WithPropagators(p propagation.TextMapPropagator) Option {
	return func(c *config) {
		if p != nil {
			c.propagator = p
		}
	}
}

// WithLogger makes each call write its lines (start, engine ready, generation start, complete) to
// l, with the trace id and the span id. Nil, the default, writes nothing.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }

// WithRegistry lists each call in r while it runs, and in r's history afterwards. Give Middleware
// and Transport the same one. Nil, the default, lists nothing.
func WithRegistry(r *inflight.Registry) Option { return func(c *config) { c.registry = r } }

// WithFilter records only the requests that keep accepts; the others pass through untouched. Given more than once, all
// must accept. Without it, GET and HEAD requests for /health, /healthz, /readyz, /livez, /ping, /load and /metrics are
// left out; with it, only what keep leaves out.
func WithFilter(keep func(*http.Request) bool) Option {
	return func(c *config) {
		before := c.keep
		switch {
		case keep == nil:
		case !c.filtered:
			c.keep, c.filtered = keep, true
		default:
			c.keep = func(r *http.Request) bool { return before(r) && keep(r) }
		}
	}
}

// WithOnDone calls f with the record of each call when it has ended, on the goroutine that ended
// it. f must not block. A panic of f is passed to the OpenTelemetry error handler. Given more than
// once, each f is called, in the order given; nil adds none.
//
// The context has what that of the request has, as it came to Middleware, Transport or Request; it is never cancelled,
// and carries the request span, which has ended: metrics that f records with it get exemplars. This is the place for
// metrics of your own, such as tokens by tenant.
func WithOnDone(f func(context.Context, Call)) Option {
	return func(c *config) {
		if f != nil {
			c.onDone = append(slices.Clip(c.onDone), f)
		}
	}
}

// WithOnIdle calls f each time a call on a WebSocket gives the engine something to do (false), and each time the engine
// has nothing to do for it any more (true). Calls that are no WebSocket do so from beginning to end, and f is not told.
// f is called in the order of the turns, while the call is locked: it must not block. For more than one and for a panic
// the rules of [WithOnDone] hold.
func WithOnIdle(f func(ctx context.Context, idle bool)) Option {
	return func(c *config) {
		if f != nil {
			c.onIdle = append(slices.Clip(c.onIdle), f)
		}
	}
}

// WithPublicEndpoint makes the requests that public accepts start a trace of their own, linked to
// the caller's, instead of joining it; nil accepts all. Use it where strangers could force a trace
// id or the sampled flag. Their baggage and trace state are not used, and no [Transport] passes them on.
func WithPublicEndpoint(public func(*http.Request) bool) Option {
	return func(c *config) {
		c.public = public
		if public == nil {
			c.public = func(*http.Request) bool { return true }
		}
	}
}

// WithModels pins model names: they keep a metric label of their own whatever else is asked for.
// Other names get one once the engine has answered for them, up to 64; the rest share "other".
func WithModels(names ...string) Option {
	return func(c *config) { c.models = append(slices.Clip(c.models), names...) }
}

// WithUsageInjection sets whether Transport asks vLLM for the token counts of streams
// (stream_options.include_usage) when the caller did not, and takes the extra event out of the
// answer again, for which it asks that the answer be not compressed. It is on by default. Without it such streams have an
// estimate at most.
func WithUsageInjection(on bool) Option { return func(c *config) { c.injectUsage = on } }

// notProbe leaves out the requests that load balancers and scrapers send all day.
func notProbe(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return true
	}
	switch r.URL.Path {
	case "/health", "/healthz", "/readyz", "/livez", "/ping", "/load", "/metrics":
		return false
	}
	return true
}
