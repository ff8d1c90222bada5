package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// shape is what a JSON text is made of, without its values: the kinds of value, by the path to it. The items of an array
// share a path.
type shape map[string]map[string]bool

func (s shape) add(path string, v any) {
	kind := ""
	switch v := v.(type) {
	case nil:
		kind = "null"
	case bool:
		kind = "bool"
	case float64:
		kind = "number"
	case string:
		kind = "string"
	case []any:
		kind = "array"
		for _, item := range v {
			s.add(path+"[]", item)
		}
	case map[string]any:
		kind = "object"
		for name, value := range v {
			s.add(path+"."+name, value)
		}
	}
	if s[path] == nil {
		s[path] = map[string]bool{}
	}
	s[path][kind] = true
}

func shapeOf(t *testing.T, text []byte) shape {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	s := shape{}
	s.add("", v)
	return s
}

// byWords are parts of answers whose names are words of the model, or of a schema.
var byWords = []string{".top_logprobs[]", ".prompt_logprobs[]"}

// allowed is a difference of one path that is allowed, and why.
type allowed struct{ path, why string }

// everywhere is allowed in every recording.
var everywhere = []allowed{
	{".choices[].message.content", "a model that calls a tool may say something as well, or nothing"},
	{".choices[].stop_reason", "whether a stop string or the end came first depends on the model"},
	{".choices[].logprobs.content[].bytes[]", "the bytes of a token can be none"},
	{".choices[].delta.content", "a last token can have a text, or not"},
	{".error.param", "which value is told to be wrong is vLLM's choice where several are"},
}

// allowedAt is allowed in the recordings that are named alone.
var allowedAt = map[string][]allowed{
	"chat-stream-tool-named":     {{".choices[].delta.tool_calls", "the last token can bring a piece of the arguments, or nothing"}},
	"responses-stream-completed": {{".response.metrics.mean_itl_ms", "the recorded answer had several tokens, the simulated one can have one"}},
	"responses-stream-tool":      {{".response.incomplete_details", "the recorded model was cut within its call"}},
	"chat-tool-auto":             {{".choices[].message.tool_calls", "the recorded model chose to call no tool"}},
}

// orderAllowed are the recordings whose events come in another order, with the reason.
var orderAllowed = map[string]string{
	"generate-n2-stream":                          "two choices that end in the same step come in another order",
	"keepalive-death-kill-worker-messages-stream": "the recorded engine died before its first text",
	"kill-engine-messages-stream":                 "the recorded engine died before its first text",
	"wedge-worker-messages-stream":                "the recorded engine died before its first text",
}

func allowedIn(name string) []allowed {
	return append(everywhere[:len(everywhere):len(everywhere)], allowedAt[name]...)
}

// compare tells of paths that are not in both shapes, or hold other kinds of value.
func compare(t *testing.T, what string, got, want shape, except []allowed) {
	t.Helper()
	paths := map[string]bool{}
	for _, s := range []shape{got, want} {
		for p := range s {
			paths[p] = true
		}
	}
	var differ []string
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		skip := slices.ContainsFunc(byWords, func(part string) bool { return strings.Contains(p, part) }) ||
			slices.ContainsFunc(except, func(a allowed) bool {
				return p == a.path || strings.HasPrefix(p, a.path+".") || strings.HasPrefix(p, a.path+"[]")
			})
		if !skip && !maps.Equal(got[p], want[p]) {
			differ = append(differ, fmt.Sprintf("%s: got %v, want %v", p, kinds(got[p]), kinds(want[p])))
		}
	}
	if len(differ) > 0 {
		t.Errorf("%s:\n%s", what, strings.Join(differ, "\n"))
	}
}

func kinds(set map[string]bool) string {
	if len(set) == 0 {
		return "nothing"
	}
	return strings.Join(slices.Sorted(maps.Keys(set)), " or ")
}

// stream is the events of a stream: their kinds in order, and the shapes of each kind together.
type stream struct {
	kinds  []string
	shapes map[string]shape
}

func eventsOf(t *testing.T, text []byte) stream {
	t.Helper()
	s := stream{shapes: map[string]shape{}}
	for _, event := range strings.Split(strings.TrimRight(string(text), "\n"), "\n\n") {
		name, data, _ := strings.Cut("\n"+event, "\ndata: ")
		name = strings.TrimPrefix(strings.TrimPrefix(name, "\n"), "event: ")
		switch data {
		case "[DONE]":
			s.kinds = append(s.kinds, data)
			continue
		case "":
			if event != "" && !strings.HasPrefix(event, ":") {
				t.Fatalf("an event without data: %q", event)
			}
			continue
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		kind := kindOf(v)
		if name != "" && name != v["type"] {
			t.Errorf("the event %s has data of the type %v", name, v["type"])
		}
		s.kinds = append(s.kinds, kind)
		if s.shapes[kind] == nil {
			s.shapes[kind] = shape{}
		}
		s.shapes[kind].add("", v)
	}
	return s
}

// order is the kinds of the events, several in a row as one.
func (s stream) order() string { return strings.Join(slices.Compact(slices.Clone(s.kinds)), "\n") }

// kindOf names an event: by its type in the dialects that have one, else by what it brings.
func kindOf(v map[string]any) string {
	if kind, ok := v["type"].(string); ok {
		return kind
	}
	if v["error"] != nil {
		return "error"
	}
	choices, _ := v["choices"].([]any)
	if len(choices) == 0 {
		return "usage"
	}
	choice, _ := choices[0].(map[string]any)
	delta, _ := choice["delta"].(map[string]any)
	switch {
	case choice["finish_reason"] != nil:
		return "finish"
	case delta["role"] != nil:
		return "role"
	case delta["tool_calls"] != nil:
		return "tool call"
	}
	return "content"
}
