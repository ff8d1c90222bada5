//go:build live

package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"github.com/otelvllm/otelvllm-go/examples/gateway/sidecar"
	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// The live tests run against a real vLLM:
//
//	OTELVLLM_LIVE_ENGINE  its base URL
//	OTELVLLM_LIVE_OTLP    where it exports its spans by OTLP over gRPC (--otlp-traces-endpoint); 127.0.0.1:4317
//	                      by default. Nothing may listen there: the test does.
type live struct {
	engine *url.URL
	model  string
	spans  *tracetest.InMemoryExporter
	theirs *receiver
	front  *httptest.Server
	calls  chan otelvllm.Call
}

func startLive(t *testing.T) *live {
	t.Helper()
	engine, err := url.Parse(os.Getenv("OTELVLLM_LIVE_ENGINE"))
	if err != nil || engine.Host == "" {
		t.Skip("OTELVLLM_LIVE_ENGINE is not set to the base URL of a running vLLM")
	}
	l := &live{engine: engine, spans: tracetest.NewInMemoryExporter(), theirs: startReceiver(t), calls: make(chan otelvllm.Call, 16)}
	models := l.get(t, "/v1/models")
	l.model = regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(models)[1]
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(l.spans))
	gateway := sidecar.New(sidecar.Config{Engine: engine, StallAfter: time.Minute, ScrapeInterval: time.Second, UsageInjection: true},
		otelvllm.WithTracerProvider(tp), otelvllm.WithPropagators(propagation.TraceContext{}),
		otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) { l.calls <- c }))
	l.front = httptest.NewServer(gateway.Handler)
	t.Cleanup(l.front.Close)
	return l
}

