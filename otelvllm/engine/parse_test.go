package engine

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// testdata returns a recording.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "testdata", name))
	if err != nil {
		t.Skipf("the recordings are not here: %v", err)
	}
	return body
}

func parseText(t testing.TB, text string) *Snapshot {
	t.Helper()
	s, err := parse(strings.NewReader(text), DefaultMaxSamples)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// told reads from a text, in another way than the package does, the sum of the samples of a series
// that have all of the labels, each as name="value".
func told(t *testing.T, text []byte, series string, labels ...string) Value {
	t.Helper()
	sum := Value{}
	for _, line := range regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(series)+`(\{.*\})? .*$`).FindAllString(string(text), -1) {
		if !containsAll(line, labels) {
			continue
		}
		number, _, _ := strings.Cut(line[strings.LastIndex(line, "}")+1:][1:], " ")
		if !strings.Contains(line, "}") {
			number = strings.Fields(line)[1]
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum = Value{sum.V + n, true}
	}
	return sum
}

func containsAll(line string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) })
}

// first returns the first of some values that is known.
func first(values ...Value) Value {
	for _, v := range values {
		if v.Known {
			return v
		}
	}
	return Value{}
}

// checkRanks compares every reading of a snapshot with the text.
func checkRanks(t *testing.T, text []byte, s *Snapshot) {
	t.Helper()
	for i := range s.Ranks {
		r := &s.Ranks[i]
		model := `model_name="` + r.Model + `"`
		of := func(series string, labels ...string) Value {
			t.Helper()
			labels = append(labels, model)
			if bytes.Contains(text, []byte(`engine="`)) {
				labels = append(labels, `engine="`+r.Rank+`"`)
			}
			return told(t, text, series, labels...)
		}
		awake := of("vllm:engine_sleep_state", `sleep_state="awake"`)
		if awake.Known {
			awake.V = 1 - awake.V
		}
		for _, c := range []struct {
			name      string
			got, want Value
		}{
			{"running", r.Running, of("vllm:num_requests_running")},
			{"waiting", r.Waiting, of("vllm:num_requests_waiting")},
			{"swapped", r.Swapped, of("vllm:num_requests_swapped")},
			{"waiting for capacity", r.WaitingCapacity, of("vllm:num_requests_waiting_by_reason", `reason="capacity"`)},
			{"deferred", r.WaitingDeferred, of("vllm:num_requests_waiting_by_reason", `reason="deferred"`)},
			{"KV cache", r.KVCache, first(of("vllm:kv_cache_usage_perc"), of("vllm:gpu_cache_usage_perc"))},
			{"CPU cache", r.CPUCache, of("vllm:cpu_cache_usage_perc")},
			{"preemptions", r.Preemptions, of("vllm:num_preemptions_total")},
			{"prompt tokens", r.PromptTokens, of("vllm:prompt_tokens_total")},
			{"generation tokens", r.GenerationTokens, of("vllm:generation_tokens_total")},
			{"iterations", r.Iterations, of("vllm:iteration_tokens_total_count")},
			{"prefix queries", r.PrefixQueries, first(of("vllm:prefix_cache_queries_total"), of("vllm:gpu_prefix_cache_queries_total"))},
			{"prefix hits", r.PrefixHits, first(of("vllm:prefix_cache_hits_total"), of("vllm:gpu_prefix_cache_hits_total"))},
			{"finished", r.Finished, of("vllm:request_success_total")},
			{"asleep", r.Asleep, awake},
		} {
			if c.got != c.want {
				t.Errorf("rank %s, %s: got %v, want %v", r.Rank, c.name, c.got, c.want)
			}
		}
	}
}

