package sim_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

// port is an address in memory that can be listened on again and again.
type port struct {
	mu      sync.Mutex
	current *simtest.Listener
	opened  int
}

func (p *port) listen() (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened++
	p.current = simtest.NewListener()
	return p.current, nil
}

func (p *port) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	p.mu.Lock()
	l := p.current
	p.mu.Unlock()
	if l == nil {
		return nil, syscall.ECONNREFUSED
	}
	return l.Dial(ctx, network, addr)
}

func TestServeOpensThePortOnlyWhileTheEngineLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := sim.New(sim.Config{Timing: exact, LoadTime: 10 * time.Second})
		p := &port{}
		transport := &http.Transport{DialContext: p.dial}
		c := client{t, &http.Client{Transport: transport}}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- engine.Serve(ctx, p.listen, engine, time.Second) }()

		refused := func(when string) {
			t.Helper()
			transport.CloseIdleConnections()
			if _, _, err := c.read("GET", "/health", ""); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s: got %v, want a refused connection", when, err)
			}
		}
		answered := func(when string, want int) {
			t.Helper()
			if status, _, err := c.read("GET", "/health", ""); status != want {
				t.Errorf("%s: got %d, %v, want %d", when, status, err, want)
			}
		}
		after(time.Second)
		refused("while it loads")
		after(10 * time.Second)
		answered("when it has loaded", 200)
		engine.Fault(sim.Dead)
		after(200 * time.Millisecond)
		answered("just dead", 503)
		after(200 * time.Millisecond)
		refused("when it is gone")
		engine.Clear()
		after(5 * time.Second)
		refused("while it loads again")
		after(6 * time.Second)
		answered("in its second life", 200)

		cancel()
		transport.CloseIdleConnections()
		if err := <-served; err != nil || p.opened != 2 {
			t.Errorf("Serve returned %v after opening the port %d times, want nil and 2", err, p.opened)
		}
	})
}

func TestServeLetsStreamsEndAndCutsThemAfterTheGrace(t *testing.T) {
	for _, test := range []struct {
		tokens int
		done   bool
	}{{50, true}, {5000, false}} {
		synctest.Test(t, func(t *testing.T) {
			engine := sim.New(sim.Config{Timing: exact})
			p := &port{}
			transport := &http.Transport{DialContext: p.dial}
			c := client{t, &http.Client{Transport: transport}}
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- engine.Serve(ctx, p.listen, engine, 2*time.Second) }()
			synctest.Wait()
			open := background(t.Context(), c, chat("hi", test.tokens))
			after(100 * time.Millisecond)
			cancel()
			s := open()
			if s.done != test.done || s.wasCut() == test.done {
				t.Errorf("%d tokens: done %v, error %v", test.tokens, s.done, s.err)
			}
			if err := <-served; err != nil {
				t.Errorf("Serve returned %v, want nil", err)
			}
			transport.CloseIdleConnections()
			after(50 * time.Millisecond) // the step under way
			if !engine.Idle() {
				t.Error("the engine is not idle")
			}
		})
	}
}

func TestServeSaysWhyItCannotListen(t *testing.T) {
	engine := sim.New(sim.Config{})
	want := errors.New("in use")
	err := engine.Serve(t.Context(), func() (net.Listener, error) { return nil, want }, engine, 0)
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestControlInjectsAndClears(t *testing.T) {
	bubble(t, sim.Config{Timing: exact}, func(t *testing.T, engine *sim.Engine, c client) {
		control, stop := simtest.PipeHandler(engine.Control())
		defer stop()
		operator := client{t, control}
		for _, test := range []struct {
			method, body string
			status       int
		}{
			{"POST", `{"kind":"nope"}`, 400},
			{"POST", `{"kind":"wedge","for":"soon"}`, 400},
			{"POST", `{"kind":"wedge","rank":3}`, 400},
			{"POST", `{"kind":"wedge","unknown":1}`, 400},
			{"POST", `nonsense`, 400},
			{"PUT", "", 405},
			{"GET", "", 200},
			{"POST", `{"kind":"hang-decode","times":1,"after_tokens":2}`, 204},
		} {
			if status, text, err := operator.read(test.method, "/", test.body); status != test.status {
				t.Errorf("%s %s: got %d %s %v, want %d", test.method, test.body, status, text, err, test.status)
			}
		}
		open := background(t.Context(), c, chat("hi", 5))
		after(10 * time.Second)
		if status, _, err := operator.read("DELETE", "/", ""); status != 204 {
			t.Errorf("DELETE: got %d, %v", status, err)
		}
		s := open()
		if gap := s.times[2].Sub(s.times[1]); !s.done || gap < 9*time.Second {
			t.Errorf("the gap after two tokens is %v, done %v", gap, s.done)
		}
	})
}
