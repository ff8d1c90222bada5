package otlp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// metricExporter keeps account of the data points that go through an exporter. A cumulative point that could
// not be sent is not lost: the next one carries what it said. So it counts as lost only when there is no
// next one, at shutdown; a delta counts when its export is given up.
type metricExporter struct {
	sdkmetric.Exporter
	ledger   *ledger
	reporter *reporter
	final    atomic.Bool // the next export is the last one

	mu      sync.Mutex
	last    int64 // cumulative points of the last collection
	pending int64 // cumulative points that no export has delivered yet
	err     error // of the last export, nil when it succeeded
	over    bool  // pending is accounted for; a late answer changes nothing
}

// outcome is what became of the points of one collection.
type outcome struct {
	undelivered int64 // cumulative points
	err         error
}

// Export sends one collection. It reports failures itself and returns nil, because the reader would report
// each of them to the error handler of the process.
func (e *metricExporter) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	cleanMetrics(rm)
	cumulative, _ := countPoints(rm)
	e.mu.Lock()
	e.last, e.pending = cumulative, cumulative
	e.mu.Unlock()
	o := e.deliver(ctx, rm)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = o.err
	if !e.over {
		e.pending = o.undelivered
	}
	return nil
}

// deliver sends rm, in halves where it is too large for the collector.
func (e *metricExporter) deliver(ctx context.Context, rm *metricdata.ResourceMetrics) outcome {
	cumulative, delta := countPoints(rm)
	for tries := 0; ; tries++ {
		v := attempt(ctx, func(ctx context.Context) error { return e.Exporter.Export(ctx, rm) })
		e.tell(ctx, v)
		switch v.fate {
		case fateDelivered:
			e.enter(cumulative+delta, min(v.rejected, cumulative+delta), v.reason)
			return outcome{}
		case fateSplit:
			if a, b := halve(rm); b != nil {
				oa, ob := e.deliver(ctx, a), e.deliver(ctx, b)
				return outcome{oa.undelivered + ob.undelivered, first(oa.err, ob.err)}
			}
		case fateRetry, fateDoubt:
			// A cumulative point waits for the next collection, except for the last one.
			if (delta > 0 || e.final.Load()) && sleep(ctx, max(backoff(tries), v.after)) {
				continue
			}
			v.reason = reasonExport
		case fateDrop:
		}
		e.enter(delta, delta, v.reason)
		return outcome{cumulative, v.err}
	}
}

// sleep waits for d and tells whether ctx is still good.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// enter puts n points into the ledger, of which dropped were lost.
func (e *metricExporter) enter(n, dropped int64, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n > 0 && !e.over {
		e.ledger.make(int(n))
		e.ledger.settle(n, dropped, reason)
	}
}

func (e *metricExporter) tell(ctx context.Context, v verdict) {
	switch {
	case v.err == nil:
		e.reporter.recovered(signalMetrics)
	case errors.Is(context.Cause(ctx), context.Canceled): // Shutdown cuts a periodic export off before the last one
	case v.fate == fateDelivered && v.rejected == 0:
		e.reporter.report(signalMetrics, "warning", fmt.Errorf("metrics: the collector warns: %w", v.err))
	case v.fate == fateDelivered:
		e.reporter.report(signalMetrics, v.reason, fmt.Errorf("metrics: the collector left out %d data points: %w", v.rejected, v.err))
	default:
		e.reporter.report(signalMetrics, v.reason, fmt.Errorf("metrics: export failed: %w", v.err))
	}
}

// lastError returns the error of the last export, nil when it succeeded.
func (e *metricExporter) lastError() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// beginLast announces the last export. If it never takes place, as many points are lost as the collection
// before had.
func (e *metricExporter) beginLast() {
	e.final.Store(true)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pending = e.last
}

// close counts what no export has delivered.
func (e *metricExporter) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		e.over = true
		e.ledger.make(int(e.pending))
		e.ledger.settle(e.pending, e.pending, reasonShutdown)
	}
}