func TestEveryDialectIsReadAsItStands(t *testing.T) {
	for _, c := range []struct {
		file, model  string
		ranks        []string
		running, kv  float64 // of all ranks, as a person reads them in the file
		swapped      Value
		started      Value
		waitsForLoRA bool
	}{
		{
			file: "metrics_v0.txt", model: "meta-llama/Llama-3.1-8B-Instruct", ranks: []string{"0"},
			running: 6, kv: 0.8723404255319149, swapped: Value{1, true},
		},
		{
			file: "metrics_v1.txt", model: "meta-llama/Llama-3.1-8B-Instruct", ranks: []string{"0"},
			running: 9, kv: 0.9418, started: Value{1.75334512e+09, true}, waitsForLoRA: true,
		},
		{file: "metrics_new.txt", model: "meta-llama/Llama-3.3-70B-Instruct", ranks: []string{"0", "1"}, running: 13, kv: 0.9418},
		{
			file: "metrics_new_single.txt", model: "Qwen/Qwen3-8B", ranks: []string{"0"},
			running: 9, kv: 0.9418, started: Value{1.78765012e+09, true}, waitsForLoRA: true,
		},
		{file: "metrics_new_rust.txt", model: "Qwen/Qwen3-8B", ranks: []string{"0"}, running: 5, kv: 0.3125},
	} {
		t.Run(c.file, func(t *testing.T) {
			text := testdata(t, "vllm-metrics/"+c.file)
			s := parseText(t, string(text))
			var ranks []string
			for _, r := range s.Ranks {
				ranks = append(ranks, r.Rank)
				if r.WaitingLoRA != c.waitsForLoRA {
					t.Errorf("waits for an adapter: got %v, want %v", r.WaitingLoRA, c.waitsForLoRA)
				}
			}
			if !slices.Equal(ranks, c.ranks) || s.Model != c.model {
				t.Fatalf("got ranks %v of %q, want %v of %q", ranks, s.Model, c.ranks, c.model)
			}
			checkRanks(t, text, s)
			if got := s.Sum(func(r *Rank) Value { return r.Running }); got != (Value{c.running, true}) {
				t.Errorf("running: got %v, want %v", got, c.running)
			}
			if got := s.Worst(func(r *Rank) Value { return r.KVCache }); got != (Value{c.kv, true}) {
				t.Errorf("KV cache: got %v, want %v", got, c.kv)
			}
			if got := s.Sum(func(r *Rank) Value { return r.Swapped }); got != c.swapped {
				t.Errorf("swapped: got %v, want %v", got, c.swapped)
			}
			if s.Started != c.started {
				t.Errorf("started: got %v, want %v", s.Started, c.started)
			}
			if got, want := s.TimeToFirstToken.Count, told(t, text, "vllm:time_to_first_token_seconds_count"); got != want {
				t.Errorf("times to first token: got %v, want %v", got, want)
			}
			newest := first(told(t, text, "vllm:inter_token_latency_seconds_sum"), told(t, text, "vllm:time_per_output_token_seconds_sum"))
			if got := s.InterTokenLatency.Sum; got != newest {
				t.Errorf("sum of gaps: got %v, want %v", got, newest)
			}
			if got, want := s.HTTPRequests, told(t, text, "http_requests_total"); got != want {
				t.Errorf("HTTP requests: got %v, want %v", got, want)
			}
		})
	}
}

func TestEveryRecordingIsReadAsItStands(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "testdata", "vllm-live")
	files, _ := filepath.Glob(filepath.Join(dir, "*metrics*.http"))
	if len(files) == 0 {
		t.Skip("the recordings of a real vLLM are not here")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			body := recordedBody(t, file)
			s := parseText(t, string(body))
			if len(s.Ranks) == 0 || s.Model != "tiny" && s.Model != "tiny-embed" {
				t.Fatalf("got %d ranks of %q, want those of the tiny model", len(s.Ranks), s.Model)
			}
			checkRanks(t, body, s)
			if got, want := s.AdmissionRejections, told(t, body, "vllm:admission_rejections_total"); got != want {
				t.Errorf("rejections: got %v, want %v", got, want)
			}
			if got, want := s.Started, told(t, body, "process_start_time_seconds"); got != want {
				t.Errorf("started: got %v, want %v", got, want)
			}
		})
	}
}

// recordedBody returns the body of an answer that stands in a file.
func recordedBody(t testing.TB, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("the recordings are not here: %v", err)
	}
	// The recording has its chunked framing taken off but not the header that tells of it.
	raw = bytes.Replace(raw, []byte("transfer-encoding: chunked\r\n"), nil, 1)
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestASleepingEngineAndAPausedOneDiffer(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "testdata", "vllm-live")
	sleeping := parseText(t, string(recordedBody(t, filepath.Join(dir, "metrics-sleeping.http"))))
	paused := parseText(t, string(recordedBody(t, filepath.Join(dir, "metrics-paused.http"))))
	if got := sleeping.Ranks[0].Asleep; got != (Value{1, true}) {
		t.Errorf("asleep while sleeping: got %v, want 1", got)
	}
	if got := paused.Ranks[0].Asleep; got != (Value{0, true}) {
		t.Errorf("asleep while paused: got %v, want 0", got)
	}
	if got := paused.Ranks[0].WaitingCapacity; got != (Value{1, true}) {
		t.Errorf("waiting while paused: got %v, want 1", got)
	}
}

