package test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/otelvllm/otelvllm-go/examples/gateway/sidecar"
	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

// startGateway serves the gateway until stop, which waits for the end of the drain.
func startGateway(t *testing.T, base string, drain time.Duration) (s *sidecar.Sidecar, at string, stop func(), calls chan otelvllm.Call) {
	t.Helper()
	target, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	calls = make(chan otelvllm.Call, 4)
	s = sidecar.New(sidecar.Config{Engine: target, StallAfter: 300 * time.Millisecond, ScrapeInterval: 20 * time.Millisecond, Drain: drain, UsageInjection: true},
		otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) { calls <- c }))
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, nil, func(string) {}) }()
	return s, "http://" + l.Addr().String(), func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}, calls
}

// TestGatewayWaitsForWebSocketsAndCutsIdleOnes ends a gateway with a WebSocket whose caller is silent, and one in the
// middle of an answer that never ends.
func TestGatewayWaitsForWebSocketsAndCutsIdleOnes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		busy    bool
		drain   time.Duration
		outcome otelvllm.Outcome
	}{
		{"idle", false, time.Minute, otelvllm.Completed},
		{"in an answer", true, 200 * time.Millisecond, otelvllm.Deadline},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake, base := simtest.Start(t, sim.Config{Model: "tiny", Timing: sim.Timing{Step: time.Millisecond}})
			_, at, stop, calls := startGateway(t, base, tt.drain)
			c := speak(t, at, http.DefaultTransport, false)
			c.until("session.created")
			if tt.busy {
				c.say(`{"type":"session.update","model":"tiny"}`)
				fake.Fault(sim.Wedge)
				c.say(`{"type":"input_audio_buffer.commit"}`)
				c.sound(3)
			}
			began := time.Now()
			<-time.After(50 * time.Millisecond)
			stop()
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("the drain took %s", took)
			}
			select {
			case call := <-calls:
				if call.Outcome != tt.outcome {
					t.Errorf("got %s, want %s", call.Outcome, tt.outcome)
				}
			default:
				t.Error("the gateway ended before the call did")
			}
		})
	}
}

// TestIdleWebSocketIsNoWedge leaves a WebSocket open beside an engine that has nothing to do, and so stands still.
func TestIdleWebSocketIsNoWedge(t *testing.T) {
	_, base := simtest.Start(t, sim.Config{Model: "tiny", Timing: sim.Timing{Step: time.Millisecond}})
	s, at, stop, _ := startGateway(t, base, time.Second)
	defer stop()
	c := speak(t, at, http.DefaultTransport, false)
	c.until("session.created")
	for deadline := time.Now().Add(1500 * time.Millisecond); time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		if f := s.Watchdog.Findings(); len(f) > 0 {
			t.Fatalf("got the finding %+v", f[0])
		}
		if status := s.Monitor.Status(); len(status) != 1 || status[0].State == engine.Wedged {
			t.Fatalf("got the engine %+v", status)
		}
	}
}

// TestWebSocketThatHangsIsFound wedges the engine in the middle of an answer.
func TestWebSocketThatHangsIsFound(t *testing.T) {
	fake, base := simtest.Start(t, sim.Config{Model: "tiny", Timing: sim.Timing{Step: time.Millisecond}})
	s, at, stop, calls := startGateway(t, base, time.Second)
	c := speak(t, at, http.DefaultTransport, false)
	c.until("session.created")
	c.say(`{"type":"session.update","model":"tiny"}`)
	c.say(`{"type":"input_audio_buffer.commit"}`)
	c.sound(3)
	c.until("transcription.delta")
	fake.Fault(sim.Wedge)
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(20 * time.Millisecond) {
		running := s.Registry.Running()
		if len(running) == 1 && running[0].Stall != nil && running[0].Stall.Cause == "engine_wedged" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the call is not said to hang: %+v", running)
		}
		c.sound(1) // the caller goes on, which is no progress of the engine's
	}
	fake.Clear()
	c.say(`{"type":"input_audio_buffer.commit","final":true}`)
	c.until("transcription.done")
	if err := c.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	stop()
	if call := <-calls; call.Outcome != otelvllm.Completed || call.Stalls != 1 {
		t.Errorf("got %s with %d stalls, want it completed after one", call.Outcome, call.Stalls)
	}
}
