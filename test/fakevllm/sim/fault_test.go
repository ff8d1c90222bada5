package sim_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

const deadMessage = "EngineCore encountered an issue."

// background opens a stream and returns a function that waits for its end.
func background(ctx context.Context, c client, body string) func() stream {
	done := make(chan stream, 1)
	go func() { done <- c.open(ctx, "/v1/chat/completions", body) }()
	return func() stream { return <-done }
}

// TestClearReachesARequestThatIsOnItsWay clears after a request has drawn its fault and before it is with a rank.
func TestClearReachesARequestThatIsOnItsWay(t *testing.T) {
	timing := exact
	timing.Frontend = 10 * time.Millisecond
	for _, kind := range []sim.Kind{sim.HangQueue, sim.HangPrefill, sim.HangDecode, sim.ErrorEvent} {
		bubble(t, sim.Config{Timing: timing}, func(t *testing.T, engine *sim.Engine, c client) {
			engine.Fault(kind)
			wait := background(t.Context(), c, chat("on its way", 10))
			after(5 * time.Millisecond)
			engine.Clear()
			if s := wait(); !s.done || s.usage.Completion != 10 {
				t.Errorf("%s: got done %v, usage %+v, want ten tokens", kind, s.done, s.usage)
			}
		})
	}
}

func TestRequestsThatHang(t *testing.T) {
	for _, test := range []struct {
		kind                       sim.Kind
		headers                    bool
		tokens                     int
		running, waiting, deferred float64
	}{
		{kind: sim.HangHeaders},
		{kind: sim.HangQueue, headers: true, waiting: 1, deferred: 1},
		{kind: sim.HangPrefill, headers: true, running: 1},
		{kind: sim.HangDecode, headers: true, tokens: 3, running: 1},
	} {
		t.Run(string(test.kind), func(t *testing.T) {
			bubble(t, sim.Config{Timing: exact, MaxNumSeqs: 2}, func(t *testing.T, engine *sim.Engine, c client) {
				engine.Fault(test.kind)
				hanging := background(t.Context(), c, chat("hangs", 10))
				after(200 * time.Millisecond)
				if s := c.open(t.Context(), "/v1/chat/completions", chat("goes on", 5)); !s.done || s.usage.Completion != 5 {
					t.Errorf("another request: done %v, usage %+v", s.done, s.usage)
				}
				text := engine.Metrics()
				for name, want := range map[string]float64{
					"vllm:num_requests_running": test.running, "vllm:num_requests_waiting": test.waiting,
					`vllm:num_requests_waiting_by_reason`: test.waiting,
				} {
					if got := metric(t, text, name); got != want {
						t.Errorf("%s: got %v, want %v", name, got, want)
					}
				}
				if got := metric(t, text, "vllm:num_requests_waiting_by_reason", `reason="deferred"`); got != test.deferred {
					t.Errorf("deferred: got %v, want %v", got, test.deferred)
				}
				if got := metric(t, text, "vllm:generation_tokens_total"); got != float64(5+test.tokens) {
					t.Errorf("tokens while it hangs: got %v, want %d", got, 5+test.tokens)
				}
				cleared := time.Now()
				engine.Clear()
				s := hanging()
				if !s.done || s.usage.Completion != 10 || len(s.times) != 10 {
					t.Fatalf("after Clear: done %v, usage %+v, %d contents; want all 10", s.done, s.usage, len(s.times))
				}
				if early := s.headers.Before(cleared); early != test.headers {
					t.Errorf("headers before Clear: got %v, want %v", early, test.headers)
				}
				before := 0
				for _, at := range s.times {
					if at.Before(cleared) {
						before++
					}
				}
				if before != test.tokens {
					t.Errorf("%d contents before Clear, want %d", before, test.tokens)
				}
			})
		})
	}
}

func TestHangEndsAfterItsTime(t *testing.T) {
	for _, kind := range []sim.Kind{sim.HangHeaders, sim.HangQueue, sim.HangPrefill, sim.HangDecode} {
		bubble(t, sim.Config{Timing: exact}, func(t *testing.T, engine *sim.Engine, c client) {
			if err := engine.Inject(sim.Injection{Kind: kind, For: 40 * time.Second}); err != nil {
				t.Fatal(err)
			}
			s := c.open(t.Context(), "/v1/chat/completions", chat("hangs", 10))
			if took := time.Since(s.begin); !s.done || took < 40*time.Second || took > 41*time.Second {
				t.Errorf("%s: done %v after %v, want 40 s and a little", kind, s.done, took)
			}
		})
	}
}

func TestHangingClientThatLeavesFreesItsPlace(t *testing.T) {
	for _, kind := range []sim.Kind{sim.HangHeaders, sim.HangQueue, sim.HangPrefill, sim.HangDecode} {
		bubble(t, sim.Config{Timing: exact}, func(t *testing.T, engine *sim.Engine, c client) {
			engine.Fault(kind)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			c.open(ctx, "/v1/chat/completions", chat("hangs", 10))
			after(50 * time.Millisecond)
			text := engine.Metrics()
			if n := metric(t, text, "vllm:num_requests_running") + metric(t, text, "vllm:num_requests_waiting"); n != 0 || !engine.Idle() {
				t.Errorf("%s: %v requests are left, idle: %v", kind, n, engine.Idle())
			}
		})
	}
}