func TestWhatCannotBeIsNotKnown(t *testing.T) {
	for _, value := range []string{"NaN", "+Inf", "-Inf", "-1", "1e300"} {
		s := parseText(t, "vllm:num_requests_running{engine=\"0\"} 3\nvllm:prompt_tokens_total{engine=\"0\"} "+value+
			"\nvllm:kv_cache_usage_perc{engine=\"0\"} "+value+"\n")
		if got := s.Ranks[0].PromptTokens; got.Known {
			t.Errorf("%s as a counter: got %v, want unknown", value, got)
		}
		if got := s.Ranks[0].KVCache; got.Known {
			t.Errorf("%s as a share: got %v, want unknown", value, got)
		}
	}
	if got := parseText(t, "vllm:kv_cache_usage_perc 94.2\n").Worst(func(r *Rank) Value { return r.KVCache }); got.Known {
		t.Errorf("a share of 94.2: got %v, want unknown", got)
	}
}

func TestSeriesOfSeveralProcesses(t *testing.T) {
	s := parseText(t, `vllm:kv_cache_usage_perc{engine="1",model_name="m",pid="7"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m",pid="8"} 0.75
vllm:request_success_total{engine="1",finished_reason="stop",model_name="m"} 3
vllm:request_success_total{engine="1",finished_reason="length",model_name="m"} 4
vllm:request_success_total{finished_reason="length",engine="1",model_name="m"} 4
vllm:nixl_num_failed_transfers_total{engine="1",model_name="m"} 2
vllm:nixl_num_kv_expired_reqs_total{engine="1",model_name="m"} 5
vllm:num_requests_running{engine="10",model_name="m"} 1
vllm:num_requests_running{engine="2",model_name="m"} 1
`)
	var ranks []string
	for _, r := range s.Ranks {
		ranks = append(ranks, r.Rank)
	}
	if want := []string{"1", "2", "10"}; !slices.Equal(ranks, want) {
		t.Fatalf("ranks: got %v, want %v", ranks, want)
	}
	r := &s.Ranks[0]
	if r.KVCache.V != 0.75 || r.Finished.V != 7 || r.RemoteKVFailures.V != 7 {
		t.Errorf("got cache %v, finished %v, failures %v, want the largest 0.75, the sum 7 with the repeated line once, and 7",
			r.KVCache, r.Finished, r.RemoteKVFailures)
	}
}

func TestOpenMetricsIsUnderstood(t *testing.T) {
	s := parseText(t, `# TYPE vllm:prompt_tokens counter
# UNIT vllm:prompt_tokens tokens
vllm:prompt_tokens_total{model_name="a } b \" # {",engine="0"} 41233 1795444489.345 # {trace_id="abc"} 1 1.5
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{le="0.5",engine="0"} 3 # {trace_id="abc"} 0.3
vllm:time_to_first_token_seconds_bucket{le="+Inf",engine="0"} 4
vllm:time_to_first_token_seconds_count{engine="0"} 4
vllm:time_to_first_token_seconds_sum{engine="0"} 2.5
# EOF
what follows the end does not count`)
	if got, want := s.Model, `a } b " # {`; got != want {
		t.Errorf("model: got %q, want %q", got, want)
	}
	if got := s.Ranks[0].PromptTokens.V; got != 41233 {
		t.Errorf("prompt tokens: got %v, want 41233", got)
	}
	if h := s.TimeToFirstToken; !slices.Equal(h.Bounds, []float64{0.5}) || !slices.Equal(h.Counts, []float64{3}) || h.Count.V != 4 {
		t.Errorf("histogram: got %+v, want one bound with 3 of 4", h)
	}
}

func TestAnErrorNamesTheLineAndNothingOfIt(t *testing.T) {
	_, err := parse(strings.NewReader("# HELP x y\nprocess_start_time_seconds 1\n\nvllm:prompt_tokens_total{a=\"secret\"} 1.2.3\n"), 10)
	if err == nil || !strings.Contains(err.Error(), "line 4") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an error about line 4 without its text", err)
	}
	var f *failure
	if !errors.As(err, &f) || f.word != "malformed" {
		t.Errorf("got reason %q, want malformed", Reason(err))
	}
	_, err = parse(strings.NewReader("process_start_time_seconds 1\n# TYPE\nvllm:prompt_tokens_total{a=secret} 1\n"), 10)
	if err == nil || !strings.Contains(err.Error(), "line 3") || strings.Contains(err.Error(), "secret") {
		t.Errorf("from the parser: got %v, want an error about line 3 without its text", err)
	}
}

func TestNilSnapshotKnowsNothing(t *testing.T) {
	var s *Snapshot
	if got := s.Sum(func(r *Rank) Value { return r.Running }); got.Known {
		t.Errorf("sum: got %v, want unknown", got)
	}
	if got := s.Worst(func(r *Rank) Value { return r.KVCache }); got.Known {
		t.Errorf("worst: got %v, want unknown", got)
	}
}
