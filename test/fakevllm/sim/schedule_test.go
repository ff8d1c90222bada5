package sim_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

// bubble runs a test against an engine in virtual time, and looks at the engine's books every 15 ms meanwhile.
func bubble(t *testing.T, cfg sim.Config, test func(t *testing.T, engine *sim.Engine, c client)) {
	t.Helper()
	if cfg.NumGPUBlocks == 0 {
		cfg.NumGPUBlocks = 600 // fewer to count
	}
	synctest.Test(t, func(t *testing.T) {
		engine, httpClient, stop := simtest.Pipe(cfg)
		defer stop()
		ctx, cancel := context.WithCancel(t.Context())
		audited := make(chan struct{})
		go func() {
			defer close(audited)
			tick := time.NewTicker(15 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				if err := engine.CheckInvariants(); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		}()
		test(t, engine, client{t, httpClient})
		cancel()
		<-audited
	})
}

// after waits in virtual time.
func after(d time.Duration) { <-time.After(d) }

var exact = sim.Timing{
	Step: 10 * time.Millisecond, PerSeq: time.Millisecond, PerPromptToken: 100 * time.Microsecond,
	Frontend: 2 * time.Millisecond,
}

func TestLoneRequestTakesExactlyItsTime(t *testing.T) {
	bubble(t, sim.Config{Timing: exact}, func(t *testing.T, _ *sim.Engine, c client) {
		s := c.open(t.Context(), "/v1/chat/completions", chat("twelve bytes", 4))
		if want := 2 * time.Millisecond; s.headers.Sub(s.begin) != want {
			t.Errorf("headers came after %v, want %v", s.headers.Sub(s.begin), want)
		}
		prefill := 11*time.Millisecond + time.Duration(promptTokens("twelve bytes"))*exact.PerPromptToken
		if want := exact.Frontend + prefill; s.first() != want {
			t.Errorf("first content came after %v, want %v", s.first(), want)
		}
		for i, at := range s.times[1:] {
			if gap := at.Sub(s.times[i]); gap != 11*time.Millisecond {
				t.Errorf("gap %d is %v, want 11ms", i, gap)
			}
		}
		if s.usage == nil || s.usage.Prompt != 8 || s.usage.Completion != 4 || len(s.times) != 4 || !s.done {
			t.Errorf("got usage %+v, %d events with content, done %v; want 8 and 4 tokens, 4, true", s.usage, len(s.times), s.done)
		}
	})
}

func TestPrefillTakesLongerForALongerPrompt(t *testing.T) {
	bubble(t, sim.Config{Timing: exact, MaxNumBatchedTokens: 1000}, func(t *testing.T, _ *sim.Engine, c client) {
		for _, words := range []int{10, 100, 1000, 5000} {
			content := strings.Repeat(fmt.Sprintf("%03d ", words%997), words) // 4 bytes, 1 token
			tokens := promptTokens(content)
			steps := (tokens + 999) / 1000 // chunked prefill
			want := exact.Frontend + time.Duration(steps)*11*time.Millisecond + time.Duration(tokens)*exact.PerPromptToken
			if got := c.open(t.Context(), "/v1/chat/completions", chat(content, 1)).first(); got != want {
				t.Errorf("%d tokens: got %v, want %v", tokens, got, want)
			}
		}
	})
}

func TestLongPrefillMovesTheCacheAndNoCounterOfTokens(t *testing.T) {
	bubble(t, sim.Config{Timing: exact, MaxNumBatchedTokens: 100}, func(t *testing.T, engine *sim.Engine, c client) {
		open := background(t.Context(), c, chat(strings.Repeat("abcd", 1000), 1)) // eleven steps of 21 ms
		last := 0.0
		for range 4 {
			after(45 * time.Millisecond)
			text := engine.Metrics()
			if usage := metric(t, text, "vllm:kv_cache_usage_perc"); usage <= last {
				t.Errorf("cache usage went from %v to %v, want it to grow", last, usage)
			} else {
				last = usage
			}
			for _, name := range []string{"vllm:iteration_tokens_total_count", "vllm:prompt_tokens_total"} {
				if got := metric(t, text, name); got != 0 {
					t.Errorf("%s: got %v, want 0", name, got)
				}
			}
		}
		open()
		if got := metric(t, engine.Metrics(), "vllm:prompt_tokens_total"); got != 1005 {
			t.Errorf("prompt tokens: got %v, want 1005 at once", got)
		}
	})
}

func TestPrefixThatWasSeenBeforeIsNotComputedAgain(t *testing.T) {
	content := strings.Repeat("abcd", 155) // 160 tokens with the template: 10 blocks, the last of which ends differently
	body := strings.Replace(chat(content, 1), `"stream":true`, `"stream":true,"seed":1`, 1)
	for _, off := range []bool{false, true} {
		bubble(t, sim.Config{Timing: exact, NoPrefixCaching: off, PromptTokensDetails: true}, func(t *testing.T, _ *sim.Engine, c client) {
			cold := c.open(t.Context(), "/v1/chat/completions", body)
			warm := c.open(t.Context(), "/v1/chat/completions", body)
			cached := 144 // of 160: the last token is always computed, and with it its block
			if off {
				cached = 0
			}
			if saved := cold.first() - warm.first(); saved != time.Duration(cached)*exact.PerPromptToken {
				t.Errorf("caching off %v: the second request was %v faster, want %v", off, saved, time.Duration(cached)*exact.PerPromptToken)
			}
			if warm.usage.Details.Cached != cached || cold.usage.Details.Cached != 0 {
				t.Errorf("caching off %v: got %d and %d cached tokens, want 0 and %d", off, cold.usage.Details.Cached, warm.usage.Details.Cached, cached)
			}
		})
	}
}

// load opens n streams at once and returns them.
func load(c client, n int, body func(i int) string) []stream {
	streams := make([]stream, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { streams[i] = c.open(c.t.Context(), "/v1/chat/completions", body(i)) })
	}
	wg.Wait()
	return streams
}

