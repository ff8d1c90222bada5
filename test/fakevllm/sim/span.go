package sim

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// spanRecord is a sequence that ended the normal way. One that was aborted or died with its engine has no span.
type spanRecord struct {
	engine *Engine
	seq    *sequence
	end    time.Time
}

// emit makes the llm_request span, a child of the caller's span if traceparent named one, else a trace of its own.
func (r spanRecord) emit() {
	s := r.seq
	parent := trace.ContextWithRemoteSpanContext(context.Background(), s.job.parent)
	_, span := r.engine.tracer.Start(parent, "llm_request", trace.WithTimestamp(s.job.arrival),
		trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(r.attributes()...))
	span.End(trace.WithTimestamp(r.end))
}

// attributes have the names that vLLM gives them, which are older than those of today's conventions. What is zero or
// unset in the request is absent.
func (r spanRecord) attributes() []attribute.KeyValue {
	s := r.seq
	seconds := func(key string, d time.Duration) attribute.KeyValue { return attribute.Float64(key, d.Seconds()) }
	list := []attribute.KeyValue{
		seconds("gen_ai.latency.time_to_first_token", s.first.Sub(s.job.arrival)),
		seconds("gen_ai.latency.e2e", r.end.Sub(s.job.arrival)),
		seconds("gen_ai.latency.time_in_queue", s.scheduled.Sub(s.queued)),
		attribute.Int("gen_ai.usage.prompt_tokens", len(s.prompt)),
		attribute.Int("gen_ai.usage.completion_tokens", len(s.generated)),
		seconds("gen_ai.latency.time_in_model_prefill", s.first.Sub(s.scheduled)),
		seconds("gen_ai.latency.time_in_model_decode", s.last.Sub(s.first)),
		seconds("gen_ai.latency.time_in_model_inference", s.last.Sub(s.scheduled)),
		attribute.String("gen_ai.request.id", s.id),
	}
	if s.author == nil {
		return list
	}
	topP, temperature := 1.0, 1.0
	if s.limits.topP != nil {
		topP = *s.limits.topP
	}
	if s.limits.temperature != nil {
		temperature = *s.limits.temperature
	}
	list = append(list, attribute.Float64("gen_ai.request.top_p", topP),
		attribute.Int("gen_ai.request.max_tokens", s.limits.maxTokens))
	if temperature != 0 {
		list = append(list, attribute.Float64("gen_ai.request.temperature", temperature))
	}
	return append(list, attribute.Int("gen_ai.request.n", 1))
}
