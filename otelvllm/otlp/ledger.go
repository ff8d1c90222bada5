package otlp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// scopeName is the instrumentation scope of vllm.telemetry.dropped.
const scopeName = "github.com/otelvllm/otelvllm-go/otelvllm/otlp"

// Values of vllm.telemetry.signal.
const (
	signalTraces  = "traces"
	signalMetrics = "metrics"
	signalLogs    = "logs"
)

// Values of error.type on vllm.telemetry.dropped, beside the statuses of answers that refuse a batch for
// good, or after half a minute of trying: an HTTP status such as 400, or a gRPC status such as UNAUTHENTICATED.
const (
	reasonQueueFull = "queue_full"       // the queue is at its limit of bytes
	reasonRejected  = "rejected"         // the collector took the batch without these (partial success)
	reasonShutdown  = "shutdown"         // still undelivered when Shutdown had to return
	reasonAnswer    = "invalid_response" // the collector's answer makes no sense, so nobody knows
	reasonEncoding  = "encoding"         // cannot be encoded
	reasonPanic     = "panic"            // the exporter panicked
	reasonTooLarge  = "too_large"        // larger than the exporter or the collector allows, alone
	reasonExport    = "export"           // a delta that could not be sent in time, or an item that an exporter of another kind does not take
)

// Lost counts what was made and could not be delivered.
type Lost struct {
	Spans   int64
	Metrics int64 // data points
	Logs    int64 // log records
}

// LostError is the error of [Telemetry.Shutdown] when something was lost. Err is what made the last
// export fail, nil if that is not known.
type LostError struct {
	Lost
	Err error
}

// Error says how much was lost, and why as far as it is known.
func (e *LostError) Error() string {
	s := fmt.Sprintf("telemetry lost: spans=%d metrics=%d logs=%d", e.Spans, e.Metrics, e.Logs)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns Err.
func (e *LostError) Unwrap() error { return e.Err }

// ledger holds the account of one signal: what was made is what was delivered, plus what was dropped,
// plus what still waits.
type ledger struct {
	signal string

	mu        sync.Mutex
	made      int64
	delivered int64
	lost      int64 // the sum of dropped
	dropped   map[string]int64
}

func newLedger(signal string) *ledger {
	return &ledger{signal: signal, dropped: map[string]int64{}}
}

// make enters n new items.
func (l *ledger) make(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made += int64(n)
}

// settle enters the end of n items, of which dropped were lost for reason.
func (l *ledger) settle(n, dropped int64, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delivered += n - dropped
	if dropped > 0 {
		l.lost += dropped
		l.dropped[reason] += dropped
	}
}

func (l *ledger) total() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func (l *ledger) reasons() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.dropped)
}

// accounts are the ledgers of the three signals.
type accounts struct{ traces, metrics, logs *ledger }

func newAccounts() accounts {
	return accounts{newLedger(signalTraces), newLedger(signalMetrics), newLedger(signalLogs)}
}

func (a accounts) lost() Lost {
	return Lost{Spans: a.traces.total(), Metrics: a.metrics.total(), Logs: a.logs.total()}
}

// observe makes the counter vllm.telemetry.dropped show the ledgers. It is observed rather than added to,
// so that the metric and Lost are the same numbers and a drop costs a request nothing more.
func (a accounts) observe(meters metric.MeterProvider) error {
	_, err := meters.Meter(scopeName).Int64ObservableCounter("vllm.telemetry.dropped", metric.WithUnit("{item}"),
		metric.WithDescription("Spans, metric data points and log records that could not be delivered, since the process started."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for _, l := range []*ledger{a.traces, a.metrics, a.logs} {
				for reason, n := range l.reasons() {
					o.Observe(n, metric.WithAttributes(
						attribute.String("vllm.telemetry.signal", l.signal), attribute.String("error.type", reason)))
				}
			}
			return nil
		}))
	if err != nil {
		return errors.Join(errors.New("make vllm.telemetry.dropped"), err)
	}
	return nil
}
