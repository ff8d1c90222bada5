package otelvllm_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// brokenLog panics at one line.
type brokenLog struct{ line string }

func (brokenLog) Enabled(context.Context, slog.Level) bool { return true }
func (b brokenLog) WithAttrs([]slog.Attr) slog.Handler     { return b }
func (b brokenLog) WithGroup(string) slog.Handler          { return b }
func (b brokenLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == b.line {
		panic("the log is broken")
	}
	return nil
}

func TestABrokenLogBreaksNoRequest(t *testing.T) {
	for _, line := range []string{"start", "generation start", "request stalled", "complete"} {
		t.Run(line, func(t *testing.T) {
			tel := newTelemetry()
			h := otelvllm.Middleware(tel.options(otelvllm.WithLogger(slog.New(brokenLog{line})))...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tel.registry.Requests()[0].Stalled(inflight.Stall{Cause: "no_progress", Phase: "connect"})
				say(`{}`).ServeHTTP(w, r)
			}))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(wholeBody)))
			if call := tel.call(t); w.Body.String() != `{}` || call.Outcome != otelvllm.Completed {
				t.Errorf("got %q, %s; want the answer, completed", w.Body, call.Outcome)
			}
		})
	}
}

// brokenProcessor panics at the end of one span.
type brokenProcessor struct{ sdktrace.SpanProcessor }

func (brokenProcessor) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (brokenProcessor) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.Name() == "generation" {
		panic("the processor is broken")
	}
}

func TestABrokenSpanProcessorLeavesNothingBehind(t *testing.T) {
	tel := newTelemetry()
	tel.tracer.RegisterSpanProcessor(brokenProcessor{})
	var request *inflight.Request
	h := otelvllm.Middleware(tel.options()...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request = tel.registry.Requests()[0]
		say(`{}`).ServeHTTP(w, r)
	}))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(wholeBody)))
	}()
	if running, active := len(tel.registry.Running()), tel.metrics(t)["vllm.request.active"].sum; running != 0 || active != 0 {
		t.Errorf("got %d running, %g active; want none", running, active)
	}
	looked := make(chan struct{})
	go func() { // as a watchdog does
		defer close(looked)
		request.Stalled(inflight.Stall{Cause: "no_progress", Phase: "connect"})
	}()
	select {
	case <-looked:
	case <-time.After(5 * time.Second):
		t.Error("a watchdog waits for a request that is over")
	}
}

func TestAClosedBodyGivesNothingMore(t *testing.T) {
	engine := httptest.NewServer(fiveWords())
	defer engine.Close()
	client := http.Client{Transport: otelvllm.NewTransport(nil, newTelemetry().options()...)}
	resp, err := client.Post(engine.URL+chatPath, "application/json", strings.NewReader(streamBody))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if n, err := resp.Body.Read(make([]byte, 5)); n != 0 || err == nil || err == io.EOF {
		t.Errorf("got %d bytes, %v; want none, and an error as without Transport", n, err)
	}
}