func (l *live) get(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get(l.engine.JoinPath(path).String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// counters returns the engine's own token counters.
func (l *live) counters(t *testing.T) (prompt, generation int64) {
	t.Helper()
	text := l.get(t, "/metrics")
	read := func(name string) (sum int64) {
		for _, m := range regexp.MustCompile(`(?m)^`+name+`\{[^}]*\} (\S+)$`).FindAllStringSubmatch(text, -1) {
			f, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += int64(f)
		}
		return sum
	}
	return read("vllm:prompt_tokens_total"), read("vllm:generation_tokens_total")
}

func (l *live) post(t *testing.T, base, path, body string) (int, []byte) {
	t.Helper()
	resp, err := http.Post(base+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

func TestLiveEngineGivesTheTreeAndItsOwnTokenCounts(t *testing.T) {
	l := startLive(t)
	chat := func(more string) string {
		return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"Where does a slow request wait?"}],"max_tokens":40,"ignore_eos":true,"temperature":1%s}`, l.model, more)
	}
	completion := func(more string) string {
		return fmt.Sprintf(`{"model":%q,"prompt":"The queue is","max_tokens":40,"ignore_eos":true,"temperature":1%s}`, l.model, more)
	}
	for _, tt := range []struct {
		name, path, body string
		stream           bool
		spans            int // of vLLM's
	}{
		{"chat", "/v1/chat/completions", chat(""), false, 1},
		{"chat stream", "/v1/chat/completions", chat(`,"stream":true`), true, 1},
		{"chat stream with usage asked for", "/v1/chat/completions", chat(`,"stream":true,"stream_options":{"include_usage":true}`), true, 1},
		{"chat stream with two choices", "/v1/chat/completions", chat(`,"stream":true,"n":2,"seed":7`), true, 2},
		{"completion", "/v1/completions", completion(""), false, 1},
		{"completion stream", "/v1/completions", completion(`,"stream":true`), true, 1},
		{"embeddings", "/v1/embeddings", fmt.Sprintf(`{"model":%q,"input":["hello","a longer text"]}`, l.model), false, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, _ := l.post(t, l.engine.String(), tt.path, `{}`); status == http.StatusNotFound {
				t.Skipf("the running model does not serve %s", tt.path)
			}
			l.spans.Reset()
			promptBefore, generationBefore := l.counters(t)
			status, answer := l.post(t, l.front.URL, tt.path, tt.body)
			if status != http.StatusOK {
				t.Fatalf("got status %d: %s", status, answer)
			}
			call := <-l.calls
			prompt, generation := l.settled(t, promptBefore+call.Usage.Input.N)
			if !call.Usage.Input.Known || call.Usage.Input.N != prompt-promptBefore && tt.spans == 1 {
				t.Errorf("input tokens: got %+v, the engine counted %d", call.Usage.Input, prompt-promptBefore)
			}
			if call.Usage.Output.N != generation-generationBefore && call.Operation != "embeddings" {
				t.Errorf("output tokens: got %+v, the engine counted %d", call.Usage.Output, generation-generationBefore)
			}
			if call.Outcome != otelvllm.Completed || call.Stream != tt.stream {
				t.Errorf("got %s, stream %v; want completed, %v", call.Outcome, call.Stream, tt.stream)
			}
			if asked := strings.Contains(tt.body, "include_usage"); tt.stream && bytes.Contains(answer, []byte(`"usage":{`)) != asked {
				t.Errorf("the answer holds usage: %v, want %v:\n%s", !asked, asked, answer)
			}
			l.checkTree(t, call, tt.spans)
		})
	}
}

// settled waits until the engine's counters show the request.
func (l *live) settled(t *testing.T, want int64) (prompt, generation int64) {
	for range 50 {
		if prompt, generation = l.counters(t); prompt >= want {
			break
		}
		<-time.After(100 * time.Millisecond)
	}
	return prompt, generation
}

// checkTree checks our spans and that vLLM's own joined the trace below the attempt.
func (l *live) checkTree(t *testing.T, call otelvllm.Call, theirs int) {
	t.Helper()
	byName := map[string]tracetest.SpanStub{}
	for _, s := range l.spans.GetSpans() {
		byName[s.Name] = s
		if s.SpanContext.TraceID() != call.TraceID {
			t.Errorf("span %q is in another trace", s.Name)
		}
	}
	parents := map[string]string{
		call.Operation + " " + call.Model: "POST " + call.Route, "generation": call.Operation + " " + call.Model, "POST": "generation",
	}
	if call.Operation != "embeddings" {
		parents["first_token"], parents["decode"] = "generation", "generation"
	}
	if call.Engine.Known {
		parents["queue"], parents["prefill"] = "first_token", "first_token"
	}
	for child, parent := range parents {
		if byName[child].Parent.SpanID() != byName[parent].SpanContext.SpanID() || byName[child].Name == "" {
			t.Errorf("span %q is not below %q", child, parent)
		}
	}
	attempt := byName["POST"].SpanContext
	got := l.theirs.wait(attempt.TraceID().String(), theirs)
	if len(got) != theirs {
		t.Errorf("got %d llm_request spans of vLLM in the trace, want %d", len(got), theirs)
	}
	for _, parent := range got {
		if parent != attempt.SpanID().String() {
			t.Errorf("vLLM's span has parent %s, want the attempt %s", parent, attempt.SpanID())
		}
	}
	t.Logf("%s: queue %s, prefill %s, decode %s, first token %s, total %s, %d in, %d out", call.Route, call.Engine.Queue, call.Engine.Prefill,
		call.Engine.Decode, call.TimeToFirstToken, call.Duration, call.Usage.Input.N, call.Usage.Output.N)
}

// receiver takes vLLM's spans by OTLP over gRPC and keeps the parents of llm_request, by trace.
type receiver struct {
	collector.UnimplementedTraceServiceServer

	mu      sync.Mutex
	parents map[string][]string
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	addr := os.Getenv("OTELVLLM_LIVE_OTLP")
	if addr == "" {
		addr = "127.0.0.1:4317"
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatalf("listen where vLLM exports its spans (OTELVLLM_LIVE_OTLP): %v", err)
	}
	r := &receiver{parents: make(map[string][]string)}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return r
}

func (r *receiver) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rs := range req.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				if s.GetName() == "llm_request" {
					id := fmt.Sprintf("%x", s.GetTraceId())
					r.parents[id] = append(r.parents[id], fmt.Sprintf("%x", s.GetParentSpanId()))
				}
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// wait returns the parents of vLLM's spans in a trace, once there are n or ten seconds have passed.
func (r *receiver) wait(id string, n int) []string {
	for range 100 {
		r.mu.Lock()
		got := slices.Clone(r.parents[id])
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		<-time.After(100 * time.Millisecond)
	}
	return nil
}
