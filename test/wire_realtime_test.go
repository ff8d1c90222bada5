package test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

// speaker is a caller of /v1/realtime with a WebSocket module of its own.
type speaker struct {
	t    *testing.T
	conn *websocket.Conn
}

// way is one way from a caller to the simulated engine.
type way struct {
	name   string
	client bool // the telemetry sits in the caller
	open   func(t *testing.T, engine *sim.Engine, base string, opts []otelvllm.Option) (url string, transport http.RoundTripper)
}

var ways = []way{
	{name: "through the transport", client: true, open: func(_ *testing.T, _ *sim.Engine, base string, opts []otelvllm.Option) (string, http.RoundTripper) {
		return base, otelvllm.NewTransport(nil, opts...)
	}},
	{name: "through the reverse proxy", open: func(t *testing.T, _ *sim.Engine, base string, opts []otelvllm.Option) (string, http.RoundTripper) {
		engine, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		gateway := httptest.NewServer(otelvllm.Middleware(opts...)(otelvllm.NewReverseProxy(engine, opts...)))
		t.Cleanup(gateway.Close)
		return gateway.URL, http.DefaultTransport
	}},
	{name: "to a handler behind the middleware", open: func(t *testing.T, engine *sim.Engine, _ string, opts []otelvllm.Option) (string, http.RoundTripper) {
		server := httptest.NewServer(otelvllm.Middleware(opts...)(engine))
		t.Cleanup(server.Close)
		return server.URL, http.DefaultTransport
	}},
}

// call is a speaker on one of the ways, and what is recorded of it.
type realtimeCall struct {
	*speaker
	engine   *sim.Engine
	spans    *tracetest.InMemoryExporter
	registry *inflight.Registry
	ended    chan otelvllm.Call
	turns    []string // the turns that a hook was told of, with the call's trace; whole once the call has ended
}

func (w way) dial(t *testing.T, compressed bool) *realtimeCall {
	t.Helper()
	c := &realtimeCall{spans: tracetest.NewInMemoryExporter(), registry: &inflight.Registry{}, ended: make(chan otelvllm.Call, 1)}
	var base string
	c.engine, base = simtest.Start(t, sim.Config{Model: "tiny", Timing: sim.Timing{Step: time.Millisecond}})
	at, transport := w.open(t, c.engine, base, []otelvllm.Option{
		otelvllm.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(c.spans))), otelvllm.WithRegistry(c.registry),
		otelvllm.WithOnDone(func(_ context.Context, call otelvllm.Call) { c.ended <- call }),
		otelvllm.WithOnIdle(func(ctx context.Context, idle bool) {
			c.turns = append(c.turns, fmt.Sprint(idle, " ", trace.SpanContextFromContext(ctx).TraceID()))
		}),
	})
	c.speaker = speak(t, at, transport, compressed)
	return c
}

func speak(t *testing.T, base string, transport http.RoundTripper, compressed bool) *speaker {
	t.Helper()
	options := &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}}
	if compressed {
		options.CompressionMode, options.CompressionThreshold = websocket.CompressionContextTakeover, 1
	}
	conn, resp, err := websocket.Dial(t.Context(), base+"/v1/realtime", options)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		resp.Body.Close()
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &speaker{t, conn}
}

func (s *speaker) say(text string) {
	s.t.Helper()
	if err := s.conn.Write(s.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *speaker) sound(frames int) {
	s.t.Helper()
	s.say(fmt.Sprintf(`{"type":"input_audio_buffer.append","audio":%q}`, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("a", frames*2560)))))
}

