package sim_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

var (
	sampleLine = regexp.MustCompile(`^([A-Za-z_:0-9]+)(?:\{(.*)\})? (\S+)$`)
	labelPair  = regexp.MustCompile(`([A-Za-z_0-9]+)="((?:[^"\\]|\\.)*)"`)
)

// families describes an exposition as testdata/metrics-0.32.0.txt does.
func families(t *testing.T, text string) (lines []string) {
	t.Helper()
	var name, kind string
	var samples, bounds []string
	flush := func() {
		if name != "" {
			line := name + " " + kind + " " + strings.Join(samples, "|")
			if len(bounds) > 0 {
				line += " " + strings.Join(bounds, ",")
			}
			lines = append(lines, line)
		}
		samples, bounds = nil, nil
	}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if words := strings.Fields(line); words[0] == "#" {
			if words[1] == "TYPE" {
				flush()
				name, kind = words[2], words[3]
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || !strings.HasPrefix(m[1], name) {
			t.Fatalf("sample %q in family %s", line, name)
		}
		var keys []string
		for _, pair := range labelPair.FindAllStringSubmatch(m[2], -1) {
			keys = append(keys, pair[1])
			if pair[1] == "le" && !slices.Contains(bounds, pair[2]) {
				bounds = append(bounds, pair[2])
			}
		}
		if key := m[1][len(name):] + "{" + strings.Join(keys, ",") + "}"; !slices.Contains(samples, key) {
			samples = append(samples, key)
		}
	}
	flush()
	return lines
}

func TestMetricsHaveFamiliesLabelsAndBucketsOfARealOne(t *testing.T) {
	want, err := os.ReadFile("testdata/metrics-0.32.0.txt")
	if err != nil {
		t.Fatal(err)
	}
	engine := sim.New(like())
	recordings(t)["chat"].send(t, engine)
	got := families(t, string(engine.Metrics()))
	for i, line := range strings.Split(strings.TrimSpace(string(want)), "\n")[1:] {
		if i >= len(got) || got[i] != line {
			t.Fatalf("family %d: got %q\nwant %q", i, slices.Concat(got, []string{"none"})[min(i, len(got))], line)
		}
	}
}

func TestMetricsAreReadByThePrometheusParser(t *testing.T) {
	cfg := like()
	cfg.Model, cfg.DataParallelSize = "a \"b\" \\ c\nd", 2
	res := recordings(t)["chat"]
	res.request = bytes.ReplaceAll(res.request, []byte(`"model":"tiny",`), nil)
	engine := sim.New(cfg)
	if got := res.send(t, engine); got.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s", got.StatusCode, readAll(t, got))
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	parsed, err := parser.TextToMetricFamilies(bytes.NewReader(engine.Metrics()))
	if err != nil {
		t.Fatal(err)
	}
	family := parsed["vllm:time_to_first_token_seconds"]
	if family == nil || len(family.GetMetric()) != 2 {
		t.Fatalf("got %v, want one histogram for each of 2 ranks", family)
	}
	for _, l := range family.GetMetric()[0].GetLabel() {
		if l.GetName() == "model_name" && l.GetValue() != cfg.Model {
			t.Errorf("got model %q, want %q", l.GetValue(), cfg.Model)
		}
	}
}

// ledger is what the clients have seen.
type ledger struct {
	sync.Mutex
	prompt, completion             int
	sequences, requests, inputs, n int
	reasons                        map[string]int
}

func TestCountersAgreeWithWhatWasSent(t *testing.T) {
	for _, cfg := range []sim.Config{
		{PromptTokensDetails: true, Seed: 1},
		{PromptTokensDetails: true, Seed: 2, MaxNumSeqs: 3, MaxNumBatchedTokens: 64},
		{PromptTokensDetails: true, Seed: 3, NumGPUBlocks: 40, MaxModelLen: 512}, // with preemptions
		{PromptTokensDetails: true, Seed: 4, DataParallelSize: 3, StreamInterval: 4},
	} {
		t.Run(fmt.Sprint("seed ", cfg.Seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine, httpClient, stop := simtest.Pipe(cfg)
				defer stop()
				l := &ledger{reasons: map[string]int{}}
				var wg sync.WaitGroup
				rng := rand.New(rand.NewPCG(cfg.Seed, 0))
				for i := range 60 {
					kind, words, limit := rng.IntN(4), 1+rng.IntN(60), 1+rng.IntN(80)
					wg.Go(func() { l.send(t, client{t, httpClient}, kind, i%7, words, limit) })
				}
				wg.Wait()
				synctest.Wait()
				l.check(t, engine)
			})
		})
	}
}

