package otelvllm_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

func TestDialectsAddWhatTheirBackendsRead(t *testing.T) {
	for _, tt := range []struct {
		dialect otelvllm.Dialect
		want    map[string]string
	}{
		{otelvllm.Langfuse, map[string]string{"langfuse.observation.completion_start_time": "2000-01-01T00:00:00.2Z"}},
		{otelvllm.OpenInference, map[string]string{
			"openinference.span.kind": "LLM", "llm.model_name": "tiny", "llm.provider": "vllm", "llm.system": "vllm", "llm.token_count.prompt": "7", "llm.token_count.prompt_details.cache_read": "0",
			"llm.token_count.completion": "5", "llm.token_count.total": "12", "llm.finish_reason": "stop",
			"llm.invocation_parameters": `{"max_tokens":5,"temperature":0.5}`,
		}},
		{otelvllm.OpenLIT, map[string]string{"gen_ai.system": "vllm", "gen_ai.request.is_stream": "true", "gen_ai.usage.total_tokens": "12"}},
		{"unknown", nil},
	} {
		t.Run(string(tt.dialect), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(fiveWords(), otelvllm.WithDialects(tt.dialect))
				defer w.close()
				if _, _, err := w.post(t, t.Context(), chatPath, streamBody); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				s := w.span(t, "chat tiny")
				wantAttrs(t, s, tt.want)
				for _, kv := range s.Attributes { // and nothing of the others
					key := string(kv.Key)
					foreign := strings.HasPrefix(key, "langfuse.") || strings.HasPrefix(key, "llm.") || strings.HasPrefix(key, "openinference.") || key == "gen_ai.system"
					if _, own := tt.want[key]; foreign && !own {
						t.Errorf("got %s, which is not of this dialect", key)
					}
				}
			})
		})
	}
}
