package sim_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// quick takes no time for anything.
var quick = sim.Timing{Step: -1, PerSeq: -1, PerPromptToken: -1, Frontend: -1}

// answer is what chats and completions have in common.
type answer struct {
	Choices []struct {
		Index   int    `json:"index"`
		Text    string `json:"text"`
		Message struct {
			Content   *string `json:"content"`
			Reasoning *string `json:"reasoning"`
			ToolCalls []struct {
				ID       string `json:"id"`
				Function struct {
					Name      string `json:"name"`
					Arguments string `json:"arguments"`
				} `json:"function"`
			} `json:"tool_calls"`
		} `json:"message"`
		Finish string  `json:"finish_reason"`
		Stop   *string `json:"stop_reason"`
	} `json:"choices"`
	Usage struct {
		Completion int `json:"completion_tokens"`
		Details    *struct {
			Reasoning int `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`
	} `json:"usage"`
}

// ask lets an engine answer a request without a connection.
func ask(t *testing.T, h http.Handler, path, body string) (status int, text string) {
	t.Helper()
	return askContext(t.Context(), h, path, body)
}

func askContext(ctx context.Context, h http.Handler, path, body string) (status int, text string) {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

func askAnswer(t *testing.T, cfg sim.Config, path, body string) (a answer) {
	t.Helper()
	cfg.Timing = quick
	status, text := ask(t, sim.New(cfg), path, body)
	if err := json.Unmarshal([]byte(text), &a); err != nil || status != http.StatusOK {
		t.Fatalf("got %d %s, %v", status, text, err)
	}
	return a
}

const weather = `"tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string","enum":["Paris","Zürich"]},"days":{"type":"integer"}}}}},{"type":"function","function":{"name":"get_time"}}]`

func TestToolsAreCalled(t *testing.T) {
	for _, test := range []struct {
		name, messages, choice string
		tool, finish           string
	}{
		{"a user's question calls the first tool", `[{"role":"user","content":"w"}]`, `"auto"`, "get_weather", "tool_calls"},
		{"a named tool is called and the reason stays stop", `[{"role":"user","content":"w"}]`, `{"type":"function","function":{"name":"get_time"}}`, "get_time", "stop"},
		{"a required tool is called after an answer too", `[{"role":"user","content":"w"},{"role":"tool","content":"sunny"}]`, `"required"`, "get_weather", "tool_calls"},
		{"after a tool's answer the model speaks", `[{"role":"user","content":"w"},{"role":"tool","content":"sunny"}]`, `"auto"`, "", "stop"},
		{"tool choice none makes the model speak", `[{"role":"user","content":"w"}]`, `"none"`, "", "stop"},
	} {
		t.Run(test.name, func(t *testing.T) {
			body := fmt.Sprintf(`{"messages":%s,%s,"tool_choice":%s}`, test.messages, weather, test.choice)
			c := askAnswer(t, sim.Config{}, "/v1/chat/completions", body).Choices[0]
			if test.tool == "" {
				if len(c.Message.ToolCalls) > 0 || c.Message.Content == nil || *c.Message.Content == "" {
					t.Errorf("got %+v, want text", c.Message)
				}
				return
			}
			if len(c.Message.ToolCalls) != 1 || c.Message.ToolCalls[0].Function.Name != test.tool || c.Finish != test.finish {
				t.Fatalf("got %+v, finish %q; want a call of %s and %q", c.Message, c.Finish, test.tool, test.finish)
			}
			var args map[string]any
			if err := json.Unmarshal([]byte(c.Message.ToolCalls[0].Function.Arguments), &args); err != nil {
				t.Errorf("arguments %q: %v", c.Message.ToolCalls[0].Function.Arguments, err)
			}
			if city := args["city"]; test.tool == "get_weather" && city != "Paris" && city != "Zürich" {
				t.Errorf("got city %v, want one of those allowed", city)
			}
		})
	}
	if status, text := ask(t, sim.New(sim.Config{}), "/v1/chat/completions",
		`{"messages":[],`+weather+`,"tool_choice":{"type":"function","function":{"name":"nope"}}}`); status != http.StatusBadRequest {
		t.Errorf("unknown tool: got %d %s, want 400", status, text)
	}
}

func TestJSONIsAnsweredWhenItIsAskedFor(t *testing.T) {
	a := askAnswer(t, sim.Config{}, "/v1/chat/completions", `{"messages":[{"role":"user","content":"w"}],"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object","properties":{"n":{"type":"array","items":{"type":"number"}},"ok":{"type":"boolean"}}}}}}`)
	var v struct {
		N  []float64 `json:"n"`
		OK *bool     `json:"ok"`
	}
	if err := json.Unmarshal([]byte(*a.Choices[0].Message.Content), &v); err != nil || len(v.N) == 0 || v.OK == nil {
		t.Errorf("got %q, %v", *a.Choices[0].Message.Content, err)
	}
}

func TestModelThinksFirstWithAReasoningParser(t *testing.T) {
	const body = `{"messages":[{"role":"user","content":"w"}],"max_tokens":40,"ignore_eos":true%s}`
	cfg := sim.Config{ReasoningParser: "any"}
	a := askAnswer(t, cfg, "/v1/chat/completions", fmt.Sprintf(body, ""))
	m := a.Choices[0].Message
	if m.Reasoning == nil || m.Content == nil || *m.Content == "" || a.Usage.Details == nil || a.Usage.Details.Reasoning < 4 {
		t.Errorf("got %+v, usage %+v", m, a.Usage)
	}
	silent := askAnswer(t, cfg, "/v1/chat/completions", fmt.Sprintf(body, `,"include_reasoning":false`))
	if s := silent.Choices[0].Message; s.Reasoning != nil || *s.Content != *m.Content || silent.Usage.Completion != 40 {
		t.Errorf("without reasoning: got %+v, usage %+v; want the same content and the same cost", s, silent.Usage)
	}
	cut := askAnswer(t, cfg, "/v1/chat/completions", strings.Replace(fmt.Sprintf(body, ""), "40", "2", 1))
	if s := cut.Choices[0].Message; s.Reasoning == nil || s.Content != nil {
		t.Errorf("cut while it thinks: got %+v, want reasoning and a null content", s)
	}
}

func TestStopStringsEndTheAnswerAndNeverShow(t *testing.T) {
	full := askAnswer(t, sim.Config{}, "/v1/completions", `{"prompt":"x","max_tokens":60,"ignore_eos":true}`).Choices[0].Text
	for at := 3; at < len(full)-3; at += 7 {
		stop := full[at : at+3]
		body := fmt.Sprintf(`{"prompt":"x","max_tokens":60,"ignore_eos":true,"stop":["never met",%q]`, stop)
		want, _, _ := strings.Cut(full, stop)
		c := askAnswer(t, sim.Config{}, "/v1/completions", body+"}").Choices[0]
		if c.Text != want || c.Finish != "stop" || c.Stop == nil || *c.Stop != stop {
			t.Errorf("stop %q: got %q, %s, want %q", stop, c.Text, c.Finish, want)
		}
		_, streamed := ask(t, sim.New(sim.Config{Timing: quick}), "/v1/completions", body+`,"stream":true}`)
		var s stream
		for _, event := range strings.Split(streamed, "\n\n") {
			if data, ok := strings.CutPrefix(event, "data: {"); ok {
				s.event(t, "{"+data)
			}
		}
		if s.text != want {
			t.Errorf("stop %q on a stream: got %q, want %q", stop, s.text, want)
		}
	}
}

func TestLengthIsWhatTheRequestAsksFor(t *testing.T) {
	for _, test := range []struct {
		name, extra string
		tokens      func(n int) bool
		finish      string
	}{
		{"ignore_eos gives exactly max_tokens", `"max_tokens":77,"ignore_eos":true`, func(n int) bool { return n == 77 }, "length"},
		{"a short limit cuts", `"max_tokens":5`, func(n int) bool { return n == 5 }, "length"},
		{"an answer without a limit ends by itself", `"n":1`, func(n int) bool { return n >= 30 && n <= 91 }, "stop"},
		{"min_tokens makes it longer", `"min_tokens":200`, func(n int) bool { return n == 201 }, "stop"},
		{"max_completion_tokens wins", `"max_tokens":9,"max_completion_tokens":4`, func(n int) bool { return n == 4 }, "length"},
	} {
		a := askAnswer(t, sim.Config{}, "/v1/chat/completions", `{"messages":[{"role":"user","content":[{"type":"text","text":"w"}]}],`+test.extra+`}`)
		if !test.tokens(a.Usage.Completion) || a.Choices[0].Finish != test.finish {
			t.Errorf("%s: got %d tokens, %q", test.name, a.Usage.Completion, a.Choices[0].Finish)
		}
	}
}

func TestCompletionEchoesItsPrompt(t *testing.T) {
	a := askAnswer(t, sim.Config{}, "/v1/completions", `{"prompt":["one ","two "],"n":2,"echo":true,"max_tokens":3}`)
	for i, want := range []string{"one ", "one ", "two ", "two "} {
		if c := a.Choices[i]; c.Index != i || !strings.HasPrefix(c.Text, want) || c.Text == want {
			t.Errorf("choice %d: got %q, want %q and more", i, c.Text, want)
		}
	}
}

func TestEmbeddingsAreUnitVectorsAndTheSameInBothEncodings(t *testing.T) {
	engine := sim.New(sim.Config{Timing: quick})
	vectors := func(extra string) (raw []json.RawMessage) {
		_, text := ask(t, engine, "/v1/embeddings", `{"input":["hello there","hello world","hello there"]`+extra+`}`)
		var list struct {
			Data []struct {
				Embedding json.RawMessage `json:"embedding"`
			} `json:"data"`
		}
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		for _, d := range list.Data {
			raw = append(raw, d.Embedding)
		}
		return raw
	}
	plain, encoded := vectors(""), vectors(`,"encoding_format":"base64"`)
	if string(plain[0]) != string(plain[2]) || string(plain[0]) == string(plain[1]) {
		t.Error("equal inputs have different embeddings, or different ones equal embeddings")
	}
	var v []float32
	var text string
	if err := json.Unmarshal(plain[0], &v); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded[0], &text); err != nil {
		t.Fatal(err)
	}
	bytes, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(bytes) != 4*len(v) || len(v) != 64 {
		t.Fatalf("got %d bytes for %d numbers, %v", len(bytes), len(v), err)
	}
	length := 0.0
	for i, f := range v {
		length += float64(f) * float64(f)
		if got := math.Float32frombits(binary.LittleEndian.Uint32(bytes[4*i:])); got != f {
			t.Fatalf("number %d: got %v in base64, %v as a float", i, got, f)
		}
	}
	if math.Abs(length-1) > 1e-5 {
		t.Errorf("got length %v, want 1", math.Sqrt(length))
	}
	if short := vectors(`,"dimensions":3`); strings.Count(string(short[0]), ",") != 2 {
		t.Errorf("got %s, want 3 numbers", short[0])
	}
}

func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"messages":[{"role":"user","content":"hi"}],"stream":true}`, `{"prompt":[[1,2],[3]],"n":3,"logprobs":2,"echo":true}`,
		`{"input":["a",""]}`, `{"input":"a","stream":true,"max_output_tokens":3}`, `{"messages":[{"role":"user","content":"hi"}],"max_tokens":3,"stream":true}`,
		`{"token_ids":[1],"sampling_params":{"n":2},"stream":true}`, `{"text_1":[],"text_2":["a"]}`, `{"query":"a","documents":["b"],"top_n":-1}`,
		`{"prompt":[],"stop":"","min_tokens":-1,"seed":-5}`, `{"messages":[],"tools":[{}],"tool_choice":{},"response_format":{"type":"json_schema"}}`,
	} {
		for endpoint := range 11 {
			f.Add(uint8(endpoint), seed)
		}
	}
	f.Fuzz(func(t *testing.T, endpoint uint8, body string) {
		paths := []string{
			"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens",
			"/inference/v1/generate", "/pooling", "/score", "/rerank", "/tokenize",
		}
		engine := sim.New(sim.Config{Timing: quick, MaxModelLen: 64, ReasoningParser: "any", PerRequestMetrics: true})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		status, text := askContext(ctx, engine, paths[int(endpoint)%len(paths)], body)
		switch {
		case ctx.Err() != nil:
			t.Errorf("no end after 10 s, but %d and %d bytes", status, len(text))
		case status != http.StatusOK && status != http.StatusBadRequest && status != http.StatusNotFound:
			t.Errorf("got %d %s", status, text)
		case strings.HasPrefix(text, "event: "):
			if !strings.Contains(text, "\n\nevent: response.completed\n") && !strings.Contains(text, "\n\nevent: message_stop\n") {
				t.Errorf("the stream ends with %q", text[max(0, len(text)-100):])
			}
		case strings.HasPrefix(text, "data: "):
			if !strings.HasSuffix(text, "\n\ndata: [DONE]\n\n") && text != "data: [DONE]\n\n" {
				t.Errorf("the stream ends with %q", text[max(0, len(text)-100):])
			}
		case !json.Valid([]byte(text)):
			t.Errorf("got %d %q, want JSON", status, text)
		}
		if err := engine.CheckInvariants(); err != nil || !engine.Idle() {
			t.Errorf("afterwards idle: %v, %v", engine.Idle(), err)
		}
	})
}
