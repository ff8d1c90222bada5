package otelvllm_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// TestCaptureOfHostileBodiesIsBounded sends bodies of the size that is captured which are made to cost much: the
// attribute, and the memory that is allocated, are those of an ordinary body of that size.
func TestCaptureOfHostileBodiesIsBounded(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and takes its time")
	}
	const size = 4<<20 - 1<<10
	long := strings.Repeat("a", size-200*64)
	for _, tt := range []struct{ name, messages string }{
		{"content nested 200 deep around a long text", `{"content":` + nest(`[{"type":"tool_result","content":`, `"`+long+`"`, `}]`, 200) + `}`},
		{"a million messages", list(`{}`, size)},
		{"a million calls of tools", `{"tool_calls":[` + list(`{}`, size) + `]}`},
		{"a million parts", `{"content":[` + list(`{}`, size) + `]}`},
		{"a thousand messages of a thousand parts", list(`{"content":[`+list(`{}`, 3<<10)+`]}`, size)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tel := newTelemetry()
			h := otelvllm.Middleware(tel.options(otelvllm.WithContentCapture(everything))...)(say(`{}`))
			body := fmt.Sprintf(`{"model":"m","messages":[%s]}`, tt.messages)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(body)))
			runtime.ReadMemStats(&after)
			text, _ := attr(tel.span(t, "chat m"), "gen_ai.input.messages")
			allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
			if text == "" || len(text) > 256<<10 || allocated > 128 {
				t.Errorf("got an attribute of %d bytes, %d MiB allocated; want some, at most 256 KiB and 128 MiB", len(text), allocated)
			}
		})
	}
}

// TestCaptureOfALongStreamCostsNoMoreForEachToken streams an answer of many tokens: what is allocated grows with its
// length, not with the square of it.
func TestCaptureOfALongStreamCostsNoMoreForEachToken(t *testing.T) {
	const tokens = 20_000
	event := `{"choices":[{"index":0,"delta":{"content":"word "}}]}`
	call := `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"word "}}]}}]}`
	for _, tt := range []struct{ name, event string }{{"text", event}, {"the arguments of a call", call}} {
		t.Run(tt.name, func(t *testing.T) {
			tel := newTelemetry()
			answer := say(strings.Repeat("data: "+tt.event+"\n\n", tokens) + "data: [DONE]\n\n")
			h := otelvllm.Middleware(tel.options(otelvllm.WithContentCapture(everything))...)(answer)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(streamBody)))
			runtime.ReadMemStats(&after)
			text, _ := attr(tel.span(t, "chat tiny"), "gen_ai.output.messages")
			if got := strings.Count(text, "word "); got < 16<<10/6 {
				t.Errorf("got %d words, want as many as there is room for", got)
			}
			if allocated := (after.TotalAlloc - before.TotalAlloc) >> 20; allocated > 256 {
				t.Errorf("got %d MiB allocated for %d tokens, want at most 256", allocated, tokens)
			}
		})
	}
}

func nest(open, inside, end string, depth int) string {
	return strings.Repeat(open, depth) + inside + strings.Repeat(end, depth)
}

// list repeats an element, with commas between, as often as fits into size bytes.
func list(element string, size int) string {
	return strings.TrimSuffix(strings.Repeat(element+",", size/(len(element)+1)), ",")
}
