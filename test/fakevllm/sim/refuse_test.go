package sim_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

func TestWrongRequestsAreRefusedWithTheParameter(t *testing.T) {
	engine := sim.New(sim.Config{Timing: quick, MaxModelLen: 100})
	for _, test := range []struct{ path, body, param string }{
		{"/v1/chat/completions", `{"messages":[],"n":0}`, "n"},
		{"/v1/chat/completions", `{"messages":[],"n":20000}`, "n"},
		{"/v1/chat/completions", `{"messages":[],"top_logprobs":21,"logprobs":true}`, "top_logprobs"},
		{"/v1/chat/completions", `{"messages":[],"min_tokens":5,"max_tokens":4}`, "min_tokens"},
		{"/v1/chat/completions", `{"messages":[],"max_tokens":99}`, "input_tokens"},
		{"/v1/chat/completions", `{"messages":"hi"}`, "body.messages"},
		{"/v1/chat/completions", `{"messages":[],"stream":"yes"}`, "body.stream"},
		{"/v1/chat/completions", `{"messages":[],,}`, "body.15"},
		{"/v1/completions", `{}`, "body.prompt"},
		{"/v1/completions", `{"prompt":"x","logprobs":-1}`, "logprobs"},
		{"/v1/completions", `{"prompt":"x","prompt_logprobs":21}`, "prompt_logprobs"},
		{"/v1/completions", `{"prompt":"x","prompt_logprobs":1,"stream":true}`, "prompt_logprobs"},
		{"/v1/completions", `{"prompt":[]}`, ""},
		{"/v1/completions", `{"prompt":[["a"]]}`, "body.prompt"},
		{"/v1/embeddings", `{"input":[[]]}`, ""},
		{"/v1/embeddings", `{"input":"x","dimensions":65}`, "dimensions"},
		{"/v1/embeddings", `{"input":"x","encoding_format":"hex"}`, "encoding_format"},
		{"/v1/embeddings", `{"input":"` + strings.Repeat("x", 500) + `"}`, "input_tokens"},
	} {
		status, text := ask(t, engine, test.path, test.body)
		var answer struct {
			Error struct {
				Message string
				Type    string
				Param   *string
				Code    int
			}
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatalf("%s %s: %v in %s", test.path, test.body, err, text)
		}
		e := answer.Error
		param := ""
		if e.Param != nil {
			param = *e.Param
		}
		if status != http.StatusBadRequest || e.Code != status || param != test.param || e.Message == "" || e.Type == "" {
			t.Errorf("%s %s: got %d %s, want 400 for %q", test.path, test.body, status, text, test.param)
		}
	}
	if !engine.Idle() {
		t.Error("the engine is not idle")
	}
}

func TestForcedUsageIsOnEveryChunk(t *testing.T) {
	for _, body := range []string{`{"messages":[],"max_tokens":5,"stream":true}`, `{"prompt":"x","max_tokens":5,"stream":true}`} {
		path := map[bool]string{true: "/v1/chat/completions", false: "/v1/completions"}[strings.Contains(body, "messages")]
		_, text := ask(t, sim.New(sim.Config{Timing: quick, ForceIncludeUsage: true}), path, body)
		events := strings.Split(strings.TrimSuffix(text, "\n\n"), "\n\n")
		for _, event := range events[:len(events)-1] {
			if !strings.Contains(event, `"usage":{"prompt_tokens":`) {
				t.Errorf("%s: no usage in %s", path, event)
			}
		}
	}
}

func TestLoadHeaderForLoadBalancers(t *testing.T) {
	engine := sim.New(sim.Config{Timing: quick})
	for format, want := range map[string]string{
		"TEXT": "TEXT named_metrics.kv_cache_usage_perc=0.0, named_metrics.num_requests_waiting=0.0",
		"JSON": `JSON {"named_metrics": {"num_requests_waiting": 0.0, "kv_cache_usage_perc": 0.0}}`,
		"XML":  "",
	} {
		r := recording{request: []byte("POST /v1/completions HTTP/1.1\ncontent-type: application/json\nendpoint-load-metrics-format: " + format + "\n\n{\"prompt\":\"x\"}")}
		if got := r.send(t, engine).Header.Get("Endpoint-Load-Metrics"); got != want {
			t.Errorf("%s: got %q, want %q", format, got, want)
		}
	}
}

func TestResetIsOneOnARealConnection(t *testing.T) {
	engine, url := simtest.Start(t, sim.Config{})
	engine.Fault(sim.Reset)
	res, err := http.Post(url+"/v1/completions", "application/json", strings.NewReader(`{"prompt":"x"}`))
	if err == nil {
		res.Body.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset connection", err)
	}
}

func TestUnknownFaultPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("got no panic")
		}
	}()
	sim.New(sim.Config{}).Fault("nope")
}

func BenchmarkStreamedToken(b *testing.B) {
	engine := sim.New(sim.Config{Timing: quick, MaxModelLen: 1 << 20, NumGPUBlocks: 1 << 17})
	b.ReportAllocs()
	body := strings.Replace(chat("hi", 0), `"max_tokens":0`, `"max_tokens":1000`, 1)
	for b.Loop() {
		if status, _ := askContext(b.Context(), engine, "/v1/chat/completions", body); status != http.StatusOK {
			b.Fatalf("got %d", status)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/token")
}
