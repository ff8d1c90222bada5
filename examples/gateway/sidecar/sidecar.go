// Package sidecar is the gateway as a library: the proxy in front of vLLM, the watchdog, the engine
// probe and the admin endpoints, wired together. The gateway and quickstart examples run it.
package sidecar

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/health"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/livepage"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// Config is what an operator sets. Engine is required.
type Config struct {
	Listen         string        // where callers connect
	Admin          string        // where the operator looks; empty closes it
	AdminHosts     []string      // names by which the operator may ask, as livepage.WithHosts takes them
	Engine         *url.URL      // vLLM's base URL
	Watch          string        // what is watched if that is not Engine, such as every engine behind a name: dns+http://name:8000
	StallAfter     time.Duration // silence after which a request counts as stalled
	ScrapeInterval time.Duration // between two looks at the engine
	WaitReady      time.Duration // how long requests wait for an engine that is not ready; zero does not wait
	Drain          time.Duration // time for running streams to finish once ctx of Run ends
	Models         []string      // pinned metric labels
	UsageInjection bool
	SLO            otelvllm.SLO         // what each request is measured against; zero promises nothing
	Public         bool                 // callers are strangers, whose traces are linked to and not joined
	Metrics        http.Handler         // answers /metrics; nil leaves it out
	MeterProvider  metric.MeterProvider // takes the engine's readings; nil is the global one
	HealthLog      *health.Logger       // writes the health document now and then; nil does not
	GPUs           *gpumetrics.Monitor  // reads this host's GPUs, and is run by Serve; nil does not
	GPURequired    bool                 // Serve fails where there is no usable GPU
}

// Sidecar is one gateway. Make it with New.
type Sidecar struct {
	Registry *inflight.Registry
	Monitor  *engine.Monitor
	Watchdog *watchdog.Watchdog
	Health   *health.Source
	Page     *livepage.Page
	Handler  http.Handler // for callers
	Admin    http.Handler // for the operator

	config Config
	probe  *probe
	ledger *gpumetrics.Ledger      // shares the GPUs among the requests; nil without GPUs
	cut    context.CancelCauseFunc // ends what still runs when the drain is over
	base   context.Context
}

// errDrained is the cause with which streams are cut when the drain is over: a deadline on our side.
var errDrained = fmt.Errorf("the drain is over: %w", context.DeadlineExceeded)

// New wires a gateway. It starts nothing and opens nothing. opts add to what the gateway sets: a
// WithOnDone or a WithOnIdle is called after its own.
func New(config Config, opts ...otelvllm.Option) *Sidecar {
	s := &Sidecar{Registry: &inflight.Registry{}, config: config}
	s.Monitor = s.newMonitor()
	s.Watchdog = &watchdog.Watchdog{Registry: s.Registry, StallAfter: config.StallAfter, Engines: s.Monitor.Status}
	s.Health = &health.Source{Registry: s.Registry, Engines: s.Monitor.Status, Findings: s.Watchdog.Findings}
	s.Page = livepage.New(livepage.Source{Health: s.Health, Registry: s.Registry, Findings: s.Watchdog.Findings, Cleared: s.Watchdog.Cleared},
		livepage.WithHosts(config.AdminHosts...),
		livepage.WithLinks(livepage.Link{Name: "health", URL: "/health"}, livepage.Link{Name: "requests", URL: "/requests"},
			livepage.Link{Name: "findings", URL: "/findings"}, livepage.Link{Name: "evidence", URL: "/evidence"}))
	s.addGPUs()
	s.probe = newProbe(config.Engine)
	s.base, s.cut = context.WithCancelCause(context.Background())
	opts = append([]otelvllm.Option{
		otelvllm.WithRegistry(s.Registry), otelvllm.WithModels(config.Models...),
		otelvllm.WithUsageInjection(config.UsageInjection), otelvllm.WithSLO(config.SLO),
		otelvllm.WithOnDone(s.settle), otelvllm.WithOnIdle(s.turn),
	}, opts...)
	if config.Public {
		opts = append(opts, otelvllm.WithPublicEndpoint(nil))
	}
	proxy := otelvllm.NewReverseProxy(config.Engine, opts...)
	s.Handler = s.account(otelvllm.Middleware(opts...)(s.waitReady(s.begin(fullDuplex(proxy)))))
	s.Admin = s.adminHandler()
	return s
}

func (s *Sidecar) newMonitor() *engine.Monitor {
	options := []engine.Option{
		engine.WithInterval(scrapeInterval(s.config)), engine.WithMeterProvider(meterProvider(s.config)),
		engine.WithWedgedAfter(wedgedAfter(s.config.StallAfter)),
	}
	if s.config.Watch != "" {
		return engine.NewMonitor([]string{s.config.Watch}, options...) // which engine has which request is not known
	}
	return engine.NewMonitor([]string{s.config.Engine.String()}, append(options, engine.WithInFlight(s.inFlight))...)
}

// inFlight counts the requests that the engine is working on: those that have been sent to it. A WebSocket whose caller
// is silent gives it nothing to do.
func (s *Sidecar) inFlight(string) int {
	n := 0
	for _, r := range s.Registry.Running() {
		if working(r) {
			n++
		}
	}
	return n
}

// wedgedAfter is how long an engine must stand still before it counts as wedged: it must be over
// before a request counts as stalled, also for work that the engine does not show, which takes
// twice as long.
func wedgedAfter(stallAfter time.Duration) time.Duration {
	return min(max(stallAfter/3, 500*time.Millisecond), 15*time.Second)
}

