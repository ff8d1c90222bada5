package otelvllm_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// ask sends one request through gateway and engine and returns the two content attributes.
func ask(t *testing.T, body string, opts ...otelvllm.Option) (in, out string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(fiveWords(), opts...)
		defer w.close()
		if _, _, err := w.post(t, t.Context(), chatPath, body); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s := w.span(t, "chat tiny")
		in, _ = attr(s, "gen_ai.input.messages")
		out, _ = attr(s, "gen_ai.output.messages")
	})
	return in, out
}

var everything = otelvllm.Capture{Input: true, Output: true}

func TestContentIsCapturedInTheShapesOfTheConventions(t *testing.T) {
	in, out := ask(t, streamBody, otelvllm.WithContentCapture(everything))
	if want := `[{"role":"user","parts":[{"type":"text","content":"secret prompt"}]}]`; in != want {
		t.Errorf("input: got %s, want %s", in, want)
	}
	if want := `[{"role":"assistant","parts":[{"type":"text","content":"onetwothreefourfive"}],"finish_reason":"stop"}]`; out != want {
		t.Errorf("output of a stream: got %s, want %s", out, want)
	}
	_, out = ask(t, wholeBody, otelvllm.WithContentCapture(otelvllm.Capture{Output: true}))
	if want := `[{"role":"assistant","parts":[{"type":"text","content":"private words"}],"finish_reason":"length"}]`; out != want {
		t.Errorf("output: got %s, want %s", out, want)
	}
}

func TestContentIsOffUnlessAskedFor(t *testing.T) {
	if in, out := ask(t, streamBody); in != "" || out != "" {
		t.Errorf("got %q and %q, want nothing", in, out)
	}
	if in, out := ask(t, streamBody, otelvllm.WithContentCapture(otelvllm.Capture{Input: true})); in == "" || out != "" {
		t.Errorf("input alone: got %q and %q", in, out)
	}
	for value, want := range map[string]bool{"": false, "NO_CONTENT": false, "false": false, "EVENT_ONLY": false, "span_only": true, "SPAN_AND_EVENT": true, "true": true, "nonsense": false} {
		t.Setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
		if in, out := ask(t, streamBody); (in != "") != want || (out != "") != want {
			t.Errorf("variable %q: got %q and %q, want captured: %v", value, in, out, want)
		}
		if in, _ := ask(t, streamBody, otelvllm.WithContentCapture(otelvllm.Capture{})); in != "" {
			t.Errorf("variable %q: the option did not win", value)
		}
	}
}

func TestContentIsRedactedBeforeItIsCut(t *testing.T) {
	redact := func(s string) string { return strings.ReplaceAll(s, "secret", "[removed]") }
	in, _ := ask(t, streamBody, otelvllm.WithContentCapture(otelvllm.Capture{Input: true, Redact: redact, MaxBytes: 5}))
	if want := `[{"role":"user","parts":[{"type":"text","content":"[remo"}]}]`; in != want {
		t.Errorf("got %s, want %s", in, want)
	}
	in, _ = ask(t, streamBody, otelvllm.WithContentCapture(otelvllm.Capture{Input: true, Redact: func(string) string { panic("bug") }}))
	if strings.Contains(in, "secret") {
		t.Errorf("got %s although the redaction failed", in)
	}
}

func TestCutContentStaysValid(t *testing.T) {
	long := `{"model":"tiny","messages":[{"role":"user","content":"` + strings.Repeat("é", 100) + `"},{"role":"user","content":"more"}]}`
	for size := 1; size < 220; size += 7 {
		in, _ := ask(t, long, otelvllm.WithContentCapture(otelvllm.Capture{Input: true, MaxBytes: size}))
		if !json.Valid([]byte(in)) || !utf8.ValidString(in) || strings.Contains(in, "\uFFFD") {
			t.Fatalf("size %d: got %s", size, in)
		}
	}
}

func TestEveryKindOfMessageIsRead(t *testing.T) {
	in, _ := ask(t, `{"model":"tiny","messages":[{"role":"system","content":"s"},`+
		`{"role":"user","content":[{"type":"text","text":"t"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"image_url","image_url":{"url":"https://example.org/x.png"}}]},`+
		`{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},`+
		`{"role":"tool","tool_call_id":"c1","content":"r"}]}`, otelvllm.WithContentCapture(everything))
	want := `[{"role":"system","parts":[{"type":"text","content":"s"}]},` +
		`{"role":"user","parts":[{"type":"text","content":"t"},{"type":"uri","modality":"image","uri":"data:image/png;base64"},{"type":"uri","modality":"image","uri":"https://example.org/x.png"}]},` +
		`{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"f","arguments":"{}"}]},` +
		`{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":"r"}]}]`
	if in != want {
		t.Errorf("got\n%s\nwant\n%s", in, want)
	}
	if in, _ := ask(t, `{"model":"tiny","messages":7}`, otelvllm.WithContentCapture(everything)); in != "" {
		t.Errorf("got %q of messages that are none, want nothing", in)
	}
}