func TestTimeToFirstTokenGrowsWithLoad(t *testing.T) {
	last := time.Duration(0)
	for _, n := range []int{1, 8, 40, 120} {
		bubble(t, sim.Config{Timing: exact, MaxNumSeqs: 8}, func(t *testing.T, _ *sim.Engine, c client) {
			sum := time.Duration(0)
			for _, s := range load(c, n, func(i int) string { return chat(fmt.Sprint("question ", i), 20) }) {
				if !s.done || s.usage.Completion != 20 {
					t.Fatalf("a stream ended with done %v, usage %+v", s.done, s.usage)
				}
				sum += s.first()
			}
			mean := sum / time.Duration(n)
			if mean <= last {
				t.Errorf("%d requests: mean time to first token %v, with fewer requests %v", n, mean, last)
			}
			last = mean
		})
	}
}

func TestQueueShowsInMetricsAndInTimings(t *testing.T) {
	cfg := sim.Config{Timing: exact, MaxNumSeqs: 4, PerRequestMetrics: true}
	bubble(t, cfg, func(t *testing.T, engine *sim.Engine, c client) {
		go func() {
			after(60 * time.Millisecond) // four run, the rest waits
			text := engine.Metrics()
			for name, want := range map[string]float64{"running": 4, "waiting": 6} {
				if got := metric(t, text, "vllm:num_requests_"+name); got != want {
					t.Errorf("%s: got %v, want %v", name, got, want)
				}
			}
			if got := metric(t, text, "vllm:num_requests_waiting_by_reason", `reason="capacity"`); got != 6 {
				t.Errorf("waiting for capacity: got %v, want 6", got)
			}
		}()
		load(c, 10, func(i int) string { return chat(fmt.Sprint(i), 30) })
		if got := metric(t, engine.Metrics(), "vllm:request_queue_time_seconds_sum"); got < 6*.4 {
			t.Errorf("queue time of all: got %v s, want at least 2.4", got)
		}
	})
}