func TestDeathLooksLikeARealOne(t *testing.T) {
	for _, kept := range []bool{false, true} {
		bubble(t, sim.Config{Timing: exact, KeepAliveOnEngineDeath: kept}, func(t *testing.T, engine *sim.Engine, c client) {
			open := background(t.Context(), c, chat("hi", 1000))
			pending := make(chan string, 1)
			go func() {
				_, text, _ := c.read("POST", "/v1/completions", `{"prompt":"x","max_tokens":500,"ignore_eos":true}`)
				pending <- text
			}()
			after(300 * time.Millisecond)
			engine.Fault(sim.Dead)
			after(10 * time.Millisecond)
			if status, _, _ := c.read("GET", "/health", ""); status != http.StatusOK {
				t.Errorf("/health after 10 ms: got %d, want 200: nobody knows yet", status)
			}
			after(140 * time.Millisecond)
			if status, text, _ := c.read("GET", "/health", ""); status != http.StatusServiceUnavailable || text != "" {
				t.Errorf("/health after 150 ms: got %d %q, want 503 and nothing", status, text)
			}
			if status, text, _ := c.read("POST", "/v1/chat/completions", chat("new", 5)); status != http.StatusInternalServerError || !strings.Contains(text, deadMessage) {
				t.Errorf("new stream: got %d %s, want 500", status, text)
			}
			s := open()
			if want := `{"error": {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause.", "type": "InternalServerError", "param": null, "code": 500}}`; s.failure != want ||
				!s.done || len(s.finish) > 0 || s.usage != nil || s.err != nil {
				t.Errorf("open stream: got %+v", s)
			}
			if text := <-pending; !strings.Contains(text, deadMessage) {
				t.Errorf("open completion: got %s", text)
			}
			after(time.Second)
			status, _, err := c.read("GET", "/health", "")
			if kept && status != http.StatusServiceUnavailable || !kept && err == nil {
				t.Errorf("/health after a second: got %d, %v; kept alive: %v", status, err, kept)
			}
			if got := metric(t, engine.Metrics(), "vllm:num_requests_running"); got != 2 {
				t.Errorf("running: got %v, want 2 for ever", got)
			}
			engine.Clear()
			if s := c.open(t.Context(), "/v1/chat/completions", chat("again", 5)); !s.done {
				t.Errorf("after Clear: got %+v", s)
			}
			if got := metric(t, engine.Metrics(), "vllm:generation_tokens_total"); got != 5 {
				t.Errorf("tokens after the new start: got %v, want 5", got)
			}
		})
	}
}

func TestStreamsThatEndBadly(t *testing.T) {
	for _, test := range []struct {
		kind  sim.Kind
		check func(s stream) bool
		whole func(status int, text string, err error) bool
	}{
		{sim.ErrorEvent, func(s stream) bool {
			return s.done && strings.Contains(s.failure, `"code": 500`) && s.err == nil && len(s.times) == 4
		}, func(status int, text string, _ error) bool {
			return status == http.StatusInternalServerError && strings.Contains(text, `"InternalServerError"`)
		}},
		{
			sim.Truncate, func(s stream) bool { return s.wasCut() && !s.done && len(s.times) == 4 },
			func(_ int, _ string, err error) bool { return err != nil },
		},
		{
			sim.EndEarly, func(s stream) bool { return s.err == nil && !s.done && len(s.finish) == 0 && len(s.times) == 4 },
			func(_ int, _ string, err error) bool { return err != nil },
		},
		{
			sim.Reset, func(s stream) bool { return s.status == 0 && s.err != nil },
			func(status int, _ string, err error) bool { return status == 0 && err != nil },
		},
	} {
		t.Run(string(test.kind), func(t *testing.T) {
			bubble(t, sim.Config{Timing: exact}, func(t *testing.T, engine *sim.Engine, c client) {
				if err := engine.Inject(sim.Injection{Kind: test.kind, Times: 2, AfterTokens: 4}); err != nil {
					t.Fatal(err)
				}
				if s := c.open(t.Context(), "/v1/chat/completions", chat("hi", 10)); !test.check(s) {
					t.Errorf("stream: got %+v", s)
				}
				body := strings.Replace(chat("hi", 10), `"stream":true,"stream_options":{"include_usage":true}`, `"n":1`, 1)
				if status, text, err := c.read("POST", "/v1/chat/completions", body); !test.whole(status, text, err) {
					t.Errorf("answer in one piece: got %d %s %v", status, text, err)
				}
				if s := c.open(t.Context(), "/v1/chat/completions", chat("hi", 10)); !s.done {
					t.Errorf("the third request was not spared: %+v", s)
				}
				if !engine.Idle() {
					t.Error("the engine is not idle")
				}
			})
		})
	}
}

func TestErrorsInTheEngineAreCounted(t *testing.T) {
	bubble(t, sim.Config{}, func(t *testing.T, engine *sim.Engine, c client) {
		engine.Fault(sim.ErrorEvent)
		c.open(t.Context(), "/v1/chat/completions", chat("hi", 10))
		if got := metric(t, engine.Metrics(), "vllm:request_success_total", `finished_reason="error"`); got != 1 {
			t.Errorf("got %v, want 1", got)
		}
	})
}
