package sim_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// recording is a request and what a real vLLM answered.
type recording struct {
	name     string
	request  []byte
	response []byte
}

// recordings reads the archive of recordings.
func recordings(t *testing.T) map[string]recording {
	t.Helper()
	archive, err := os.ReadFile("testdata/vllm-0.32.0.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]recording{}
	for _, file := range strings.Split(string(archive), "\n-- ")[1:] {
		head, body, _ := strings.Cut(file, " --\n")
		name, kind, _ := strings.Cut(head, ".")
		r := all[name]
		r.name = name
		if kind == "request" {
			r.request = []byte(body)
		} else {
			r.response = []byte(body)
		}
		all[name] = r
	}
	return all
}

// like is an engine with the flags that the recorded one had.
func like() sim.Config {
	return sim.Config{
		Model: "tiny", MaxModelLen: 2048, MaxNumSeqs: 8, BlockSize: 128, PromptTokensDetails: true, RequestIDHeaders: true,
		PerRequestMetrics: true, ServerLoadTracking: true, ToolCallParser: "hermes", DevMode: true,
	}
}

// send parses a recorded request and lets h answer it.
func (r recording) send(t *testing.T, h http.Handler) *http.Response {
	t.Helper()
	head, body, _ := bytes.Cut(r.request, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	first := strings.Fields(lines[0])
	req := httptest.NewRequestWithContext(t.Context(), first[0], first[1], bytes.NewReader(bytes.TrimSuffix(body, []byte("\n"))))
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Result()
}

// want parses the recorded response.
func (r recording) want(t *testing.T) (*http.Response, []byte) {
	t.Helper()
	head, body, _ := bytes.Cut(r.response, []byte("\n\n"))
	var plain []string // without what a parser would act upon
	for _, line := range strings.Split(string(head), "\n") {
		if !strings.HasPrefix(line, "transfer-encoding") && !strings.HasPrefix(line, "content-length") {
			plain = append(plain, line)
		}
	}
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(strings.Join(plain, "\r\n")+"\r\n\r\n")), nil)
	if err != nil {
		t.Fatalf("recording %s: %v", r.name, err)
	}
	return res, bytes.TrimRight(body, "\n")
}

// headers lists names and values of the headers that do not differ from request to request.
func headers(h http.Header) string {
	h = h.Clone()
	h.Del("Date")
	h.Del("Content-Length")
	if h.Get("X-Request-Id") != "" {
		h.Set("X-Request-Id", "some")
	}
	var b strings.Builder
	if err := h.Write(&b); err != nil {
		return err.Error()
	}
	return b.String()
}

// unique drops lines that came before.
func unique(text string) string {
	seen := map[string]bool{}
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if !seen[line] {
			lines = append(lines, line)
		}
		seen[line] = true
	}
	return strings.Join(lines, "\n")
}

