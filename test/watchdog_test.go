package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

const watchedEngine = "http://engine:8000"

// scene is a simulated engine with its monitor and its watchdog.
type scene struct {
	t      *testing.T
	engine *sim.Engine
	client *http.Client // to the engine, watched
	ctx    context.Context
	dog    *watchdog.Watchdog
	calls  sync.WaitGroup
}

// playScene runs f in a bubble.
func playScene(t *testing.T, cfg sim.Config, f func(*scene)) {
	synctest.Test(t, func(t *testing.T) {
		fake, client, stop := simtest.Pipe(cfg)
		defer stop()
		ctx, cancel := context.WithCancel(t.Context())
		registry := &inflight.Registry{}
		s := &scene{t: t, engine: fake, ctx: ctx, client: &http.Client{Transport: otelvllm.NewTransport(client.Transport, otelvllm.WithRegistry(registry))}}
		monitor := engine.NewMonitor([]string{watchedEngine}, engine.WithHTTPClient(client), engine.WithInFlight(func(string) int { return len(registry.Requests()) }))
		s.dog = &watchdog.Watchdog{Registry: registry, StallAfter: 30 * time.Second, Engines: monitor.Status}
		var runs sync.WaitGroup
		runs.Go(func() { _ = monitor.Run(ctx) })
		runs.Go(func() { _ = s.dog.Run(ctx) })
		time.Sleep(12 * time.Second) // two readings
		f(s)
		cancel()
		s.calls.Wait()
		runs.Wait()
	})
}

// ask sends a request for so many tokens and leaves it running.
func (s *scene) ask(tokens int, stream bool) {
	body := fmt.Sprintf(`{"prompt":"hi","max_tokens":%d,"ignore_eos":true,"stream":%t}`, tokens, stream)
	s.send(body)
}

func (s *scene) send(body string) {
	s.calls.Go(func() {
		req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, watchedEngine+"/v1/completions", strings.NewReader(body))
		if err != nil {
			s.t.Error(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := s.client.Do(req)
		if err != nil {
			return // the fault
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
	})
}

// after waits and returns the findings as "code×requests".
func (s *scene) after(d time.Duration) string {
	time.Sleep(d)
	synctest.Wait()
	var words []string
	for _, f := range s.dog.Findings() {
		words = append(words, fmt.Sprintf("%s×%d", f.Code, f.Evidence["stalled_requests"]))
	}
	return strings.ReplaceAll(strings.Join(words, " "), "%!d(<nil>)", "0")
}

// TestFaultsOfAnEngineAreNamed plays the faults of the simulated engine, with a monitor that reads
// it every 5 s.
func TestFaultsOfAnEngineAreNamed(t *testing.T) {
	const long = 1_000_000
	for _, tt := range []struct {
		name string
		cfg  sim.Config
		play func(s *scene) // until the fault
		at   time.Duration  // after it
		want string
	}{
		{"an engine that stops with streams open", sim.Config{MaxModelLen: 2 * long, NumGPUBlocks: long}, func(s *scene) {
			s.ask(long, true)
			s.ask(long, true)
			s.ask(long, false)
			time.Sleep(20 * time.Second)
			s.engine.Fault(sim.Wedge)
		}, 40 * time.Second, "engine_wedged×3"},
		{"a request after the engine has stopped idle", sim.Config{}, func(s *scene) {
			s.engine.Fault(sim.Wedge)
			s.ask(10, true)
			s.ask(10, false)
		}, 45 * time.Second, "engine_wedged×2"},
		{"one rank of two stops", sim.Config{DataParallelSize: 2, MaxModelLen: 2 * long, NumGPUBlocks: long}, func(s *scene) {
			for range 4 {
				s.ask(long, true)
			}
			time.Sleep(20 * time.Second)
			one := 1
			if err := s.engine.Inject(sim.Injection{Kind: sim.Wedge, Rank: &one}); err != nil {
				s.t.Fatal(err)
			}
		}, 40 * time.Second, "engine_wedged×2"},
		{"a paused engine", sim.Config{MaxModelLen: 2 * long, NumGPUBlocks: long}, func(s *scene) {
			s.ask(long, true)
			time.Sleep(20 * time.Second)
			s.engine.Fault(sim.Pause)
		}, 40 * time.Second, "engine_asleep×1"},
		{"an engine that sleeps", sim.Config{}, func(s *scene) {
			s.engine.Fault(sim.Sleep)
			s.ask(10, true)
		}, 40 * time.Second, "engine_asleep×1"},
		{"an engine that dies: its streams end, and nobody hangs", sim.Config{MaxModelLen: 2 * long, NumGPUBlocks: long}, func(s *scene) {
			s.ask(long, true)
			time.Sleep(20 * time.Second)
			s.engine.Fault(sim.Dead)
		}, 40 * time.Second, "engine_dead×0"},
		{"the API server stops", sim.Config{}, func(s *scene) {
			s.engine.Fault(sim.WedgeAPI)
			s.ask(10, true)
		}, 45 * time.Second, "engine_wedged×1"},
		{"an engine with a batch of two and four requests", sim.Config{MaxNumSeqs: 2, MaxModelLen: 2 * long, NumGPUBlocks: long}, func(s *scene) {
			for range 4 {
				s.ask(long, true)
				time.Sleep(time.Second)
			}
		}, 40 * time.Second, "queue_saturated×2"},
		{"a request that is passed over in the queue", sim.Config{MaxModelLen: 2 * long, NumGPUBlocks: long}, func(s *scene) {
			s.ask(long, true)
			time.Sleep(time.Second)
			s.engine.Fault(sim.HangQueue)
			s.ask(10, true)
		}, 40 * time.Second, "grammar_compile_wait×1"},
		{"one stream that gets no more", sim.Config{MaxModelLen: 2 * long, NumGPUBlocks: long}, func(s *scene) {
			s.ask(long, true)
			time.Sleep(time.Second)
			s.engine.Fault(sim.HangDecode)
			s.ask(100, true)
		}, 40 * time.Second, "request_starved×1"},
		{"a slow but healthy engine", sim.Config{MaxModelLen: 2 * long, NumGPUBlocks: long, Timing: sim.Timing{Step: 2 * time.Second}}, func(s *scene) {
			for range 20 {
				s.ask(long, true)
				s.ask(long, false)
			}
		}, 200 * time.Second, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			playScene(t, tt.cfg, func(s *scene) {
				tt.play(s)
				if got := s.after(tt.at); got != tt.want {
					t.Errorf("got %q, want %q: %s", got, tt.want, s.dog.Evidence())
				}
				s.engine.Clear()
			})
		})
	}
}
