package test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// sampledFamilies are the families of a sample of /metrics that lies beside the repository.
func sampledFamilies(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../shared/testdata/vllm-metrics", file))
	if err != nil {
		t.Skipf("the sample %s is not here: %v", file, err)
	}
	return familyKinds(text)
}

func familyKinds(text []byte) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" && !strings.HasSuffix(f[2], "_created") {
			all[f[2]] = f[3]
		}
	}
	return all
}

// TestMetricsOfEveryGenerationAreReadAlike asks engines of every generation the same, and compares what is read.
func TestMetricsOfEveryGenerationAreReadAlike(t *testing.T) {
	read := func(d sim.Dialect) *engine.Snapshot {
		t.Helper()
		server := httptest.NewServer(sim.New(sim.Config{Model: "tiny", Metrics: d, Timing: sim.Timing{Step: time.Millisecond}}))
		defer server.Close()
		for _, body := range []string{`{"model":"tiny","prompt":"once","max_tokens":7,"ignore_eos":true}`, `{"model":"tiny","prompt":"upon a time","max_tokens":3,"ignore_eos":true}`} {
			resp, err := http.Post(server.URL+"/v1/completions", "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		s, err := (&engine.Client{URL: server.URL}).Scrape(t.Context())
		if err != nil {
			t.Fatalf("dialect %q: %v", d, err)
		}
		return s
	}
	want := read(sim.DialectNew)
	if len(want.Ranks) != 1 || want.Ranks[0].GenerationTokens.V != 10 {
		t.Fatalf("got %+v, want ten tokens of one rank", want.Ranks)
	}
	for _, d := range []sim.Dialect{sim.DialectV0, sim.DialectV1, sim.DialectRust} {
		s := read(d)
		if len(s.Ranks) != 1 {
			t.Fatalf("dialect %q: got %d ranks, want 1", d, len(s.Ranks))
		}
		got, rank := s.Ranks[0], want.Ranks[0]
		for name, pair := range map[string][2]engine.Value{
			"running": {got.Running, rank.Running}, "waiting": {got.Waiting, rank.Waiting}, "KV cache": {got.KVCache, rank.KVCache},
			"prompt tokens": {got.PromptTokens, rank.PromptTokens}, "generation tokens": {got.GenerationTokens, rank.GenerationTokens},
			"finished": {got.Finished, rank.Finished}, "preemptions": {got.Preemptions, rank.Preemptions},
		} {
			if pair[0] != pair[1] || !pair[0].Known {
				t.Errorf("dialect %q, %s: got %+v, want %+v", d, name, pair[0], pair[1])
			}
		}
		if s.Model != "tiny" || s.TimeToFirstToken.Count != want.TimeToFirstToken.Count || s.InterTokenLatency.Count != want.InterTokenLatency.Count || s.QueueTime.Count != want.QueueTime.Count {
			t.Errorf("dialect %q: got %q and the histograms %+v", d, s.Model, s.TimeToFirstToken)
		}
		if swapped := got.Swapped.Known; swapped != (d == sim.DialectV0) {
			t.Errorf("dialect %q: swapped requests are known: %v", d, swapped)
		}
	}
}

// TestMetricsOfEveryGenerationHaveItsFamilies compares the families with samples that Python's client library wrote.
func TestMetricsOfEveryGenerationHaveItsFamilies(t *testing.T) {
	for _, tt := range []struct {
		dialect sim.Dialect
		file    string
		without []string // of the sample
	}{
		{sim.DialectV0, "metrics_v0.txt", []string{"vllm:lora_requests_info", "vllm:avg_prompt_throughput_toks_per_s", "vllm:avg_generation_throughput_toks_per_s"}},
		{sim.DialectV1, "metrics_v1.txt", []string{"vllm:lora_requests_info"}},
		{sim.DialectRust, "metrics_new_rust.txt", nil},
	} {
		t.Run(tt.file, func(t *testing.T) {
			want := sampledFamilies(t, tt.file)
			for _, name := range tt.without {
				delete(want, name)
			}
			text := sim.New(sim.Config{Model: "tiny", Metrics: tt.dialect}).Metrics()
			got := familyKinds(text)
			for name := range want { // they come with the first request
				if strings.HasPrefix(name, "http_") {
					got[name] = want[name]
				}
			}
			if !maps.Equal(got, want) {
				for _, name := range slices.Sorted(maps.Keys(want)) {
					if got[name] != want[name] {
						t.Errorf("%s: got %q, want %q", name, got[name], want[name])
					}
				}
				for name := range got {
					if want[name] == "" {
						t.Errorf("%s: got it, and no %s has it", name, tt.file)
					}
				}
			}
			if rust := strings.HasSuffix(string(text), "\n# EOF\n"); rust != (tt.dialect == sim.DialectRust) {
				t.Errorf("the text ends as OpenMetrics does: %v", rust)
			}
		})
	}
}
