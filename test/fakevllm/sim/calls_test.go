package sim_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// TestToolsAreCalledInEveryDialect compares the arguments of a streamed call with those of the answer in one piece.
func TestToolsAreCalledInEveryDialect(t *testing.T) {
	const schema = `{"type":"object","properties":{"city":{"type":"string","enum":["Paris"]}},"required":["city"]}`
	const want = `{"city":"Paris"}`
	for _, tt := range []struct{ path, body, piece, reason string }{
		{"/v1/chat/completions", `{"messages":[{"role":"user","content":"w?"}],"tools":[{"type":"function","function":{"name":"get_weather","parameters":` + schema + `}}],"tool_choice":"required"`, "arguments", "tool_calls"},
		{"/v1/responses", `{"input":"w?","tools":[{"type":"function","name":"get_weather","parameters":` + schema + `}],"tool_choice":"required"`, "delta", "completed"},
		{"/v1/messages", `{"max_tokens":99,"messages":[{"role":"user","content":"w?"}],"tools":[{"name":"get_weather","input_schema":` + schema + `}],"tool_choice":{"type":"any"}`, "partial_json", "tool_use"},
		{"/cohere/v2/chat", `{"model":"simulated","messages":[{"role":"user","content":"w?"}],"tools":[{"type":"function","function":{"name":"get_weather","parameters":` + schema + `}}],"tool_choice":"REQUIRED"`, "arguments", "TOOL_CALL"},
	} {
		_, whole := ask(t, sim.New(sim.Config{Timing: quick}), tt.path, tt.body+"}")
		quoted, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(whole, string(quoted)) && !strings.Contains(whole, want) || !strings.Contains(whole, "get_weather") || !strings.Contains(whole, tt.reason) {
			t.Errorf("%s: got %s", tt.path, whole)
		}
		_, streamed := ask(t, sim.New(sim.Config{Timing: quick}), tt.path, tt.body+`,"stream":true}`)
		if got := pieces(streamed, tt.piece); got != want || !strings.Contains(streamed, "get_weather") || !strings.Contains(streamed, tt.reason) {
			t.Errorf("%s streamed: got the arguments %q, want %q, in %s", tt.path, got, want, streamed)
		}
	}
}

// pieces puts together the strings of all members with the name in a stream's events, but for a whole one at an end.
func pieces(stream, name string) string {
	var all strings.Builder
	for event := range strings.SplitSeq(stream, "\n\n") {
		_, data, _ := strings.Cut(event, "data: ")
		var v map[string]any
		if json.Unmarshal([]byte(data), &v) != nil || strings.HasSuffix(event, ".done\"}") || v["response"] != nil {
			continue
		}
		collect(v, name, &all)
	}
	return all.String()
}

func collect(v any, name string, all *strings.Builder) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if text, ok := value.(string); ok && key == name {
				all.WriteString(text)
			} else {
				collect(value, name, all)
			}
		}
	case []any:
		for _, item := range v {
			collect(item, name, all)
		}
	}
}