func TestFullKVCachePreemptsAndEveryRequestStillEnds(t *testing.T) {
	cfg := sim.Config{Timing: exact, BlockSize: 4, NumGPUBlocks: 33, MaxModelLen: 100}
	bubble(t, cfg, func(t *testing.T, engine *sim.Engine, c client) {
		streams := load(c, 6, func(i int) string { return chat(fmt.Sprint(i), 60) })
		for i, s := range streams {
			if !s.done || s.usage.Completion != 60 || s.finish[0] != "length" {
				t.Errorf("stream %d: done %v, usage %+v, finish %q", i, s.done, s.usage, s.finish)
			}
		}
		text := engine.Metrics()
		if got := metric(t, text, "vllm:num_preemptions_total"); got < 1 {
			t.Errorf("got %v preemptions, want some", got)
		}
		if got := metric(t, text, "vllm:generation_tokens_total"); got != 360 {
			t.Errorf("got %v tokens, want 360: what is computed again does not count twice", got)
		}
		if got := metric(t, text, "vllm:prompt_tokens_total"); got != 36 {
			t.Errorf("got %v prompt tokens, want 36", got)
		}
	})
}

func TestPreemptionIsCountedOnlyWhenTheVictimGoesOn(t *testing.T) {
	cfg := sim.Config{Timing: exact, BlockSize: 4, NumGPUBlocks: 21, MaxModelLen: 76}
	bubble(t, cfg, func(t *testing.T, engine *sim.Engine, c client) {
		seen := false
		ctx, cancel := context.WithCancel(t.Context())
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for ctx.Err() == nil {
				after(5 * time.Millisecond)
				text := engine.Metrics()
				if metric(t, text, "vllm:num_requests_waiting") > 0 && metric(t, text, "vllm:generation_tokens_total") > 30 {
					seen = seen || metric(t, text, "vllm:num_preemptions_total") == 0
				}
			}
		}()
		load(c, 2, func(i int) string { return chat(fmt.Sprint(i), 60) })
		cancel()
		<-watched
		if !seen || metric(t, engine.Metrics(), "vllm:num_preemptions_total") == 0 {
			t.Errorf("a victim was seen waiting, not yet counted: %v; preemptions: %v", seen, metric(t, engine.Metrics(), "vllm:num_preemptions_total"))
		}
	})
}

func TestClientThatLeavesFreesItsPlaceAndIsCountedNowhere(t *testing.T) {
	bubble(t, sim.Config{Timing: exact, MaxNumSeqs: 2}, func(t *testing.T, engine *sim.Engine, c client) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 5 { // two run, three wait
			wg.Go(func() { c.open(ctx, "/v1/chat/completions", chat(fmt.Sprint(i), 1000)) })
		}
		wg.Wait()
		after(50 * time.Millisecond)
		text := engine.Metrics()
		for _, name := range []string{
			"vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc",
			"vllm:request_success_total", "vllm:e2e_request_latency_seconds_count", "vllm:request_prompt_tokens_count",
		} {
			if got := metric(t, text, name); got != 0 {
				t.Errorf("%s: got %v, want 0", name, got)
			}
		}
		if got := metric(t, text, "vllm:prompt_tokens_total"); got != 12 {
			t.Errorf("prompt tokens: got %v, want 12: those of the two that ran", got)
		}
		if !engine.Idle() {
			t.Error("the engine is not idle")
		}
	})
}

func TestSameSeedSaysTheSame(t *testing.T) {
	say := func(seed uint64, content, extra string) (text string) {
		bubble(t, sim.Config{Seed: seed}, func(t *testing.T, _ *sim.Engine, c client) {
			text = c.open(t.Context(), "/v1/chat/completions", strings.Replace(chat(content, 20), `"stream":true`, `"stream":true`+extra, 1)).text
		})
		return text
	}
	one := say(1, "hello", "")
	if two := say(1, "hello", ""); one != two || one == "" {
		t.Errorf("got %q and %q", one, two)
	}
	for _, other := range []string{say(2, "hello", ""), say(1, "hallo", ""), say(1, "hello", `,"seed":7`)} {
		if other == one {
			t.Errorf("got %q again", other)
		}
	}
}

func TestStreamIntervalPutsTokensTogether(t *testing.T) {
	cfg := sim.Config{Timing: exact, StreamInterval: 5}
	bubble(t, cfg, func(t *testing.T, _ *sim.Engine, c client) {
		s := c.open(t.Context(), "/v1/chat/completions", chat("hi", 21))
		if len(s.times) != 5 || s.usage.Completion != 21 { // 1 + 4*5
			t.Errorf("got %d chunks for %d tokens, want 5 for 21", len(s.times), s.usage.Completion)
		}
	})
}
