package otelvllm

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// maxEvidence bounds the evidence of a stall on its span, in bytes of JSON.
const maxEvidence = 4096

// stalled reports a stall of this call: a span of its own that is exported at once, an event on
// the request span, a metric and a log line. A repeated report of the same stall is a log line.
func (l *live) stalled(s inflight.Stall) {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	if s.Repeat == 0 {
		l.call.Stalls++
		l.stallSpan(s)
	}
	ids := l.ids()
	l.mu.Unlock()
	l.core.logStall(l.ctx, ids, s)
}

// stallSpan exports the stall while the request still hangs: a span from the last sign of progress
// until now, an event on the request span, and a count. The caller holds l.mu.
func (l *live) stallSpan(s inflight.Stall) {
	parent := l.ctx
	if s.Phase != string(inflight.PhaseEngineInit) {
		l.openGeneration(trace.SpanKindInternal, l.initDone)
		parent = l.generation.ctx
	}
	now := time.Now()
	attrs := []trace.SpanStartOption{
		trace.WithTimestamp(now.Add(-s.Silence)),
		trace.WithAttributes(
			keyStallCause.String(s.Cause), keyStallPhase.String(s.Phase), keyStallSilence.Float64(s.Silence.Seconds()),
			keyStallSummary.String(s.Summary), keyStallRemedy.String(s.Remedy), keyStallEvidence.String(evidenceJSON(s.Evidence)),
		),
	}
	_, span := l.core.tracer.Start(parent, "stall", attrs...)
	// A backend shows the status first, and marks the trace.
	span.SetStatus(codes.Error, s.Summary+"; to do: "+s.Remedy)
	span.End(trace.WithTimestamp(now))
	l.span.AddEvent("stall", trace.WithAttributes(keyStallCause.String(s.Cause), keyStallPhase.String(s.Phase),
		keyStallSilence.Float64(s.Silence.Seconds())))
	l.core.inst.stalls.Add(l.ctx, 1, metric.WithAttributes(keyStallCause.String(s.Cause)))
	l.core.flush.now()
}

func evidenceJSON(evidence map[string]any) string {
	b, err := json.Marshal(evidence)
	if err != nil || len(b) > maxEvidence {
		return `{"evidence":"too large or not encodable"}`
	}
	return string(b)
}

// logStall writes the stall's line. A watchdog repeats it, with growing pauses, while it lasts.
func (c *core) logStall(ctx context.Context, ids []slog.Attr, s inflight.Stall) {
	if c.logger == nil {
		return
	}
	safely(func() {
		c.logger.LogAttrs(ctx, slog.LevelWarn, "request stalled", append(ids,
			slog.String("cause", s.Cause), slog.String("phase", s.Phase), slog.Duration("silence", s.Silence),
			slog.String("summary", s.Summary), slog.String("remedy", s.Remedy))...)
	})
}

// flusher sends what the span processors hold, so that a stall does not wait for the next batch.
type flusher struct {
	provider trace.TracerProvider
	busy     atomic.Bool
}

// flushTimeout bounds one flush; spans that miss it leave with the next batch.
const flushTimeout = 5 * time.Second

// now starts a flush unless one is running. It returns at once.
func (f *flusher) now() {
	p, ok := f.provider.(interface{ ForceFlush(context.Context) error })
	if !ok || !f.busy.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer f.busy.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		if err := p.ForceFlush(ctx); err != nil {
			otel.Handle(err)
		}
	}()
}

// observeStalled reports how many requests of r are stalled now.
func (in *instruments) observeStalled(r *inflight.Registry) {
	_, err := in.meter.Int64ObservableUpDownCounter("vllm.request.stalled", metric.WithUnit("{request}"),
		metric.WithDescription("Requests that are silent for longer than the watchdog's threshold."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			var n int64
			for _, s := range r.Running() {
				if s.Stall != nil {
					n++
				}
			}
			o.Observe(n)
			return nil
		}))
	if err != nil {
		otel.Handle(err)
	}
}
