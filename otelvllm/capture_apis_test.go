package otelvllm_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// say is an engine that gives one answer.
func say(answer string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(answer, "data:") || strings.HasPrefix(answer, "event:") {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		_, _ = io.WriteString(w, answer)
	})
}

// exchange sends one request through gateway and engine and returns the spans.
func exchange(t *testing.T, path, request, answer string, opts ...otelvllm.Option) (spans tracetest.SpanStubs) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(say(answer), opts...)
		defer w.close()
		if _, _, err := w.post(t, t.Context(), path, request); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		spans = w.spans.GetSpans()
	})
	return spans
}

func typedEvents(data ...string) string {
	var b strings.Builder
	for _, d := range data {
		var m struct{ Type string }
		if json.Unmarshal([]byte(d), &m) == nil {
			b.WriteString("event: " + m.Type + "\n")
		}
		b.WriteString("data: " + d + "\n\n")
	}
	return b.String()
}

// captured is what stands on the request span.
type captured struct{ in, out, system, tools string }

func contentOf(t *testing.T, spans tracetest.SpanStubs) (c captured) {
	t.Helper()
	for _, s := range spans {
		if !strings.HasPrefix(s.Name, "chat ") {
			continue
		}
		c.in, _ = attr(s, "gen_ai.input.messages")
		c.out, _ = attr(s, "gen_ai.output.messages")
		c.system, _ = attr(s, "gen_ai.system_instructions")
		c.tools, _ = attr(s, "gen_ai.tool.definitions")
	}
	return c
}

const weatherTool = `[{"type":"function","name":"get_weather","description":"secret tool","parameters":{"type":"object"}}]`

