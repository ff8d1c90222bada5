package otlp

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A full queue of typical request spans, whose texts are their own, holds little more than its limit in memory.
func TestFullQueueStaysWithinItsMemory(t *testing.T) {
	account := newLedger(signalTraces)
	l := defaultLimits()
	l.batch = 1 << 30 // nothing leaves
	l.delay = time.Hour
	p := &spanProcessor{queue: newQueue(l, account, newReporter(func(error) {}), nil, func(context.Context, []sdktrace.ReadOnlySpan) error { return nil })}
	defer func() { p.queue.cancel(); <-p.queue.done }()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for ; account.total() == 0; n++ {
		_, span := provider.Tracer("test").Start(t.Context(), "chat demo-8b", trace.WithSpanKind(trace.SpanKindInternal))
		span.SetAttributes(typical()...)
		span.SetAttributes(attribute.String("gen_ai.response.id", fmt.Sprintf("chatcmpl-%032d", n)))
		span.End()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d spans of %d bytes each, %d MiB held for a limit of %d MiB", n, l.bytes/n, held>>20, l.bytes>>20)
	if limit := int64(l.bytes) * 5 / 4; held > limit {
		t.Errorf("held: got %d bytes, want at most %d", held, limit)
	}
	runtime.KeepAlive(p)
}
