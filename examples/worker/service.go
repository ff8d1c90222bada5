package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/health"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// lastWait is the time for answers, and then for telemetry, to leave once the jobs are done.
const lastWait = 2 * time.Second

// service is the worker with all that belongs to it: the queue, the API, and what watches them.
type service struct {
	config   *config
	queue    *queue
	handler  http.Handler
	monitor  *engine.Monitor
	watchdog *watchdog.Watchdog
	health   *health.Source
}

// newService wires a worker. It starts nothing.
func newService(c *config, p propagation.TextMapPropagator, logger *slog.Logger, env map[string]*string, opts ...otelvllm.Option) *service {
	registry := &inflight.Registry{}
	s := &service{config: c, monitor: engine.NewMonitor([]string{c.engine})}
	s.watchdog = &watchdog.Watchdog{Registry: registry, StallAfter: c.stallAfter, Engines: s.monitor.Status}
	s.health = &health.Source{Registry: registry, Engines: s.monitor.Status, Findings: s.watchdog.Findings}

	opts = append([]otelvllm.Option{
		otelvllm.WithPropagators(p), otelvllm.WithLogger(logger), otelvllm.WithRegistry(registry),
		otelvllm.WithFilter(func(r *http.Request) bool { return r.Method == http.MethodPost }), // not each look at /status
	}, opts...)
	w := newWorker(c, p, logger, opts...)
	s.queue = newQueue(otelvllm.NewContext(context.Background(), opts...), c, w.work)
	a := &api{queue: s.queue, health: s.health, propagator: p, logger: logger, concurrency: env, syncWait: c.syncWait}
	s.handler = otelvllm.Middleware(opts...)(a.handler())
	return s
}

// serve answers until ctx ends, then lets the jobs finish for the time of the drain and cuts the
// rest. Callers can ask for their jobs to the last. say gets what a person should read.
func (s *service) serve(ctx context.Context, say func(string)) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.config.listen)
	if err != nil {
		return fmt.Errorf("listen for callers: %w", err)
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { _ = s.monitor.Run(work) }) // its only error is a bad URL, which the configuration has ruled out
	wg.Go(func() { _ = s.watchdog.Run(work) })
	wg.Go(func() { _ = s.health.Run(work) })

	server := &http.Server{Handler: s.handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	broken := make(chan error, 1)
	wg.Go(func() { broken <- server.Serve(l) })
	say(fmt.Sprintf("jobs:   http://%s  ->  %s", l.Addr(), s.config.engine))
	select {
	case err := <-broken:
		return err
	case <-ctx.Done():
	}
	if n := s.queue.close(); n > 0 {
		say(fmt.Sprintf("draining: %d jobs have %s to finish", n, s.config.drain))
	}
	limit, cancel := context.WithTimeout(work, s.config.drain)
	defer cancel()
	if n := s.queue.drain(limit); n > 0 {
		say(fmt.Sprintf("draining: cut %d jobs", n))
	}
	last, cancelLast := context.WithTimeout(work, lastWait)
	defer cancelLast()
	if server.Shutdown(last) != nil {
		server.Close()
	}
	return nil
}
