package otlp

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace"
)

// TracerProvider returns the provider of spans. After Shutdown its spans are counted as lost.
func (t *Telemetry) TracerProvider() trace.TracerProvider { return t.tracers }

// MeterProvider returns the provider of metrics.
func (t *Telemetry) MeterProvider() metric.MeterProvider { return t.meters }

// LoggerProvider returns the provider of log records. After Shutdown its records are counted as lost.
func (t *Telemetry) LoggerProvider() log.LoggerProvider { return t.loggers }

// Propagator returns the propagator that OTEL_PROPAGATORS asks for, by default tracecontext,baggage.
func (t *Telemetry) Propagator() propagation.TextMapPropagator { return t.propagator }

// Handler serves the metrics of the process as Prometheus text, with exemplars where the scraper asks for
// OpenMetrics. It reads from a registry of its own, whatever OTEL_METRICS_EXPORTER says.
func (t *Telemetry) Handler() http.Handler { return t.handler }

// Lost returns what was lost so far. It never waits. With OTEL_CONFIG_FILE it stays zero, because the SDK's own processors do
// not tell what they lose.
func (t *Telemetry) Lost() Lost { return t.accounts.lost() }

// defaultWait bounds ForceFlush and Shutdown where the context has no deadline.
const defaultWait = 30 * time.Second

// ForceFlush sends what waits in the queues and a collection of the metrics, and returns when all has been
// delivered or dropped, with an error when ctx ended first. A ctx without a deadline counts as one of 30 s.
func (t *Telemetry) ForceFlush(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return all(ctx, t.flushes)
}

// Shutdown sends what waits, stops everything, and counts what it could not send as lost. It returns at
// most 50 ms after ctx ended; a ctx without a deadline counts as one of 30 s. The error is a [*LostError] when anything
// was lost since Setup. Further calls return the same error.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	return t.shutdown.do(ctx, t.stop)
}

func (t *Telemetry) stop(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	// Spans and log records get three quarters of the time, so that the metrics, which go last because they
	// tell what was dropped, get the rest.
	deadline, _ := ctx.Deadline()
	early, cancelEarly := context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/4))
	defer cancelEarly()
	var queues []func(context.Context) error
	if t.spans != nil {
		queues = append(queues, t.spans.Shutdown)
	}
	if t.logs != nil {
		queues = append(queues, t.logs.Shutdown)
	}
	var others error
	var wg sync.WaitGroup
	wg.Go(func() { others = all(ctx, t.stops) })
	why := all(early, queues)
	why = first(why, t.stopMetrics(ctx))
	wg.Wait()
	t.transports.closeIdle()
	if lost := t.Lost(); lost != (Lost{}) {
		return &LostError{Lost: lost, Err: first(why, others)}
	}
	return others
}

// stopMetrics exports the metrics a last time. Collecting takes no time to speak of, so it gets the grace even
// when ctx has ended: only then is it known how many points are lost.
func (t *Telemetry) stopMetrics(ctx context.Context) error {
	meters, ok := t.meters.(*sdkmetric.MeterProvider)
	if !ok || t.fromConfig {
		return nil
	}
	deadline, _ := ctx.Deadline()
	if ctx.Err() != nil {
		deadline = time.Now()
	}
	last, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline.Add(grace))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	if t.metrics == nil {
		return within(last, meters.Shutdown)
	}
	t.metrics.beginLast()
	err := within(last, meters.Shutdown)
	t.metrics.close()
	return first(t.metrics.lastError(), err)
}

// discard ends what a Setup that failed had started.
func (t *Telemetry) discard() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if t.spans != nil {
		_ = t.spans.Shutdown(ctx)
	}
	if t.logs != nil {
		_ = t.logs.Shutdown(ctx)
	}
	if meters, ok := t.meters.(*sdkmetric.MeterProvider); ok {
		_ = within(ctx, meters.Shutdown)
	}
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, defaultWait)
}

// all calls all fns at once, so that one that hangs does not cost the others their time, and waits no
// longer than ctx.
func all(ctx context.Context, fns []func(context.Context) error) error {
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Go(func() { errs[i] = within(ctx, fn) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// within calls fn and waits for it no longer than a moment after ctx has ended.
func within(ctx context.Context, fn func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return context.Cause(ctx)
	}
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// once runs a function one time. Who comes second waits for it, but no longer than their own context.
type once struct {
	started atomic.Bool
	done    chan struct{}
	err     error
}

func newOnce() *once { return &once{done: make(chan struct{})} }

func (o *once) do(ctx context.Context, fn func(context.Context) error) error {
	if !o.started.Swap(true) {
		o.err = fn(ctx)
		close(o.done)
		return o.err
	}
	select {
	case <-o.done:
		return o.err
	default:
	}
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