// scrapeInterval is the one configured, or less where the stall threshold asks for it: a cause can be
// named only by readings made since the silence began.
func scrapeInterval(config Config) time.Duration {
	return min(config.ScrapeInterval, config.StallAfter/4)
}

func meterProvider(config Config) metric.MeterProvider {
	if config.MeterProvider != nil {
		return config.MeterProvider
	}
	return otel.GetMeterProvider()
}

// maxBuffered is the size of request bodies up to which the transport reads them before sending.
const maxBuffered = 4 << 20

// fullDuplex lets the body of a large upload be read while the answer is written: HTTP/1 servers
// close it otherwise, and the proxy would cut the answer off.
func fullDuplex(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength < 0 || r.ContentLength > maxBuffered {
			_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 is so anyway
		}
		next.ServeHTTP(w, r)
	})
}

// Run serves until ctx ends, then lets running requests finish for the time of the drain and cuts
// the rest, so that their callers see a cut and no clean end. say gets one line for each listener.
func (s *Sidecar) Run(ctx context.Context, say func(string)) error {
	lc := net.ListenConfig{}
	callers, err := lc.Listen(ctx, "tcp", s.config.Listen)
	if err != nil {
		return fmt.Errorf("listen for callers: %w", err)
	}
	var admin net.Listener
	if s.config.Admin != "" {
		if admin, err = lc.Listen(ctx, "tcp", s.config.Admin); err != nil {
			callers.Close()
			return fmt.Errorf("listen for the admin page (-admin): %w", err)
		}
	}
	return s.Serve(ctx, callers, admin, say)
}

// Serve is Run on listeners that are open already. admin may be nil.
func (s *Sidecar) Serve(ctx context.Context, callers, admin net.Listener, say func(string)) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { _ = s.Watchdog.Run(work) })
	wg.Go(func() { _ = s.Monitor.Run(work) }) // its only error is a bad URL, which parsing the flag has ruled out
	wg.Go(func() { _ = s.Health.Run(work) })
	wg.Go(func() { _ = s.Page.Run(work) })
	if s.config.GPUs != nil {
		wg.Go(func() { s.runGPUs(work, say) })
		if s.config.GPURequired {
			if err := s.awaitGPUs(ctx); err != nil && ctx.Err() == nil {
				callers.Close()
				if admin != nil {
					admin.Close()
				}
				return err
			}
		}
	}
	if s.config.HealthLog != nil {
		s.config.HealthLog.Source = s.Health
		wg.Go(func() { _ = s.config.HealthLog.Run(work) })
	}

	failed := make(chan error, 2)
	front := newServer(s.base, s.Handler, say)
	wg.Go(func() { failed <- front.Serve(callers) })
	say(fmt.Sprintf("callers:   http://%s  ->  %s", reachable(callers.Addr()), s.config.Engine))
	if admin != nil {
		back := newServer(work, s.Admin, say)
		wg.Go(func() { failed <- back.Serve(admin) })
		defer back.Close()
		say(fmt.Sprintf("live page: http://%s/", reachable(admin.Addr())))
	}
	select {
	case err := <-failed:
		front.Close()
		return err
	case <-ctx.Done():
	}
	return s.drain(front, say)
}

// cutTime is how long handlers have to notice that their streams were cut.
const cutTime = time.Second

// drain stops taking connections, waits for the running requests, and cuts those that are left.
func (s *Sidecar) drain(front *http.Server, say func(string)) error {
	if n := len(s.Registry.Running()); n > 0 {
		say(fmt.Sprintf("draining:  %d requests have %s to finish", n, s.config.Drain))
	}
	limit, cancel := context.WithTimeout(context.Background(), s.config.Drain)
	defer cancel()
	if front.Shutdown(limit) == nil && s.settled(limit) {
		return nil
	}
	say(fmt.Sprintf("draining:  cut %d requests", len(s.Registry.Running())))
	s.cut(errDrained)
	last, cancelLast := context.WithTimeout(context.Background(), cutTime)
	defer cancelLast()
	if front.Shutdown(last) != nil {
		return front.Close()
	}
	s.settled(last)
	return nil
}

// waitReady holds a request while the engine is not ready, for as long as configured.
func (s *Sidecar) waitReady(next http.Handler) http.Handler {
	if s.config.WaitReady <= 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.takesRequests() {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), s.config.WaitReady)
		defer cancel()
		err := otelvllm.EngineInit(ctx, s.probe.wait)
		switch {
		case err == nil:
			next.ServeHTTP(w, r)
		case r.Context().Err() != nil:
			panic(http.ErrAbortHandler) // the caller has left
		default:
			w.Header().Set("Retry-After", "5")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintf(w, `{"error":{"message":"the engine did not become ready within %s","type":"Service Unavailable","param":null,"code":503}}`, s.config.WaitReady)
		}
	})
}

// takesRequests tells whether the last reading found an engine that answers and is not known to be
// loading or dead. A wedged one takes requests: they hang, and are shown.
func (s *Sidecar) takesRequests() bool {
	for _, e := range s.Monitor.Status() {
		if e.State == engine.Up || e.State == engine.Wedged || e.State == engine.Asleep {
			return true
		}
	}
	return false
}

// ready tells whether an engine serves requests.
func (s *Sidecar) ready() bool {
	for _, e := range s.Monitor.Status() {
		if e.State == engine.Up {
			return true
		}
	}
	return false
}
