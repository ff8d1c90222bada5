package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// recorder keeps the spans that have ended.
type recorder struct {
	mu      sync.Mutex
	spans   []sdktrace.ReadOnlySpan
	changed chan struct{}
}

func (r *recorder) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (r *recorder) Shutdown(context.Context) error                  { return nil }
func (r *recorder) ForceFlush(context.Context) error                { return nil }

func (r *recorder) OnEnd(s sdktrace.ReadOnlySpan) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, s)
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorder) get() ([]sdktrace.ReadOnlySpan, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans), r.changed
}

// span waits for a span of that name and returns the first one.
func (r *recorder) span(t *testing.T, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	for limit := time.After(patience); ; {
		spans, changed := r.get()
		var names []string
		for _, s := range spans {
			if s.Name() == name {
				return s
			}
			names = append(names, s.Name())
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("got spans %q, want one named %q", names, name)
		}
	}
}

// tree draws the spans of a trace by name, once the span that is to end last has ended.
func (r *recorder) tree(t *testing.T, last sdktrace.ReadOnlySpan) string {
	t.Helper()
	spans, _ := r.get()
	spans = slices.DeleteFunc(spans, func(s sdktrace.ReadOnlySpan) bool {
		return s.SpanContext().TraceID() != last.SpanContext().TraceID()
	})
	slices.SortFunc(spans, func(a, b sdktrace.ReadOnlySpan) int { return strings.Compare(a.Name(), b.Name()) })
	var b strings.Builder
	var walk func(parent trace.SpanID, indent string)
	walk = func(parent trace.SpanID, indent string) {
		for _, s := range spans {
			if s.Parent().SpanID() == parent {
				b.WriteString(indent + s.Name() + " " + s.SpanKind().String() + "\n")
				walk(s.SpanContext().SpanID(), indent+"  ")
			}
		}
	}
	walk(last.Parent().SpanID(), "")
	return b.String()
}

func attribute(s sdktrace.ReadOnlySpan, key string) string {
	for _, kv := range s.Attributes() {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

// buffer can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// world is a worker with its simulated engine.
type world struct {
	*service

	t     *testing.T
	sim   *sim.Engine
	spans *recorder
	log   *buffer
	url   string
}

// newWorld starts a worker; change may set what a test needs otherwise.
func newWorld(t *testing.T, change func(*config)) *world {
	t.Helper()
	w := &world{t: t, spans: &recorder{changed: make(chan struct{})}, log: &buffer{}}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(w.spans))
	w.sim = sim.New(sim.Config{Model: "tiny", PerRequestMetrics: true, TracerProvider: provider})
	engine := httptest.NewServer(w.sim)
	t.Cleanup(engine.Close)
	c, err := parseConfig([]string{"-engine", engine.URL, "-model", "tiny"}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(c)
	}
	seats := "4"
	w.service = newService(c, propagation.TraceContext{}, slog.New(slog.NewJSONHandler(w.log, nil)), map[string]*string{"MAX_NUM_SEQS": &seats, "MAX_MODEL_LEN": nil},
		otelvllm.WithTracerProvider(provider))
	server := httptest.NewServer(w.handler)
	t.Cleanup(func() {
		w.sim.Clear() // lets go of what hangs
		w.queue.close()
		over, cancel := context.WithCancel(context.Background())
		cancel()
		w.queue.drain(over)
		server.Close()
	})
	w.url = server.URL
	return w
}

// answer is what any call may answer.
type answer struct {
	ID     string `json:"id"`
	Status state  `json:"status"`
	Error  string `json:"error"`
	Output struct {
		Text         string `json:"text"`
		FinishReason string `json:"finish_reason"`
		Model        string `json:"model"`
		Usage        *usage `json:"usage"`
	} `json:"output"`
	Stream []struct {
		Output struct {
			Text string `json:"text"`
		} `json:"output"`
	} `json:"stream"`
	DelayTime     *int64 `json:"delayTime"`
	ExecutionTime *int64 `json:"executionTime"`
}

// do makes one call and returns its status, headers and text.
func (w *world) do(ctx context.Context, method, path, body string, headers ...string) (int, http.Header, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// call makes a call that must be answered with status 200.
func (w *world) call(method, path, body string, headers ...string) (a answer) {
	w.t.Helper()
	status, _, text := w.do(w.t.Context(), method, path, body, headers...)
	if err := json.Unmarshal([]byte(text), &a); status != http.StatusOK || err != nil {
		w.t.Fatalf("%s %s: got %d, %s; want 200 and JSON", method, path, status, text)
	}
	return a
}

// wait follows /stream to the end of a job and returns its parts together, and its last state.
func (w *world) wait(id string) (text string, end answer) {
	w.t.Helper()
	for begun := time.Now(); ; {
		a := w.call("GET", "/stream/"+id, "")
		if time.Since(begun) > patience {
			w.t.Fatalf("job %s has not ended after %s: %+v", id, patience, a)
		}
		for _, part := range a.Stream {
			text += part.Output.Text
		}
		if a.Status != inQueue && a.Status != inProgress && len(a.Stream) == 0 {
			return text, w.call("GET", "/status/"+id, "")
		}
	}
}

// start puts a streaming job into the queue and waits for its first part, so that it runs for sure.
func (w *world) start() string {
	w.t.Helper()
	id := w.call("POST", "/run", streaming).ID
	if a := w.call("GET", "/stream/"+id, ""); len(a.Stream) == 0 {
		w.t.Fatalf("job %s has no output within %s: %+v", id, streamWait, a)
	}
	return id
}

const (
	prompt    = `{"input":{"prompt":"Once upon a time","sampling_params":{"max_tokens":6,"ignore_eos":true}}}`
	streaming = `{"input":{"action":"generate","stream":true,"model":"tiny","messages":[{"role":"user","content":"hi"}],"sampling_params":{"max_tokens":12,"ignore_eos":true}}}`
	caller    = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
)