// apiCases are one conversation in each of the APIs. Every text of caller and model holds the word secret.
var apiCases = []struct {
	name, path, request, whole, streamed string
	want                                 captured
}{
	{
		name: "chat", path: "/v1/chat/completions",
		request: `{"model":"tiny","messages":[{"role":"system","content":"secret rule"},{"role":"user","content":"secret question"}],"tools":[{"type":"function","function":{"name":"get_weather","description":"secret tool","parameters":{"type":"object"}}}]}`,
		whole:   `{"id":"1","model":"tiny","choices":[{"index":0,"message":{"role":"assistant","reasoning":"secret thought","content":"secret answer","tool_calls":[{"id":"c1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"secret\"}"}}]},"finish_reason":"tool_calls"}]}`,
		streamed: typedEvents() + "data: " + strings.Join([]string{
			`{"choices":[{"index":0,"delta":{"role":"assistant","reasoning":"secret "}}]}`,
			`{"choices":[{"index":0,"delta":{"reasoning":"thought"}}]}`,
			`{"choices":[{"index":0,"delta":{"content":"secret answer"}}]}`,
			`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"get_weather"}}]}}]}`,
			`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":\"secret\"}"}}]},"finish_reason":"tool_calls"}]}`,
			"[DONE]",
		}, "\n\ndata: ") + "\n\n",
		want: captured{
			in:    `[{"role":"system","parts":[{"type":"text","content":"secret rule"}]},{"role":"user","parts":[{"type":"text","content":"secret question"}]}]`,
			tools: weatherTool,
			out:   `[{"role":"assistant","parts":[{"type":"reasoning","content":"secret thought"},{"type":"text","content":"secret answer"},{"type":"tool_call","id":"c1","name":"get_weather","arguments":"{\"city\":\"secret\"}"}],"finish_reason":"tool_calls"}]`,
		},
	},
	{
		name: "responses", path: "/v1/responses",
		request: `{"model":"tiny","instructions":"secret rule","input":[{"role":"user","content":[{"type":"input_text","text":"secret question"},{"type":"input_image","image_url":"data:image/png;base64,secret"}]},` +
			`{"type":"reasoning","summary":[{"type":"summary_text","text":"secret thought"}]},{"type":"function_call","call_id":"c0","name":"get_weather","arguments":"{}"},{"type":"function_call_output","call_id":"c0","output":"secret rain"}],` +
			`"tools":[{"type":"function","name":"get_weather","description":"secret tool","parameters":{"type":"object"}}]}`,
		whole: `{"id":"resp_1","model":"tiny","object":"response","status":"completed","output":[{"type":"reasoning","content":[{"type":"reasoning_text","text":"secret thought"}]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"secret answer"}]},{"type":"function_call","call_id":"c1","name":"get_weather","arguments":"{\"city\":\"secret\"}"}]}`,
		streamed: typedEvents(
			`{"type":"response.created","response":{"id":"resp_1","output":[]},"sequence_number":0}`,
			`{"type":"response.output_item.added","item":{"type":"reasoning"},"sequence_number":1}`,
			`{"type":"response.reasoning_text.delta","delta":"secret ","sequence_number":2}`,
			`{"type":"response.reasoning_text.delta","delta":"thought","sequence_number":3}`,
			`{"type":"response.output_text.delta","delta":"secret answer","sequence_number":4}`,
			`{"type":"response.output_item.added","item":{"type":"function_call","call_id":"c1","name":"get_weather","arguments":""},"sequence_number":5}`,
			`{"type":"response.function_call_arguments.delta","delta":"{\"city\":\"secret\"}","sequence_number":6}`,
			`{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[{"type":"reasoning","content":[{"type":"reasoning_text","text":"secret thought"}]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"secret answer"}]},{"type":"function_call","call_id":"c1","name":"get_weather","arguments":"{\"city\":\"secret\"}"}]},"sequence_number":7}`,
		),
		want: captured{
			in: `[{"role":"user","parts":[{"type":"text","content":"secret question"},{"type":"uri","modality":"image","uri":"data:image/png;base64"}]},` +
				`{"role":"assistant","parts":[{"type":"reasoning","content":"secret thought"}]},{"role":"assistant","parts":[{"type":"tool_call","id":"c0","name":"get_weather","arguments":"{}"}]},{"role":"tool","parts":[{"type":"tool_call_response","id":"c0","response":"secret rain"}]}]`,
			system: `[{"type":"text","content":"secret rule"}]`, tools: weatherTool,
			out: `[{"role":"assistant","parts":[{"type":"reasoning","content":"secret thought"},{"type":"text","content":"secret answer"},{"type":"tool_call","id":"c1","name":"get_weather","arguments":"{\"city\":\"secret\"}"}],"finish_reason":"completed"}]`,
		},
	},
	{
		name: "messages", path: "/v1/messages",
		request: `{"model":"tiny","max_tokens":9,"system":[{"type":"text","text":"secret rule"}],"messages":[{"role":"user","content":[{"type":"text","text":"secret question"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"secret"}}]},` +
			`{"role":"assistant","content":[{"type":"thinking","thinking":"secret thought"},{"type":"tool_use","id":"c0","name":"get_weather","input":{"a":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c0","content":[{"type":"text","text":"secret rain"}]},{"type":"text","text":"and now?"}]}],` +
			`"tools":[{"name":"get_weather","description":"secret tool","input_schema":{"type":"object"}}]}`,
		whole: `{"id":"1","type":"message","role":"assistant","model":"tiny","content":[{"type":"thinking","thinking":"secret thought"},{"type":"text","text":"secret answer"},{"type":"tool_use","id":"c1","name":"get_weather","input":{"city":"secret"}}],"stop_reason":"tool_use"}`,
		streamed: typedEvents(
			`{"type":"message_start","message":{"id":"1","type":"message","role":"assistant","content":[],"model":"tiny"}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"secret thought"}}`,
			`{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"secret "}}`,
			`{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"answer"}}`,
			`{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"c1","name":"get_weather","input":{}}}`,
			`{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"city\":"}}`,
			`{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"\"secret\"}"}}`,
			`{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":3}}`,
			`{"type":"message_stop"}`,
		),
		want: captured{
			in: `[{"role":"user","parts":[{"type":"text","content":"secret question"},{"type":"uri","modality":"image","uri":"data:image/png"}]},` +
				`{"role":"assistant","parts":[{"type":"reasoning","content":"secret thought"},{"type":"tool_call","id":"c0","name":"get_weather","arguments":"{\"a\":1}"}]},` +
				`{"role":"tool","parts":[{"type":"tool_call_response","id":"c0","response":"secret rain"}]},{"role":"user","parts":[{"type":"text","content":"and now?"}]}]`,
			system: `[{"type":"text","content":"secret rule"}]`, tools: weatherTool,
			out: `[{"role":"assistant","parts":[{"type":"reasoning","content":"secret thought"},{"type":"text","content":"secret answer"},{"type":"tool_call","id":"c1","name":"get_weather","arguments":"{\"city\":\"secret\"}"}],"finish_reason":"tool_use"}]`,
		},
	},
	{
		name: "cohere", path: "/cohere/v2/chat",
		request: `{"model":"tiny","messages":[{"role":"system","content":"secret rule"},{"role":"user","content":[{"type":"text","text":"secret question"}]},{"role":"assistant","tool_plan":"secret thought","tool_calls":[{"id":"c0","type":"function","function":{"name":"get_weather","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c0","content":"secret rain"}],` +
			`"tools":[{"type":"function","function":{"name":"get_weather","description":"secret tool","parameters":{"type":"object"}}}]}`,
		whole: `{"id":"1","finish_reason":"TOOL_CALL","message":{"role":"assistant","tool_plan":"secret thought","content":[{"type":"text","text":"secret answer"}],"tool_calls":[{"id":"c1","type":"function","function":{"name":"get_weather","arguments":"{\"city\":\"secret\"}"}}]}}`,
		streamed: "data: " + strings.Join([]string{
			`{"type":"message-start","id":"1","delta":{"message":{"role":"assistant"}}}`,
			`{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"secret thought"}}}`,
			`{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}`,
			`{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"secret "}}}}`,
			`{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"answer"}}}}`,
			`{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"c1","type":"function","function":{"name":"get_weather","arguments":""}}}}}`,
			`{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"city\":\"secret\"}"}}}}}`,
			`{"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"tokens":{"input_tokens":3,"output_tokens":4}}}}`,
			"[DONE]",
		}, "\n\ndata: ") + "\n\n",
		want: captured{
			in: `[{"role":"system","parts":[{"type":"text","content":"secret rule"}]},{"role":"user","parts":[{"type":"text","content":"secret question"}]},` +
				`{"role":"assistant","parts":[{"type":"reasoning","content":"secret thought"},{"type":"tool_call","id":"c0","name":"get_weather","arguments":"{}"}]},{"role":"tool","parts":[{"type":"tool_call_response","id":"c0","response":"secret rain"}]}]`,
			tools: weatherTool,
			out:   `[{"role":"assistant","parts":[{"type":"reasoning","content":"secret thought"},{"type":"text","content":"secret answer"},{"type":"tool_call","id":"c1","name":"get_weather","arguments":"{\"city\":\"secret\"}"}],"finish_reason":"TOOL_CALL"}]`,
		},
	},
}

