package engine

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// Defaults of a [Monitor].
const (
	DefaultInterval    = 5 * time.Second
	DefaultWedgedAfter = 15 * time.Second
)

// minInterval keeps a mistaken setting from asking an engine without pause.
const minInterval = 10 * time.Millisecond

// Resolver looks names up. A *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Option changes a setting of [NewMonitor].
type Option func(*config)

type config struct {
	meterProvider metric.MeterProvider
	interval      time.Duration
	wedgedAfter   time.Duration
	inFlight      func(address string) int
	http          *http.Client
	resolver      Resolver
}

func newConfig(opts []Option) config {
	c := config{interval: DefaultInterval, wedgedAfter: DefaultWedgedAfter, resolver: net.DefaultResolver}
	for _, opt := range opts {
		if opt != nil {
			opt(&c)
		}
	}
	if c.meterProvider == nil {
		c.meterProvider = otel.GetMeterProvider()
	}
	return c
}

// WithMeterProvider sets where the readings go as metrics. The default is the global provider, as it
// is when the monitor is made.
func WithMeterProvider(mp metric.MeterProvider) Option {
	return func(c *config) { c.meterProvider = mp }
}

// WithInterval sets how often each engine is asked, give or take 5 %. The default is 5 s; zero or
// less leaves it. An engine that does not answer within an interval, or 5 s, is not waited for.
func WithInterval(d time.Duration) Option {
	return func(c *config) {
		if d > 0 {
			c.interval = max(d, minInterval)
		}
	}
}

// WithWedgedAfter sets how long everything that an engine counts must stand still, while it has
// running requests, before it is called wedged. The default is 15 s: longer than one step of a long
// prefill takes, in which nothing moves either. It is twice that long for work that the engine's own
// gauges do not show as running, as it may not have reached the scheduler. Zero or less leaves it.
func WithWedgedAfter(d time.Duration) Option {
	return func(c *config) {
		if d > 0 {
			c.wedgedAfter = d
		}
	}
}

// WithInFlight tells the monitor how many of our own requests an engine, host:port, is working on. A
// vLLM that hangs does not count requests that arrived since; with this they are known to wait. The
// function is called once a reading and must not wait.
func WithInFlight(f func(address string) int) Option {
	return func(c *config) { c.inFlight = f }
}

// WithHTTPClient sets the client that asks the engines. The default has its own connections, which it
// closes before vLLM does, and the proxies of the environment.
func WithHTTPClient(h *http.Client) Option {
	return func(c *config) { c.http = h }
}

// WithResolver sets who looks up the names of dns+http and dnssrv+http targets. The default is
// net.DefaultResolver.
func WithResolver(r Resolver) Option {
	return func(c *config) {
		if r != nil {
			c.resolver = r
		}
	}
}
