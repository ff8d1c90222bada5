package otelvllm_test

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// TestSpansLieWithinTheirParents looks for what backends take for wrong clocks, and warn of: a span that ends after the one
// above it, and one that takes no time. The clock is real, since a fake one stands still between two calls.
func TestSpansLieWithinTheirParents(t *testing.T) {
	for name, body := range map[string]string{
		"a stream":                       streamBody,
		"an answer that is not streamed": wholeBody,
	} {
		t.Run(name, func(t *testing.T) {
			engine := fiveWords()
			engine.first, engine.gap, engine.metrics, engine.unqueued = time.Millisecond, 10*time.Microsecond, true, true
			w := newWorld(engine)
			for range 20 {
				if _, _, err := w.post(t, t.Context(), chatPath, body); err != nil {
					t.Fatal(err)
				}
			}
			w.close()
			above := map[trace.SpanID]tracetest.SpanStub{}
			spans := w.spans.GetSpans()
			for _, s := range spans {
				above[s.SpanContext.SpanID()] = s
			}
			for _, s := range spans {
				if took := s.EndTime.Sub(s.StartTime); took <= 0 {
					t.Errorf("got the span %s of %s, want one that takes time", s.Name, took)
				}
				parent, ok := above[s.Parent.SpanID()]
				if ok && s.EndTime.After(parent.EndTime) {
					t.Errorf("got the span %s that ends %s after %s above it, want it to end no later", s.Name, s.EndTime.Sub(parent.EndTime), parent.Name)
				}
			}
		})
	}
}
