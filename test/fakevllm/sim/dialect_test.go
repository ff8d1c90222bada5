package sim_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

const (
	askResponses = `{"input":"Where does it wait?","max_output_tokens":%d,"ignore_eos":true%s}`
	askMessages  = `{"messages":[{"role":"user","content":"Where does it wait?"}],"max_tokens":%d,"ignore_eos":true%s}`
	askGenerate  = `{"token_ids":[7,8,9],"sampling_params":{"max_tokens":%d,"ignore_eos":true}%s}`
)

// TestDeathOfTheEngineInEveryDialect kills the engine after four tokens. The Responses API's stream is cut off.
func TestDeathOfTheEngineInEveryDialect(t *testing.T) {
	cfg := sim.Config{Timing: quick, AllowRequestFaults: true}
	for _, test := range []struct{ path, ask, streamed, whole string }{
		{"/v1/responses", askResponses, "", `{"error":{"message":"Internal server error","type":"InternalServerError",`},
		{"/v1/messages", askMessages, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"internal_error\",", `{"type":"error","error":{"type":"InternalServerError",`},
		{"/inference/v1/generate", askGenerate, `"code": 500}}` + "\n\ndata: [DONE]\n\n", `{"error":{"message":"Internal server error","type":"InternalServerError",`},
	} {
		const fault = `,"user":"[fault:error-event; after=4]"`
		server := httptest.NewServer(sim.New(cfg))
		c := client{t, server.Client()}
		status, text, err := c.post(server.URL+test.path, fmt.Sprintf(test.ask, 20, fault+`,"stream":true`))
		if status != http.StatusOK || (err != nil) != (test.streamed == "") || !strings.Contains(text, test.streamed) || strings.Contains(text, "stop_reason\":\"") {
			t.Errorf("%s streamed: got %d, %v, %s", test.path, status, err, text)
		}
		status, text, err = c.post(server.URL+test.path, fmt.Sprintf(test.ask, 20, fault))
		if status != http.StatusInternalServerError || err != nil || !strings.HasPrefix(text, test.whole) {
			t.Errorf("%s: got %d, %v, %s", test.path, status, err, text)
		}
		server.Close()
	}
}

// TestStreamsAddUpInEveryDialect compares the text and the usage of a stream with those of the answer in one piece.
func TestStreamsAddUpInEveryDialect(t *testing.T) {
	cfg := sim.Config{Timing: quick, ReasoningParser: "any", PromptTokensDetails: true}
	type said struct {
		Delta json.RawMessage `json:"delta"`
		Type  string          `json:"type"`
	}
	type part struct{ Text, Thinking string }
	for path, body := range map[string]string{"/v1/responses": askResponses, "/v1/messages": askMessages} {
		_, whole := ask(t, sim.New(cfg), path, fmt.Sprintf(body, 40, ""))
		_, streamed := ask(t, sim.New(cfg), path, fmt.Sprintf(body, 40, `,"stream":true`))
		var text, thought, last string
		for _, event := range strings.Split(streamed, "\n\n") {
			kind, data, _ := strings.Cut(event, "\ndata: ")
			var e said
			if event == "" || json.Unmarshal([]byte(data), &e) != nil || "event: "+e.Type != kind {
				continue
			}
			last = e.Type
			var plain string
			var p part
			switch {
			case strings.HasSuffix(e.Type, "reasoning_text.delta") && json.Unmarshal(e.Delta, &plain) == nil:
				thought += plain
			case strings.HasSuffix(e.Type, "output_text.delta") && json.Unmarshal(e.Delta, &plain) == nil:
				text += plain
			case e.Type == "content_block_delta" && json.Unmarshal(e.Delta, &p) == nil:
				text, thought = text+p.Text, thought+p.Thinking
			}
		}
		if text == "" || thought == "" || !strings.Contains(whole, fmt.Sprintf("%q", text)) || !strings.Contains(whole, fmt.Sprintf("%q", thought)) {
			t.Errorf("%s: streamed the text %q and the thoughts %q, in one piece %s", path, text, thought, whole)
		}
		if !strings.Contains(whole, `"output_tokens":40`) || !strings.Contains(streamed, `"output_tokens":40`) {
			t.Errorf("%s: got %s and %s, want 40 tokens", path, whole, streamed)
		}
		if last != "response.completed" && last != "message_stop" {
			t.Errorf("%s: the last event is %q", path, last)
		}
	}
}

func TestMessagesTellWhatTheCacheHad(t *testing.T) {
	engine := sim.New(sim.Config{Timing: quick, PromptTokensDetails: true, BlockSize: 16})
	body := `{"max_tokens":1,"messages":[{"role":"user","content":"` + strings.Repeat("wait ", 100) + `"}]}`
	sum := func() (input, read, created int) {
		_, text := ask(t, engine, "/v1/messages", body)
		var m struct {
			Usage struct {
				Input   int `json:"input_tokens"`
				Read    int `json:"cache_read_input_tokens"`
				Created int `json:"cache_creation_input_tokens"`
			} `json:"usage"`
		}
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		return m.Usage.Input, m.Usage.Read, m.Usage.Created
	}
	want := promptTokens(strings.Repeat("wait ", 100))
	if input, read, created := sum(); input+read+created != want || read != 0 {
		t.Errorf("first: got %d, %d and %d, want %d in all and nothing from the cache", input, read, created, want)
	}
	if input, read, created := sum(); input+read+created != want || read != 128 {
		t.Errorf("again: got %d, %d and %d, want %d in all and 8 blocks from the cache", input, read, created, want)
	}
	_, text := ask(t, engine, "/v1/messages/count_tokens", body)
	if want := fmt.Sprintf(`{"input_tokens":%d,`, want); !strings.HasPrefix(text, want) {
		t.Errorf("counted %s, want %s", text, want)
	}
}

func TestDocumentsAreRanked(t *testing.T) {
	engine := sim.New(sim.Config{Timing: quick})
	_, text := ask(t, engine, "/v1/rerank", `{"query":"slow queue","documents":["nothing","slow queue","slow qu"],"top_n":2}`)
	var a struct {
		Results []struct {
			Index int     `json:"index"`
			Score float64 `json:"relevance_score"`
		} `json:"results"`
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil || len(a.Results) != 2 || a.Results[0].Index != 1 || a.Results[1].Index != 2 || a.Results[0].Score < 0.999 {
		t.Errorf("got %s, %v; want the documents 1 and 2", text, err)
	}
	if status, text := ask(t, engine, "/score", `{"text_1":[],"text_2":["a"]}`); status != http.StatusBadRequest {
		t.Errorf("a score of nothing: got %d %s, want 400", status, text)
	}
}

func TestTokenizingCountsAsTheEngineDoes(t *testing.T) {
	engine := sim.New(sim.Config{Timing: quick})
	engine.Fault(sim.Wedge) // which it does not need
	for body, want := range map[string]int{
		`{"prompt":"Where does it wait?"}`:                               1 + sim.CountTokens("Where does it wait?"),
		`{"messages":[{"role":"user","content":"Where does it wait?"}]}`: promptTokens("Where does it wait?"),
	} {
		_, text := ask(t, engine, "/tokenize", body)
		var a struct {
			Count  int
			Tokens []uint32
		}
		if err := json.Unmarshal([]byte(text), &a); err != nil || a.Count != want || len(a.Tokens) != want {
			t.Errorf("%s: got %s, %v; want %d tokens", body, text, err, want)
		}
	}
}

// post sends a body to a server that listens, and reads as much of the answer as comes.
func (c client) post(url, body string) (status int, text string, err error) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}
