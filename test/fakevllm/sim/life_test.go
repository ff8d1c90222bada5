package sim_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

func TestLoadingEngineRefusesOrSaysSo(t *testing.T) {
	bubble(t, sim.Config{LoadTime: time.Minute}, func(t *testing.T, engine *sim.Engine, c client) {
		if status, _, err := c.read("GET", "/health", ""); err == nil {
			t.Errorf("while it loads: got %d, want no answer", status)
		}
		engine.Clear() // ends faults, and loading is none
		after(59 * time.Second)
		if _, _, err := c.read("GET", "/health", ""); err == nil {
			t.Error("after 59 s: got an answer, want none")
		}
		after(2 * time.Second)
		if status, _, err := c.read("GET", "/health", ""); status != http.StatusOK {
			t.Errorf("after 61 s: got %d, %v, want 200", status, err)
		}
	})
	bubble(t, sim.Config{LoadTime: time.Minute, LoadStatus: 503}, func(t *testing.T, _ *sim.Engine, c client) {
		if status, _, err := c.read("POST", "/v1/completions", `{"prompt":"x"}`); status != http.StatusServiceUnavailable {
			t.Errorf("with LoadStatus: got %d, %v, want 503", status, err)
		}
	})
}

func TestLoadingAgainLosesWhatRan(t *testing.T) {
	bubble(t, sim.Config{LoadStatus: 503}, func(t *testing.T, engine *sim.Engine, c client) {
		open := background(t.Context(), c, chat("hi", 1000))
		after(100 * time.Millisecond)
		if err := engine.Inject(sim.Injection{Kind: sim.Loading, For: 5 * time.Second}); err != nil {
			t.Fatal(err)
		}
		if s := open(); s.failure == "" || !s.done {
			t.Errorf("open stream: got %+v, want an error event", s)
		}
		if status, _, _ := c.read("GET", "/health", ""); status != http.StatusServiceUnavailable {
			t.Errorf("while it loads: got %d, want 503", status)
		}
		after(5*time.Second + time.Millisecond)
		if status, _, _ := c.read("GET", "/health", ""); status != http.StatusOK {
			t.Errorf("after 5 s: got %d, want 200", status)
		}
	})
}