// until reads messages up to one of the given type, and returns its bytes and the text of all deltas.
func (s *speaker) until(kind string) (last []byte, text string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	for {
		_, data, err := s.conn.Read(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		var m struct{ Type, Delta string }
		if err := json.Unmarshal(data, &m); err != nil {
			s.t.Fatal(err)
		}
		text += m.Delta
		if m.Type == kind {
			return data, text
		}
	}
}

// transcribe asks for two answers and returns the engine's last words on each.
func (s *speaker) transcribe() (said []string) {
	s.t.Helper()
	s.until("session.created")
	s.say(`{"type":"session.update","model":"tiny"}`)
	for _, frames := range []int{12, 30} {
		s.say(`{"type":"input_audio_buffer.commit"}`)
		s.sound(frames)
		s.until("transcription.delta")
		s.say(`{"type":"input_audio_buffer.commit","final":true}`)
		done, _ := s.until("transcription.done")
		said = append(said, string(done))
	}
	return said
}

func (c *realtimeCall) call(t *testing.T) otelvllm.Call {
	t.Helper()
	select {
	case call := <-c.ended:
		return call
	case <-time.After(20 * time.Second):
		t.Fatal("the call has not ended")
		return otelvllm.Call{}
	}
}

func (c *realtimeCall) span(t *testing.T, name string) (attrs map[string]attribute.Value) {
	t.Helper()
	for _, s := range c.spans.GetSpans() {
		if s.Name == name {
			attrs = map[string]attribute.Value{}
			for _, kv := range s.Attributes {
				attrs[string(kv.Key)] = kv.Value
			}
			return attrs
		}
	}
	t.Fatalf("no span %q", name)
	return nil
}

func TestRealtimeIsOneCallOnEveryWay(t *testing.T) {
	_, straight := simtest.Start(t, sim.Config{Model: "tiny", Timing: sim.Timing{Step: time.Millisecond}})
	want := speak(t, straight, http.DefaultTransport, false).transcribe()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			c := w.dial(t, false)
			if got := c.transcribe(); !slices.Equal(got, want) {
				t.Errorf("the caller heard\n%s\nwant, as straight from the engine,\n%s", got, want)
			}
			if err := c.conn.Close(websocket.StatusNormalClosure, "bye"); err != nil {
				t.Errorf("the close handshake: %v", err)
			}
			call := c.call(t)
			if call.Operation != "realtime" || call.Model != "tiny" || !call.Stream || call.Outcome != otelvllm.Completed || call.Status != 101 {
				t.Errorf("got %+v, want a completed call to tiny", call)
			}
			if call.Usage.Input.N != 78 || call.Usage.Output.N != 44 || !call.Usage.Output.Known || call.Chunks < 2 || call.Chunks > 44 {
				t.Errorf("got %+v in %d chunks, want 78 and 44 tokens of both answers", call.Usage, call.Chunks)
			}
			if n := len(c.turns); n < 4 || n%2 != 0 {
				t.Errorf("got %d turns, want at least one with each answer, and the caller's after it", n)
			}
			for i, got := range c.turns {
				if want := fmt.Sprint(i%2 == 1, " ", call.TraceID); got != want {
					t.Errorf("turn %d: got %q, want %q", i, got, want)
				}
			}
			if call.TimeToFirstToken <= 0 || call.TimeToFirstToken > call.Duration || !strings.HasPrefix(call.ResponseID, "sess-") {
				t.Errorf("got a first token after %s of %s, id %q", call.TimeToFirstToken, call.Duration, call.ResponseID)
			}
			if _, known := call.OutputRate(); known {
				t.Error("there is an output rate, but the connection lasts as long as the caller speaks")
			}
			attrs := c.span(t, "realtime tiny")
			if attrs["gen_ai.usage.output_tokens"].AsInt64() != 44 || attrs["vllm.request.outcome"].AsString() != "completed" {
				t.Errorf("got the attributes %v", attrs)
			}
			c.span(t, "first_token")
			c.span(t, "decode")
		})
	}
}

