package sim_test

import (
	"bytes"
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// engineSeries are the lines of an exposition that the ranks make.
func engineSeries(text []byte) string {
	return strings.Join(regexp.MustCompile(`(?m)^vllm:.*$`).FindAllString(string(text), -1), "\n")
}

func TestWedgeLooksLikeARealOne(t *testing.T) {
	cfg := sim.Config{Timing: exact}
	bubble(t, cfg, func(t *testing.T, engine *sim.Engine, c client) {
		running := background(t.Context(), c, chat("hi", 50))
		after(100 * time.Millisecond)
		engine.Fault(sim.Wedge)
		after(50 * time.Millisecond)
		before := engine.Metrics()
		if got := metric(t, before, "vllm:num_requests_running"); got != 1 {
			t.Errorf("running: got %v, want 1", got)
		}
		wedged := time.Now()

		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if s := c.open(ctx, "/v1/chat/completions", chat("new", 5)); s.status != http.StatusOK ||
			s.headers.Sub(s.begin) > 10*time.Millisecond || s.text != "" || s.err == nil {
			t.Errorf("new stream: got status %d after %v, text %q, error %v; want 200 at once and silence", s.status, s.headers.Sub(s.begin), s.text, s.err)
		}
		whole, cancelWhole := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancelWhole()
		if res, err := c.http.Do(c.request(whole, "POST", "/v1/completions", `{"prompt":"x"}`)); err == nil {
			t.Errorf("new completion: got %s, want no answer", res.Status)
		}
		for _, path := range []string{"/health", "/ping", "/v1/models", "/version", "/load", "/metrics"} {
			if status, _, err := c.read("GET", path, ""); status != http.StatusOK {
				t.Errorf("GET %s: got %d, %v, want 200", path, status, err)
			}
		}
		if status, _, _ := c.read("POST", "/v1/completions", `{"model":"nope","prompt":"x"}`); status != http.StatusNotFound {
			t.Errorf("wrong model: got %d, want 404", status)
		}
		if got, want := engineSeries(engine.Metrics()), engineSeries(before); got != want {
			t.Errorf("metrics moved from\n%s\nto\n%s", want, got)
		}
		engine.Clear()
		s := running()
		if !s.done || s.usage.Completion != 50 {
			t.Errorf("after Clear: done %v, usage %+v, want the whole answer", s.done, s.usage)
		}
		longest := time.Duration(0)
		for i, at := range s.times[1:] {
			longest = max(longest, at.Sub(s.times[i]))
		}
		if silent := 25 * time.Second; longest < silent || time.Since(wedged) > silent+time.Second {
			t.Errorf("the longest gap is %v, the end came %v after the wedge; want at least %v", longest, time.Since(wedged), silent)
		}
	})
}

func TestWedgeOfOneRankLeavesTheOther(t *testing.T) {
	bubble(t, sim.Config{Timing: exact, DataParallelSize: 2}, func(t *testing.T, engine *sim.Engine, c client) {
		first, second := background(t.Context(), c, chat("one", 50)), background(t.Context(), c, chat("two", 50))
		after(100 * time.Millisecond)
		rank := 1
		if err := engine.Inject(sim.Injection{Kind: sim.Wedge, Rank: &rank, For: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		a, b := first(), second()
		early, late := min(a.times[49].Sub(begin), b.times[49].Sub(begin)), max(a.times[49].Sub(begin), b.times[49].Sub(begin))
		if early > time.Second || late < 10*time.Second {
			t.Errorf("streams ended after %v and %v, want one at once and one after the wedge", early, late)
		}
		for _, labels := range []string{`engine="0"`, `engine="1"`} {
			if got := metric(t, engine.Metrics(), "vllm:generation_tokens_total", labels); got != 50 {
				t.Errorf("tokens of %s: got %v, want 50", labels, got)
			}
		}
	})
}

func TestKeepAliveComments(t *testing.T) {
	bubble(t, sim.Config{SSEKeepAlive: 2 * time.Second}, func(t *testing.T, engine *sim.Engine, c client) {
		engine.Fault(sim.Wedge)
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		res, err := c.http.Do(c.request(ctx, "POST", "/v1/chat/completions", chat("hi", 5)))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var got bytes.Buffer
		got.ReadFrom(res.Body) // ends with the context
		if want := strings.Repeat(": keep-alive\n\n", 3); got.String() != want {
			t.Errorf("got %q, want %q", got.String(), want)
		}
	})
}
