package sim_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

func recorder() (*tracetest.SpanRecorder, trace.TracerProvider) {
	r := tracetest.NewSpanRecorder()
	return r, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r))
}

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestSpanIsTheOneThatARealEngineMakes(t *testing.T) {
	spans, provider := recorder()
	bubble(t, sim.Config{Timing: exact, TracerProvider: provider}, func(t *testing.T, _ *sim.Engine, c client) {
		req := c.request(t.Context(), "POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"trace me"}],"max_tokens":8,"ignore_eos":true,"temperature":0.7,"top_p":0.9}`)
		req.Header.Set("traceparent", traceparent)
		req.Header.Set("tracestate", "vendor=abc")
		req.Header.Set("X-Request-Id", "otlp-1")
		begin := time.Now()
		res, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		ended := spans.Ended()
		if len(ended) != 1 {
			t.Fatalf("got %d spans, want 1, and before the answer has ended", len(ended))
		}
		s := ended[0]
		if s.Name() != "llm_request" || s.SpanKind() != trace.SpanKindServer || s.InstrumentationScope().Name != "vllm.tracing.otel" {
			t.Errorf("got %s %s of %s", s.SpanKind(), s.Name(), s.InstrumentationScope().Name)
		}
		if p := s.Parent(); p.SpanID().String() != "b7ad6b7169203331" || p.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || !p.IsRemote() ||
			s.SpanContext().TraceState().String() != "vendor=abc" {
			t.Errorf("got parent %v, want that of traceparent", p)
		}
		const prefill, decode = 11*time.Millisecond + 7*100*time.Microsecond, 7 * 11 * time.Millisecond
		if !s.StartTime().Equal(begin) || s.EndTime().Sub(s.StartTime()) != exact.Frontend+prefill+decode {
			t.Errorf("span from %v for %v, want from %v for %v", s.StartTime(), s.EndTime().Sub(s.StartTime()), begin, exact.Frontend+prefill+decode)
		}
		want := []attribute.KeyValue{
			attribute.Float64("gen_ai.latency.time_to_first_token", (exact.Frontend + prefill).Seconds()),
			attribute.Float64("gen_ai.latency.e2e", (exact.Frontend + prefill + decode).Seconds()),
			attribute.Float64("gen_ai.latency.time_in_queue", 0),
			attribute.Int("gen_ai.usage.prompt_tokens", 7),
			attribute.Int("gen_ai.usage.completion_tokens", 8),
			attribute.Float64("gen_ai.latency.time_in_model_prefill", prefill.Seconds()),
			attribute.Float64("gen_ai.latency.time_in_model_decode", decode.Seconds()),
			attribute.Float64("gen_ai.latency.time_in_model_inference", (prefill + decode).Seconds()),
			attribute.String("gen_ai.request.id", "chatcmpl-otlp-1"),
			attribute.Float64("gen_ai.request.top_p", 0.9),
			attribute.Int("gen_ai.request.max_tokens", 8),
			attribute.Float64("gen_ai.request.temperature", 0.7),
			attribute.Int("gen_ai.request.n", 1),
		}
		if got := s.Attributes(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}

func TestSpansOfSeveralSequences(t *testing.T) {
	for _, test := range []struct {
		path, body string
		ids        []string
	}{
		{"/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"max_tokens":2,"n":2}`, []string{"chatcmpl-r", "chatcmpl-r"}},
		{"/v1/completions", `{"prompt":["x","y"],"max_tokens":2}`, []string{"cmpl-r-0", "cmpl-r-1"}},
		{"/v1/embeddings", `{"input":["x","y"]}`, []string{"embd-r-0", "embd-r-1"}},
	} {
		spans, provider := recorder()
		req := httptest.NewRequestWithContext(t.Context(), "POST", test.path, strings.NewReader(test.body))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Request-Id", "r")
		sim.New(sim.Config{Timing: quick, TracerProvider: provider}).ServeHTTP(httptest.NewRecorder(), req)
		ended := spans.Ended()
		if len(ended) != 2 || ended[0].SpanContext().TraceID() == ended[1].SpanContext().TraceID() {
			t.Fatalf("%s: got %d spans, want 2, without traceparent in traces of their own", test.path, len(ended))
		}
		for i, s := range ended {
			for _, kv := range s.Attributes() {
				if kv.Key == "gen_ai.request.id" && kv.Value.AsString() != test.ids[i] {
					t.Errorf("%s: got id %s, want %s", test.path, kv.Value.AsString(), test.ids[i])
				}
				if strings.HasPrefix(test.path, "/v1/emb") && strings.HasPrefix(string(kv.Key), "gen_ai.request.n") {
					t.Errorf("%s: got %v, want none", test.path, kv)
				}
			}
		}
	}
}

func TestNoSpanWithoutANormalEnd(t *testing.T) {
	spans, provider := recorder()
	cfg := sim.Config{Timing: exact, TracerProvider: provider, AllowRequestFaults: true, KeepAliveOnEngineDeath: true}
	bubble(t, cfg, func(t *testing.T, engine *sim.Engine, c client) {
		for _, content := range []string{"[fault:error-event]", "[fault:truncate]", "[fault:hang-decode]"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			c.open(ctx, "/v1/chat/completions", chat(content, 10))
			cancel()
		}
		c.read("POST", "/v1/completions", `{"prompt":"x","max_tokens":-1}`)
		open := background(t.Context(), c, chat("dies", 1000))
		after(100 * time.Millisecond)
		engine.Fault(sim.Dead)
		open()
	})
	if got := len(spans.Ended()) + len(spans.Started()); got != 0 {
		t.Errorf("got %d spans, want none", got)
	}
}