func readAll(t *testing.T, res *http.Response) []byte {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestAnswersHaveTheFormOfRecordedOnes(t *testing.T) {
	all := recordings(t)
	for _, name := range []string{
		"chat", "chat-n2", "chat-stop", "chat-echo", "chat-logprobs", "chat-stream", "chat-stream-usage",
		"chat-stream-continuous-usage", "chat-stream-n2", "chat-stream-logprobs", "chat-stream-token-ids",
		"chat-stream-tool-required", "chat-tool-named", "chat-json-schema", "completion", "completion-n2",
		"completion-two-prompts", "completion-echo-logprobs", "completion-orca", "completion-stream",
		"completion-stream-usage", "embeddings", "embeddings-base64", "models", "err-unknown-param",
		"responses", "responses-stream", "messages", "messages-stream", "messages-count-tokens", "generate", "generate-stream",
		"generate-stream-usage", "generate-stream-continuous", "pooling", "score", "score-embed", "rerank", "tokenize", "tokenize-chat",
	} {
		t.Run(name, func(t *testing.T) {
			r := all[name]
			wantRes, wantBody := r.want(t)
			cfg := like()
			switch {
			case strings.HasPrefix(name, "embeddings"):
				cfg.APIKey = "sk-test"
			case name == "chat-stop":
				cfg.Seed = 5 // an answer of more than one token before the first "e"
			case name == "chat-stream-tool-required":
				r.request = bytes.Replace(r.request, []byte(`"max_tokens":120`), []byte(`"max_tokens":5`), 1) // cut in a call, as recorded
			}
			res := r.send(t, sim.New(cfg))
			if res.StatusCode != wantRes.StatusCode || headers(res.Header) != headers(wantRes.Header) {
				t.Errorf("got %d\n%s\nwant %d\n%s", res.StatusCode, headers(res.Header), wantRes.StatusCode, headers(wantRes.Header))
			}
			got, want := form(t, readAll(t, res)), form(t, wantBody)
			if name == "chat-stream-tool-required" {
				got, want = unique(got), unique(want) // the recorded model calls several times
			}
			if got != want {
				t.Errorf("got the form\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestErrorsAreTheRecordedOnes(t *testing.T) {
	all := recordings(t)
	for _, test := range []struct {
		name  string
		set   func(*sim.Config)
		fault sim.Kind
	}{
		{name: "err-401", set: func(c *sim.Config) { c.APIKey = "sk-other" }},
		{name: "err-401-wrong-key", set: func(c *sim.Config) { c.APIKey = "sk-other" }},
		{name: "err-503-queue-chat", fault: sim.Busy},
		{name: "err-503-queue-chat-stream", fault: sim.Busy},
		{name: "err-bad-json"},
		{name: "err-bad-schema"},
		{name: "err-bad-schema-stream"},
		{name: "err-bad-temperature"},
		{name: "err-dp2-rank-7", set: func(c *sim.Config) { c.DataParallelSize = 2 }},
		{name: "err-max-tokens"},
		{name: "err-media-type"},
		{name: "err-method"},
		{name: "err-missing-messages"},
		{name: "err-negative-max-tokens"},
		{name: "err-no-model"},
		{name: "err-no-model-stream"},
		{name: "err-no-route"},
		{name: "err-stream-options-without-stream"},
		{name: "err-messages-no-model"},
		{name: "err-messages-bad"},
		{name: "err-responses-no-model"},
		{name: "err-generate-no-tokens"},
		{name: "err-tokenize-no-model"},
		{name: "wedge-engine-bad-request", fault: sim.Wedge},
		{name: "version"},
		{name: "health"},
		{name: "ping"},
		{name: "load"},
		{name: "pause-keep"},
		{name: "is-paused", fault: sim.Pause},
		{name: "resume"},
		{name: "sleep"},
		{name: "is-sleeping", fault: sim.Sleep},
		{name: "wake-up"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := like()
			if test.set != nil {
				test.set(&cfg)
			}
			engine := sim.New(cfg)
			if test.fault != "" {
				engine.Fault(test.fault)
			}
			wantRes, want := all[test.name].want(t)
			res := all[test.name].send(t, engine)
			if res.StatusCode != wantRes.StatusCode || headers(res.Header) != headers(wantRes.Header) {
				t.Errorf("got %d\n%s\nwant %d\n%s", res.StatusCode, headers(res.Header), wantRes.StatusCode, headers(wantRes.Header))
			}
			if got := bytes.TrimRight(readAll(t, res), "\n"); !bytes.Equal(got, want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestPromptThatIsTooLongIsRefusedInTheRecordedWords(t *testing.T) {
	const want = `{"error":{"message":"This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value=2049)","type":"BadRequestError","param":"input_tokens","code":400}}`
	body := `{"prompt":"` + strings.Repeat("q", 4*2048) + `"}`
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/completions", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	sim.New(like()).ServeHTTP(w, req)
	if got := w.Body.String(); w.Code != http.StatusBadRequest || got != want {
		t.Errorf("got %d %s\nwant 400 %s", w.Code, got, want)
	}
}