// send makes one request of some kind and books what came.
func (l *ledger) send(t *testing.T, c client, kind, start, words, limit int) {
	prompt := strings.Repeat(fmt.Sprintf("beginning %d ", start), words)
	n, sequences, inputs := 1, 1, 0
	var got stream
	switch kind {
	case 0:
		got = c.open(t.Context(), "/v1/chat/completions", chat(prompt, limit))
	case 1:
		n, sequences = 2, 2
		got = c.open(t.Context(), "/v1/chat/completions", strings.Replace(chat(prompt, limit), `"ignore_eos":true`, `"n":2`, 1))
	case 2:
		sequences = 2
		got = whole(t, c, "/v1/completions", fmt.Sprintf(`{"prompt":[%q,"two"],"max_tokens":%d}`, prompt, limit))
	case 3:
		sequences, inputs = 3, 3
		got = whole(t, c, "/v1/embeddings", fmt.Sprintf(`{"input":[%q,"b","c"]}`, prompt))
		got.finish = []string{"stop", "stop", "stop"}
	}
	if got.usage == nil || len(got.finish) != sequences {
		t.Errorf("kind %d: got usage %v, finish reasons %q, failure %q, error %v", kind, got.usage, got.finish, got.failure, got.err)
		return
	}
	l.Lock()
	defer l.Unlock()
	prompts := sequences / n
	l.requests += prompts
	l.n += sequences
	l.sequences += sequences
	l.inputs += inputs
	l.prompt += got.usage.Prompt * n // each choice has a prompt of its own in the engine
	l.completion += got.usage.Completion
	for _, reason := range got.finish {
		l.reasons[reason]++
	}
}

// check compares the engine's counters with the ledger.
func (l *ledger) check(t *testing.T, engine *sim.Engine) {
	t.Helper()
	text := engine.Metrics()
	prompt, completion := float64(l.prompt), float64(l.completion)
	sequences, answers := float64(l.sequences), float64(l.sequences-l.inputs)
	computed := metric(t, text, "vllm:prompt_tokens_by_source_total", `source="local_compute"`)
	cached := metric(t, text, "vllm:prompt_tokens_cached_total")
	for _, row := range []struct {
		name   string
		labels string
		want   float64
	}{
		{"vllm:prompt_tokens_total", "", prompt},
		{"vllm:generation_tokens_total", "", completion},
		{"vllm:prompt_tokens_by_source_total", "", prompt},
		{"vllm:prefix_cache_queries_total", "", prompt},
		{"vllm:prefix_cache_hits_total", "", cached},
		{"vllm:prompt_tokens_cached_by_source_total", "", cached},
		{"vllm:request_success_total", `finished_reason="stop"`, float64(l.reasons["stop"])},
		{"vllm:request_success_total", `finished_reason="length"`, float64(l.reasons["length"])},
		{"vllm:request_success_total", "", sequences},
		{"vllm:request_prompt_tokens_sum", "", prompt},
		{"vllm:request_prompt_tokens_count", "", sequences},
		{"vllm:request_generation_tokens_sum", "", completion},
		{"vllm:request_generation_tokens_count", "", sequences},
		{"vllm:iteration_tokens_total_sum", "", computed + completion},
		{"vllm:request_prefill_kv_computed_tokens_sum", "", computed},
		{"vllm:time_to_first_token_seconds_count", "", sequences},
		{"vllm:inter_token_latency_seconds_count", "", completion - answers},
		{"vllm:request_params_max_tokens_count", "", answers},
		{"vllm:request_params_n_count", "", float64(l.requests)},
		{"vllm:request_params_n_sum", "", float64(l.n)},
		{"vllm:request_max_num_generation_tokens_count", "", float64(l.requests)},
		{"vllm:e2e_request_latency_seconds_count", "", sequences},
		{"vllm:request_num_preemptions_sum", "", metric(t, text, "vllm:num_preemptions_total")},
		{"http_requests_total", "", 60},
		{"http_request_duration_seconds_count", `method="POST"`, 60},
		{"vllm:num_requests_running", "", 0},
		{"vllm:num_requests_waiting", "", 0},
		{"vllm:kv_cache_usage_perc", "", 0},
	} {
		if got := metric(t, text, row.name, row.labels); got != row.want {
			t.Errorf("%s{%s}: got %v, want %v", row.name, row.labels, got, row.want)
		}
	}
	sum := func(name string) float64 { return metric(t, text, "vllm:request_"+name+"_time_seconds_sum") }
	if whole, parts := sum("inference"), sum("prefill")+sum("decode"); math.Abs(whole-parts) > 1e-6 {
		t.Errorf("inference took %v s, prefill and decode together %v s", whole, parts)
	}
	if !engine.Idle() {
		t.Error("the engine is not idle")
	}
	if err := engine.CheckInvariants(); err != nil {
		t.Error(err)
	}
}
