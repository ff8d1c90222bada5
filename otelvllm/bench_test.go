package otelvllm_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// benchChunks is the length of the stream that the benchmarks send: about that of a short answer.
const benchChunks = 200

// benchStream returns the events of a chat stream as vLLM 0.32 writes them.
func benchStream() [][]byte {
	head := `data: {"id":"chatcmpl-9131ccc27705d291","object":"chat.completion.chunk","created":1795481271,"model":"tiny","choices":`
	events := [][]byte{[]byte(head + `[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null}` + "\n\n")}
	for i := range benchChunks - 4 {
		events = append(events, fmt.Appendf(nil, head+`[{"index":0,"delta":{"content":" tok%d"},"logprobs":null,"finish_reason":null,"token_ids":null}]}`+"\n\n", i))
	}
	return append(events,
		[]byte(head+`[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null}]}`+"\n\n"),
		[]byte(head+`[],"usage":{"prompt_tokens":15,"total_tokens":211,"completion_tokens":196,"prompt_tokens_details":{"cached_tokens":0,"created_cache_tokens":0}},"system_fingerprint":"vllm-0.32.0-a5a29c53"}`+"\n\n"),
		[]byte("data: [DONE]\n\n"))
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header               { return d.h }
func (d *discard) Write(p []byte) (int, error)       { return len(p), nil }
func (d *discard) WriteHeader(int)                   {}
func (d *discard) Flush()                            {}
func (d *discard) WriteString(s string) (int, error) { return len(s), nil }

// streamHandler reads the request and writes the events, each with a flush.
func streamHandler(events [][]byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		flusher := w.(http.Flusher)
		for _, e := range events {
			_, _ = w.Write(e)
			flusher.Flush()
		}
	})
}

// BenchmarkStream is the cost of a stream of 200 chunks through a handler: bare, with otelhttp, and
// with this package. ns/chunk is the figure to compare; B/op and allocs/op are for the whole stream.
func BenchmarkStream(b *testing.B) {
	events := benchStream()
	tp, mp := sdktrace.NewTracerProvider(), sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	ours := []otelvllm.Option{
		otelvllm.WithTracerProvider(tp), otelvllm.WithMeterProvider(mp), otelvllm.WithPropagators(propagation.TraceContext{}),
	}
	bare := streamHandler(events)
	for _, bb := range []struct {
		name    string
		handler http.Handler
	}{
		{"bare", bare},
		{"otelhttp", otelhttp.NewHandler(bare, "chat", otelhttp.WithTracerProvider(tp), otelhttp.WithMeterProvider(mp), otelhttp.WithPropagators(propagation.TraceContext{}))},
		{"otelvllm", otelvllm.Middleware(ours...)(bare)},
		{"otelvllm, no metrics", otelvllm.Middleware(otelvllm.WithTracerProvider(tp), otelvllm.WithMeterProvider(noop.NewMeterProvider()), otelvllm.WithPropagators(propagation.TraceContext{}))(bare)},
		{"otelvllm+registry", otelvllm.Middleware(append(ours, otelvllm.WithRegistry(&inflight.Registry{}))...)(bare)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(streamBody))
				bb.handler.ServeHTTP(&discard{h: make(http.Header)}, r)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchChunks, "ns/chunk")
		})
	}
}