func TestContentOfEveryAPIHasTheShapesOfTheConventions(t *testing.T) {
	for _, tt := range apiCases {
		for how, answer := range map[string]string{"whole": tt.whole, "streamed": tt.streamed} {
			t.Run(tt.name+" "+how, func(t *testing.T) {
				if got := contentOf(t, exchange(t, tt.path, tt.request, answer, otelvllm.WithContentCapture(everything))); got != tt.want {
					t.Errorf("got\n%+v\nwant\n%+v", got, tt.want)
				}
			})
		}
	}
}

// TestNoContentLeavesByDefault looks for the canary, the word secret, in everything that is exported.
func TestNoContentLeavesByDefault(t *testing.T) {
	for _, tt := range apiCases {
		for _, answer := range []string{tt.whole, tt.streamed, `{"error":{"message":"secret","type":"secret thing went wrong","code":400}}`, `{"message":"secret"}`} {
			spans := exchange(t, tt.path, tt.request, answer)
			if text := fmt.Sprintf("%+v", spans); len(spans) == 0 || strings.Contains(text, "secret") || strings.Contains(text, "get_weather") {
				t.Errorf("%s: a word of the request or the answer %.60q is on a span", tt.name, answer)
			}
		}
	}
}

func TestContentOfEveryAPIIsRedactedFirstAndThenCut(t *testing.T) {
	capture := everything
	capture.Redact = func(s string) string { return strings.ReplaceAll(s, "secret", "[removed]") }
	for size := 1; size < 400; size += 13 {
		capture.MaxBytes = size
		for _, tt := range apiCases {
			got := contentOf(t, exchange(t, tt.path, tt.request, tt.streamed, otelvllm.WithContentCapture(capture)))
			for _, text := range []string{got.in, got.out, got.system, got.tools} {
				if text != "" && !json.Valid([]byte(text)) || strings.Contains(text, "secr") {
					t.Fatalf("%s, %d bytes: got %s", tt.name, size, text)
				}
			}
		}
	}
}

// TestRolesAreNoWayOutForContent writes the canary where a role should be.
func TestRolesAreNoWayOutForContent(t *testing.T) {
	got := contentOf(t, exchange(t, "/v1/chat/completions", `{"model":"tiny","messages":[{"role":"secret","content":"a"}]}`, `{}`,
		otelvllm.WithContentCapture(otelvllm.Capture{Input: true, Redact: func(string) string { return "x" }})))
	if want := `[{"role":"other","parts":[{"type":"text","content":"x"}]}]`; got.in != want {
		t.Errorf("got %s, want %s", got.in, want)
	}
}

// TestRecordedStreamsOfEveryAPIAreCapturedAsTheirWholes captures what a real vLLM sent.
func TestRecordedStreamsOfEveryAPIAreCaptured(t *testing.T) {
	for name, want := range map[string]string{
		"responses-stream": `"finish_reason":"max_output_tokens"}]`, "messages-stream": `"finish_reason":"max_tokens"}]`,
		"responses": `"finish_reason":"max_output_tokens"}]`, "messages": `"finish_reason":"max_tokens"}]`,
	} {
		raw, err := os.ReadFile(filepath.Join("internal", "wire", "testdata", "vllm-live", name+".http"))
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(raw), "\r\n\r\n")
		path := "/v1/" + strings.TrimSuffix(name, "-stream")
		got := contentOf(t, exchange(t, path, `{"model":"tiny","stream":true}`, body, otelvllm.WithContentCapture(everything)))
		if !strings.HasPrefix(got.out, `[{"role":"assistant","parts":[{"type":"text","content":"`) || !strings.HasSuffix(got.out, want) {
			t.Errorf("%s: got %s", name, got.out)
		}
	}
}

func TestTokenIDsHaveNoText(t *testing.T) {
	spans := exchange(t, "/v1/completions", `{"model":"tiny","prompt":[1,2,3]}`, `{}`, otelvllm.WithContentCapture(everything))
	for _, s := range spans {
		if text, ok := attr(s, "gen_ai.input.messages"); ok {
			t.Errorf("got %s, want nothing", text)
		}
	}
}
