package test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/surface"
)

const goldenPath = "testdata/telemetry.golden"

// stage is a client, a gateway and a simulated engine, whose telemetry is collected.
type stage struct {
	spans  *tracetest.InMemoryExporter
	reader *sdkmetric.ManualReader
	opts   []otelvllm.Option
	engine *httptest.Server
	front  *httptest.Server
	up     func() bool // the monitor has two readings of the engine
	calls  *inflight.Registry
}

func newStage(t *testing.T) *stage {
	s := &stage{spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.reader))
	registry := &inflight.Registry{}
	s.calls = registry
	s.opts = []otelvllm.Option{
		otelvllm.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(s.spans))),
		otelvllm.WithMeterProvider(mp),
		otelvllm.WithPropagators(propagation.TraceContext{}), otelvllm.WithRegistry(registry),
		otelvllm.WithContentCapture(otelvllm.Capture{Input: true, Output: true}),
		otelvllm.WithSLO(otelvllm.SLO{TimeToFirstToken: time.Second, TimePerOutputToken: time.Second, Total: time.Minute}),
	}
	s.engine = httptest.NewServer(sim.New(sim.Config{
		Model: "tiny", PerRequestMetrics: true, PromptTokensDetails: true, AllowRequestFaults: true, ReasoningParser: "qwen3",
		Timing: sim.Timing{Step: time.Millisecond},
	}))
	t.Cleanup(s.engine.Close)
	target, err := url.Parse(s.engine.URL)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", otelvllm.NewReverseProxy(target, s.opts...))
	s.front = httptest.NewServer(otelvllm.Middleware(s.opts...)(mux))
	t.Cleanup(s.front.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	dog := &watchdog.Watchdog{Registry: registry, StallAfter: time.Second}
	go func() { _ = dog.Run(ctx) }()
	monitor := engine.NewMonitor([]string{s.engine.URL}, engine.WithMeterProvider(mp), engine.WithInterval(50*time.Millisecond))
	go func() { _ = monitor.Run(ctx) }()
	s.up = func() bool { return monitor.Status()[0].Before != nil }
	return s
}

func (s *stage) post(t *testing.T, ctx context.Context, client *http.Client, to, body, fault string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if fault != "" {
		req.Header.Set("X-Fake-Fault", fault)
	}
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
}

// wait returns once a span of that name has been exported.
func (s *stage) wait(t *testing.T, name string) {
	t.Helper()
	for range 500 {
		for _, span := range s.spans.GetSpans() {
			if span.Name == name {
				return
			}
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("no span %q after five seconds", name)
}

// play makes the library emit everything it can.
func (s *stage) play(t *testing.T) {
	all := `"temperature":0.5,"top_p":0.9,"top_k":5,"frequency_penalty":0.1,"presence_penalty":0.1,"seed":1,"n":2,"stop":["x"],"reasoning_effort":"low","response_format":{"type":"json_object"}`
	chat := func(more string) string {
		return `{"model":"tiny","max_tokens":20,"ignore_eos":true,"messages":[{"role":"user","content":"a question of some length, so that there is something to cache"}]` + more + `}`
	}
	to := func(path string) string { return s.front.URL + path }
	here, client := t.Context(), http.DefaultClient
	s.post(t, here, client, to("/v1/chat/completions"), chat(`,"stream":true`), "")
	s.post(t, here, client, to("/v1/chat/completions"), chat(`,`+all), "")
	s.post(t, here, client, to("/v1/completions"), `{"model":"tiny","prompt":"once","max_tokens":8,"stream":true}`, "")
	s.post(t, here, client, to("/v1/embeddings"), `{"model":"tiny","input":"text","dimensions":16,"encoding_format":"float"}`, "")
	s.post(t, here, client, to("/v1/responses"), `{"model":"tiny","input":"once","instructions":"be short","max_output_tokens":4,"tools":[{"type":"function","name":"f"}]}`, "")
	s.post(t, here, client, to("/v1/chat/completions"), `{"model":"nope","messages":[]}`, "")
	s.post(t, here, client, to("/v1/models"), `{}`, "")

	// The client alone, without usage: an estimate.
	alone := &http.Client{Transport: otelvllm.NewTransport(nil, append(s.opts, otelvllm.WithUsageInjection(false))...)}
	s.post(t, here, alone, s.engine.URL+"/v1/chat/completions", chat(`,"stream":true`), "")

	// A stream that hangs, and is left.
	leaving, leave := context.WithCancel(here)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.post(t, leaving, client, to("/v1/chat/completions"), chat(`,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}`), "hang-decode")
	}()
	s.wait(t, "stall")
	s.calls.GPUError(inflight.GPUError{GPU: "GPU-0", XID: 79, Name: "GPU has fallen off the bus", Action: "restart_machine"}, nil)
	leave()
	<-done

	// A job.
	ctx := otelvllm.NewContext(here, s.opts...)
	_ = otelvllm.Request(ctx, otelvllm.Info{Model: "tiny", Route: "/run"}, func(ctx context.Context) error {
		if err := otelvllm.EngineInit(ctx, func(context.Context) error { return nil }); err != nil {
			return err
		}
		return otelvllm.Generation(ctx, func(_ context.Context, m *otelvllm.Meter) error {
			m.Tokens(3)
			m.Usage(otelvllm.Usage{
				Input: otelvllm.Tokens{N: 1, Known: true}, Output: otelvllm.Tokens{N: 3, Known: true},
				Reasoning: otelvllm.Tokens{N: 1, Known: true}, CacheWrite: otelvllm.Tokens{N: 1, Known: true},
			})
			return nil
		})
	})
	for i := 0; !s.up() && i < 500; i++ {
		<-time.After(10 * time.Millisecond)
	}
	s.front.Close() // waits for the handlers, so that every span has ended
}

func (s *stage) surface(t *testing.T) string {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := s.reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	var all surface.Surface
	all.AddMetrics(rm)
	all.AddMetrics(gpuSurface())
	all.AddMetrics(drop(t))
	all.AddSpans(s.spans.GetSpans())
	return all.String()
}

// TestTelemetrySurface compares all that the library emits with the golden file: a renamed metric
// breaks dashboards that no compiler sees. `make golden` rewrites it.
func TestTelemetrySurface(t *testing.T) {
	s := newStage(t)
	s.play(t)
	surface.Golden(t, goldenPath, s.surface(t))
}