func TestSlowEngineIsSlow(t *testing.T) {
	took := func(f *sim.Injection) (d time.Duration) {
		bubble(t, sim.Config{Timing: exact}, func(t *testing.T, engine *sim.Engine, c client) {
			if f != nil {
				if err := engine.Inject(*f); err != nil {
					t.Fatal(err)
				}
			}
			s := c.open(t.Context(), "/v1/chat/completions", chat("hi", 20))
			d = time.Since(s.begin) - exact.Frontend
		})
		return d
	}
	if got, want := took(&sim.Injection{Kind: sim.Slow, Factor: 4}), 4*took(nil); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPauseGoesBackToTheQueue(t *testing.T) {
	bubble(t, sim.Config{Timing: exact, DevMode: true}, func(t *testing.T, engine *sim.Engine, c client) {
		open := background(t.Context(), c, chat("hi", 30))
		after(100 * time.Millisecond)
		if _, text, _ := c.read("POST", "/pause?mode=keep", ""); text != `{"status":"paused"}` {
			t.Errorf("got %s", text)
		}
		after(10 * time.Second)
		text := engine.Metrics()
		if running, waiting := metric(t, text, "vllm:num_requests_running"), metric(t, text, "vllm:num_requests_waiting"); running != 0 || waiting != 1 {
			t.Errorf("while paused %v run and %v wait, want 0 and 1", running, waiting)
		}
		if usage := metric(t, text, "vllm:kv_cache_usage_perc"); usage != 0 {
			t.Errorf("while paused the cache is used to %v, want 0", usage)
		}
		c.read("POST", "/resume", "")
		if s := open(); !s.done || s.usage.Completion != 30 {
			t.Errorf("after /resume: done %v, usage %+v", s.done, s.usage)
		}
	})
}

func TestSleepAbortsAndWaits(t *testing.T) {
	bubble(t, sim.Config{Timing: exact, DevMode: true}, func(t *testing.T, engine *sim.Engine, c client) {
		open := background(t.Context(), c, chat("hi", 30))
		after(100 * time.Millisecond)
		c.read("POST", "/sleep?level=1", "")
		if s := open(); !s.done || len(s.finish) != 1 || s.finish[0] != "abort" {
			t.Errorf("open stream: done %v, finish %q, want abort", s.done, s.finish)
		}
		late := background(t.Context(), c, chat("late", 5))
		after(time.Second)
		text := engine.Metrics()
		if n := metric(t, text, "vllm:num_requests_running") + metric(t, text, "vllm:num_requests_waiting"); n != 0 {
			t.Errorf("a request sent while it sleeps is in %v gauges, want none", n)
		}
		if awake := metric(t, text, "vllm:engine_sleep_state", `sleep_state="awake"`); awake != 0 {
			t.Errorf("awake: got %v, want 0", awake)
		}
		if got := metric(t, text, "vllm:request_success_total"); got != 0 {
			t.Errorf("the abort was counted %v times, want 0", got)
		}
		c.read("POST", "/wake_up", "")
		if s := late(); !s.done || s.usage.Completion != 5 {
			t.Errorf("after /wake_up: done %v, usage %+v", s.done, s.usage)
		}
	})
}

func TestAbortRequestsEndsTheOnesNamed(t *testing.T) {
	bubble(t, sim.Config{Timing: exact, DevMode: true}, func(t *testing.T, _ *sim.Engine, c client) {
		body := strings.Replace(chat("hi", 30), `"stream":true`, `"stream":true,"request_id":"one"`, 1)
		one, two := background(t.Context(), c, body), background(t.Context(), c, chat("hi", 30))
		after(100 * time.Millisecond)
		if _, text, _ := c.read("POST", "/abort_requests", `{"request_ids":["chatcmpl-one"]}`); text != `{"status":"aborted","aborted":1}` {
			t.Errorf("got %s", text)
		}
		a, b := one(), two()
		if a.finish[0] != "abort" || a.usage == nil || b.finish[0] != "length" {
			t.Errorf("got finish reasons %q and %q, usage %+v", a.finish, b.finish, a.usage)
		}
	})
}

func TestAdmissionLimits(t *testing.T) {
	bubble(t, sim.Config{Timing: exact, MaxNumSeqs: 2, MaxNumQueuedReqs: 3}, func(t *testing.T, engine *sim.Engine, c client) {
		refused := 0
		for _, s := range load(c, 5, func(int) string { return chat("hi", 30) }) {
			if s.status == http.StatusServiceUnavailable {
				refused++
			} else if !s.done {
				t.Errorf("got %+v", s)
			}
		}
		counted := metric(t, engine.Metrics(), "vllm:admission_rejections_total", `reason="max_num_queued_reqs"`)
		if refused != 2 || counted != 2 {
			t.Errorf("%d were refused, %v counted, want 2", refused, counted)
		}
	})
}

func TestServerThatHangsAnswersNothing(t *testing.T) {
	bubble(t, sim.Config{}, func(t *testing.T, engine *sim.Engine, c client) {
		if err := engine.Inject(sim.Injection{Kind: sim.WedgeAPI, For: 30 * time.Second}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if res, err := c.http.Do(c.request(ctx, "GET", "/health", "")); err == nil {
			t.Errorf("got %s, want no answer", res.Status)
		}
		begin := time.Now()
		if status, _, err := c.read("GET", "/health", ""); status != http.StatusOK || time.Since(begin) != 29*time.Second {
			t.Errorf("got %d, %v after %v, want 200 after 29s", status, err, time.Since(begin))
		}
	})
}

func TestRequestsMayChooseTheirFaultOnlyIfAllowed(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		bubble(t, sim.Config{AllowRequestFaults: allowed}, func(t *testing.T, _ *sim.Engine, c client) {
			s := c.open(t.Context(), "/v1/chat/completions", chat("[fault:error-event; after=2] hello", 10))
			if failed := s.failure != ""; failed != allowed || allowed && len(s.times) != 2 {
				t.Errorf("allowed %v: got %+v", allowed, s)
			}
			req := c.request(t.Context(), "POST", "/v1/completions", `{"prompt":"x"}`)
			req.Header.Set(sim.RequestFault, "wedge")
			res, err := c.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if refused := res.StatusCode == http.StatusBadRequest; refused != allowed {
				t.Errorf("a fault of the engine, allowed %v: got %s", allowed, res.Status)
			}
		})
	}
}
