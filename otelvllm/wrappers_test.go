package otelvllm_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

func TestJobMakesRequestInitAndGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry()
		var lines bytes.Buffer
		ctx := otelvllm.NewContext(t.Context(), tel.options(otelvllm.WithLogger(slog.New(slog.NewTextHandler(&lines, nil))))...)
		err := otelvllm.Request(ctx, otelvllm.Info{Model: "tiny", Route: "/run"}, func(ctx context.Context) error {
			if err := otelvllm.EngineInit(ctx, func(context.Context) error { time.Sleep(2 * time.Second); return nil }); err != nil {
				return err
			}
			return otelvllm.Generation(ctx, func(_ context.Context, m *otelvllm.Meter) error {
				time.Sleep(100 * time.Millisecond)
				for range 4 {
					m.Tokens(5)
					time.Sleep(50 * time.Millisecond)
				}
				m.Usage(otelvllm.Usage{Input: otelvllm.Tokens{N: 9, Known: true}, Output: otelvllm.Tokens{N: 20, Known: true}})
				m.Finish("stop")
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		want := `chat tiny internal 2.3s
  engine_init internal 2s
  generation internal 300ms
    first_token internal 100ms
    decode internal 150ms
`
		if got := tel.tree(); got != want {
			t.Errorf("got tree\n%s\nwant\n%s", got, want)
		}
		call := tel.call(t)
		if call.Outcome != otelvllm.Completed || call.EngineInit != 2*time.Second || call.Usage.Output.N != 20 || call.TimeToFirstToken != 2100*time.Millisecond {
			t.Errorf("got call %+v", call)
		}
		if m := tel.metrics(t); m["vllm.engine.init.duration"].sum != 2 || m["gen_ai.server.request.duration"].count != 1 {
			t.Errorf("got init %v, durations %v", m["vllm.engine.init.duration"], m["gen_ai.server.request.duration"])
		}
		for _, line := range []string{"msg=start", `msg="engine ready"`, `msg="generation start"`, "msg=complete"} {
			if !strings.Contains(lines.String(), line) || !strings.Contains(lines.String(), "trace_id="+call.TraceID.String()) {
				t.Errorf("log lacks %s:\n%s", line, lines.String())
			}
		}
	})
}

func TestWrappersPassErrorsAndPanicsOn(t *testing.T) {
	own := errors.New("own error")
	tel := newTelemetry()
	ctx := otelvllm.NewContext(t.Context(), tel.options()...)
	if err := otelvllm.Request(ctx, otelvllm.Info{}, func(context.Context) error { return own }); !errors.Is(err, own) {
		t.Errorf("got error %v, want the function's own", err)
	}
	if call := tel.call(t); call.Outcome != otelvllm.Failed || call.ErrorType != "_OTHER" {
		t.Errorf("got %s, %q; want failed, _OTHER", call.Outcome, call.ErrorType)
	}
	func() {
		defer func() {
			if v := recover(); v != "a bug" {
				t.Errorf("got panic %v, want the function's own", v)
			}
		}()
		_ = otelvllm.Generation(ctx, func(context.Context, *otelvllm.Meter) error { panic("a bug") })
	}()
	if got := tel.calls[len(tel.calls)-1].Outcome; got != otelvllm.Panicked {
		t.Errorf("got %s, want panic", got)
	}
}

func TestEngineInitInVainIsUnreachable(t *testing.T) {
	tel := newTelemetry()
	ctx := otelvllm.NewContext(t.Context(), tel.options()...)
	_ = otelvllm.Request(ctx, otelvllm.Info{Model: "tiny"}, func(ctx context.Context) error {
		return otelvllm.EngineInit(ctx, func(context.Context) error { return errRefusedForTest })
	})
	if call := tel.call(t); call.Outcome != otelvllm.Unreachable || call.ErrorType != "connection_refused" {
		t.Errorf("got %s, %q; want unreachable, connection_refused", call.Outcome, call.ErrorType)
	}
}

func TestLinksLeadToTheRequestThatEnqueuedTheJob(t *testing.T) {
	tel := newTelemetry()
	enqueued, span := tel.tracer.Tracer("caller").Start(t.Context(), "POST /run")
	span.End()
	link := trace.LinkFromContext(enqueued)
	ctx := otelvllm.NewContext(t.Context(), tel.options()...)
	err := otelvllm.Request(ctx, otelvllm.Info{Model: "tiny", Links: []trace.Link{link}}, func(ctx context.Context) error {
		return otelvllm.Request(ctx, otelvllm.Info{Links: []trace.Link{{}, link}}, func(context.Context) error { return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	got := tel.span(t, "chat tiny")
	if got.Parent.IsValid() || got.SpanContext.TraceID() == link.SpanContext.TraceID() {
		t.Errorf("got parent %v in trace %v, want a trace of its own", got.Parent, got.SpanContext.TraceID())
	}
	if len(got.Links) != 2 || !got.Links[0].SpanContext.Equal(link.SpanContext) || !got.Links[1].SpanContext.Equal(link.SpanContext) {
		t.Errorf("got links %v, want the outer and the inner one to %v; the empty one leads nowhere", got.Links, link.SpanContext)
	}
}

func TestTransportTellsWhatTheWrapperDidNot(t *testing.T) {
	for _, tt := range []struct{ name, told, want string }{
		{"the engine's request names the model", "", "chat tiny"},
		{"a model that the job named stays", "alias", "chat alias"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tel := newTelemetry()
			ctx := otelvllm.NewContext(t.Context(), tel.options()...)
			client := &http.Client{Transport: otelvllm.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
			}), tel.options()...)}
			err := otelvllm.Request(ctx, otelvllm.Info{Model: tt.told}, func(ctx context.Context) error {
				return otelvllm.Generation(ctx, func(ctx context.Context, _ *otelvllm.Meter) error {
					req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://engine/v1/chat/completions", strings.NewReader(`{"model":"tiny","max_tokens":7,"messages":[]}`))
					req.Header.Set("Content-Type", "application/json")
					resp, err := client.Do(req)
					if err == nil {
						resp.Body.Close()
					}
					return err
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			wantAttrs(t, tel.span(t, tt.want), map[string]string{"gen_ai.request.max_tokens": "7"})
		})
	}
}

func TestMeterOfNothingDoesNothing(t *testing.T) {
	var m *otelvllm.Meter
	m.Tokens(1)
	m.FirstToken()
	m.Usage(otelvllm.Usage{})
	m.Finish("stop")
}

func TestHookThatPanicsDoesNotReachTheRequest(t *testing.T) {
	tel := newTelemetry()
	ctx := otelvllm.NewContext(t.Context(), tel.options(otelvllm.WithOnDone(func(context.Context, otelvllm.Call) { panic("hook") }))...)
	if err := otelvllm.Request(ctx, otelvllm.Info{}, func(context.Context) error { return nil }); err != nil {
		t.Errorf("got error %v, want none", err)
	}
}

// TestHooksAreCalledInTheOrderGiven gives one option more than once: each adds a hook, and one that panics does not
// keep the next from its call.
func TestHooksAreCalledInTheOrderGiven(t *testing.T) {
	var got []string
	hook := func(name string) otelvllm.Option {
		return otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) { got = append(got, name+" "+c.Model) })
	}
	shared := make([]otelvllm.Option, 0, 8)
	shared = append(shared, hook("a"), otelvllm.WithOnDone(func(context.Context, otelvllm.Call) { panic("hook") }), otelvllm.WithOnDone(nil))
	for _, last := range []string{"b", "c"} { // two parts that share their first options
		ctx := otelvllm.NewContext(t.Context(), newTelemetry().options(append(shared, hook(last))...)...)
		if err := otelvllm.Request(ctx, otelvllm.Info{Model: last}, func(context.Context) error { return nil }); err != nil {
			t.Errorf("got error %v, want none", err)
		}
	}
	if want := []string{"a b", "b b", "a c", "c c"}; !slices.Equal(got, want) {
		t.Errorf("got the calls %q, want %q", got, want)
	}
}

func TestWhatAWorkerTellsIsCleanedBeforeItLeaves(t *testing.T) {
	tel := newTelemetry()
	ctx := otelvllm.NewContext(context.Background(), tel.options()...)
	work := func(f func(*otelvllm.Meter)) otelvllm.Call {
		_ = otelvllm.Request(ctx, otelvllm.Info{Operation: "cha\xfft\n", Model: "m"}, func(ctx context.Context) error {
			return otelvllm.Generation(ctx, func(_ context.Context, m *otelvllm.Meter) error { f(m); return nil })
		})
		return tel.calls[len(tel.calls)-1]
	}
	tokens := func(n int64) otelvllm.Tokens { return otelvllm.Tokens{N: n, Known: true} }
	call := work(func(m *otelvllm.Meter) {
		m.Usage(otelvllm.Usage{Input: tokens(-1), Output: tokens(1<<53 + 1), Cached: tokens(0), Reasoning: otelvllm.Tokens{N: 7}})
	})
	if want := (otelvllm.Usage{Cached: tokens(0)}); call.Usage != want {
		t.Errorf("got usage %+v, want %+v", call.Usage, want)
	}
	if want := "cha\uFFFDt "; call.Operation != want {
		t.Errorf("got operation %q, want %q", call.Operation, want)
	}
	call = work(func(m *otelvllm.Meter) {
		for range 3 {
			m.Tokens(1<<63 - 1)
		}
	})
	if call.Usage.Output.Known {
		t.Errorf("got %d output tokens of a count that overflows, want none known", call.Usage.Output.N)
	}
	if points := tel.metrics(t)["gen_ai.client.token.usage"]; points.count != 0 {
		t.Errorf("got %d records of tokens with the sum %g, want none", points.count, points.sum)
	}
}

func TestJobNamesTheEngineThatNoTransportSees(t *testing.T) {
	for _, tt := range []struct {
		name, engine, address string
		port                  int
		listed                string
		nested                bool
	}{
		{"an address with a port", "10.0.0.1:50051", "10.0.0.1", 50051, "10.0.0.1:50051", false},
		{"an address of IPv6", "[::1]:8000", "::1", 8000, "[::1]:8000", false},
		{"one that is told within the request", "10.0.0.1:50051", "10.0.0.1", 50051, "10.0.0.1:50051", true},
		{"none is unknown", "", "", 0, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tel := newTelemetry()
			listed := "nothing"
			job := func(ctx context.Context) error {
				return otelvllm.Request(ctx, otelvllm.Info{Engine: tt.engine}, func(context.Context) error {
					listed = tel.registry.Running()[0].Engine
					return nil
				})
			}
			ctx := otelvllm.NewContext(t.Context(), tel.options()...)
			var err error
			if tt.nested {
				err = otelvllm.Request(ctx, otelvllm.Info{}, job)
			} else {
				err = job(ctx)
			}
			call := tel.call(t)
			if err != nil || call.ServerAddress != tt.address || call.ServerPort != tt.port || listed != tt.listed {
				t.Errorf("got %q, %d, listed as %q, %v; want %q, %d, %q", call.ServerAddress, call.ServerPort, listed, err, tt.address, tt.port, tt.listed)
			}
		})
	}
}
