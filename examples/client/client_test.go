package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

func noExport(t *testing.T) {
	for _, s := range []string{"TRACES", "METRICS", "LOGS"} {
		t.Setenv("OTEL_"+s+"_EXPORTER", "none")
	}
}

// recorded are the lines that tell of the three calls.
var recorded = []*regexp.Regexp{
	regexp.MustCompile(`\n  chat +simulated: completed in \S+, \d+ tokens in, 40 out, [\d.]+ tokens/s, first token after \S+, trace ([0-9a-f]{32})\n`),
	regexp.MustCompile(`\n  chat +simulated: completed in \S+, \d+ tokens in, \d+ out, [\d.]+ tokens/s, first token after \S+, trace ([0-9a-f]{32})\n  emb`),
	regexp.MustCompile(`\n  embeddings simulated: completed in \S+, 7 tokens in, trace ([0-9a-f]{32})\n$`),
}

func TestThreeCallsArePrintedAndRecorded(t *testing.T) {
	noExport(t)
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	var out bytes.Buffer
	if err := run(t.Context(), &out, "", "", otelvllm.WithTracerProvider(provider)); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	for _, want := range []string{
		"engine: simulated", "\nchat: ", "\ntool: get_weather({\"city\":", "\nembeddings: 8 numbers, 8 numbers\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %q in it", got, want)
		}
	}
	calls := make(map[string]bool)
	for _, s := range spans.GetSpans() {
		if strings.HasSuffix(s.Name, " simulated") && s.SpanKind == trace.SpanKindClient && !s.Parent.IsValid() {
			calls[s.SpanContext.TraceID().String()] = true
		}
	}
	for _, line := range recorded {
		if m := line.FindStringSubmatch(got); m == nil || !calls[m[1]] {
			t.Errorf("got\n%s\nwant a line like %s with the trace of a request span", got, line)
		}
	}
	if len(calls) != 3 {
		t.Errorf("got %d request spans, want 3", len(calls))
	}
}

// watcher tells when a text has been written for the first time.
type watcher struct {
	mu   sync.Mutex
	text strings.Builder
	want *regexp.Regexp
	seen func()
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if w.seen != nil && w.want.MatchString(w.text.String()) {
		w.seen()
		w.seen = nil
	}
	return len(p), nil
}

func TestTheTextIsPrintedAsItComes(t *testing.T) {
	noExport(t)
	engine := sim.New(sim.Config{})
	server := httptest.NewServer(engine)
	defer server.Close()
	engine.Fault(sim.HangDecode) // after three tokens, until Clear
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out := &watcher{want: regexp.MustCompile(`\nchat: \w+ \w+ \w+`), seen: engine.Clear}
	if err := run(ctx, out, server.URL+"/v1/", "simulated"); err != nil {
		t.Fatal(err)
	}
	if got := out.text.String(); out.seen != nil || !strings.Contains(got, "40 out") {
		t.Errorf("got\n%s\nwant the first words while the engine hangs, and then the rest", got)
	}
}

func TestWhatTheEngineRefusesIsToldAndNoFailure(t *testing.T) {
	noExport(t)
	server := httptest.NewServer(sim.New(sim.Config{}))
	defer server.Close()
	var out bytes.Buffer
	if err := run(t.Context(), &out, server.URL, "another"); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Count(got, "this engine refuses with 404: The model `another` does not exist") != 3 || strings.Count(got, "another: rejected in ") != 3 || !strings.Contains(got, "(404)") {
		t.Errorf("got\n%s\nwant three calls refused and recorded as rejected", got)
	}
}

func TestAnEngineThatIsNotThereIsAnError(t *testing.T) {
	noExport(t)
	server := httptest.NewServer(sim.New(sim.Config{}))
	server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, &out, server.URL, ""); err == nil || !strings.Contains(err.Error(), "ask the engine for its models") {
		t.Errorf("got error %v, want one that says what was asked", err)
	}
}