func TestRealtimeThatEndsInTheMiddleOfAnAnswer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		end     func(*realtimeCall)
		outcome otelvllm.Outcome
		err     string
	}{
		{"the caller closes", func(c *realtimeCall) { _ = c.conn.Close(websocket.StatusGoingAway, "") }, otelvllm.CallerLeft, "caller_left"},
		{"the caller's connection breaks", func(c *realtimeCall) { _ = c.conn.CloseNow() }, otelvllm.CallerLeft, "caller_left"},
		{"the engine's connection breaks", func(c *realtimeCall) { c.engine.Fault(sim.Dead) }, otelvllm.Failed, "processing_error"},
	} {
		for _, w := range ways {
			t.Run(tt.name+" "+w.name, func(t *testing.T) {
				c := w.dial(t, false)
				c.until("session.created")
				c.say(`{"type":"session.update","model":"tiny"}`)
				c.say(`{"type":"input_audio_buffer.commit"}`)
				c.sound(5)
				c.until("transcription.delta")
				tt.end(c)
				if tt.outcome == otelvllm.Failed {
					c.until("error")
					_ = c.conn.CloseNow()
				}
				call := c.call(t)
				if call.Outcome != tt.outcome || call.ErrorType != tt.err || call.Chunks == 0 || call.Usage.Output.Known {
					t.Errorf("got %s, %q, usage %+v in %d chunks; want %s, %q, no usage", call.Outcome, call.ErrorType, call.Usage, call.Chunks, tt.outcome, tt.err)
				}
			})
		}
	}
}

func TestRealtimeCutOffByTheEngineIsTruncated(t *testing.T) {
	for _, w := range ways[:2] {
		t.Run(w.name, func(t *testing.T) {
			c := w.dial(t, false)
			c.until("session.created")
			c.say(`{"type":"session.update","model":"tiny"}`)
			if err := c.engine.Inject(sim.Injection{Kind: sim.Truncate, AfterTokens: 2}); err != nil {
				t.Fatal(err)
			}
			c.say(`{"type":"input_audio_buffer.commit"}`)
			c.sound(5)
			var err error
			for err == nil {
				_, _, err = c.conn.Read(t.Context())
			}
			if code := websocket.CloseStatus(err); code != -1 || errors.Is(err, context.Canceled) {
				t.Errorf("the caller got %v, want a connection that breaks", err)
			}
			_ = c.conn.CloseNow()
			if call := c.call(t); call.Outcome != otelvllm.Truncated {
				t.Errorf("got %s, want truncated", call.Outcome)
			}
		})
	}
}

// TestRealtimeCallersTurnIsNoStall looks at the phases of a connection while it is open.
func TestRealtimeCallersTurnIsNoStall(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			c := w.dial(t, false)
			wait := func(want inflight.Phase) {
				t.Helper()
				var got inflight.Phase
				for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-time.After(time.Millisecond) {
					for _, q := range c.registry.Running() {
						if got = q.Phase; got == want {
							return
						}
					}
				}
				t.Fatalf("got the phase %q, want %q", got, want)
			}
			c.until("session.created")
			wait(inflight.PhaseIdle)
			c.say(`{"type":"session.update","model":"tiny"}`)
			c.engine.Fault(sim.Wedge)
			c.say(`{"type":"input_audio_buffer.commit"}`)
			c.sound(1)
			wait(inflight.PhaseQueueOrPrefill)
			c.engine.Clear()
			c.until("transcription.delta")
			wait(inflight.PhaseIdle)
			c.engine.Fault(sim.Wedge)
			c.sound(1)
			wait(inflight.PhaseDecode)
			c.engine.Clear()
		})
	}
}

// TestRealtimeThatIsCompressedIsReadToo has the caller agree on permessage-deflate, as Python's usual client does.
func TestRealtimeThatIsCompressedIsReadToo(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			c := w.dial(t, true)
			c.transcribe()
			if err := c.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
				t.Errorf("the close handshake: %v", err)
			}
			call := c.call(t)
			if call.Outcome != otelvllm.Completed || call.Usage.Input.N != 78 || call.Usage.Output.N != 44 || call.Model != "tiny" || call.Chunks < 2 {
				t.Errorf("got %s, %q, usage %+v in %d chunks; want it completed with 78 and 44 tokens", call.Outcome, call.Model, call.Usage, call.Chunks)
			}
		})
	}
}
