package wire

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestRequestParameters(t *testing.T) {
	for name, c := range map[string]struct {
		path, body string
		want       Request
	}{
		"all of a chat": {
			chatPath, `{"messages":[{"role":"user","content":"model"}],"model":"m","stream":true,"stream_options":{"include_usage":true},
			"max_tokens":1,"n":2,"seed":-3,"top_k":-1,"temperature":0,"top_p":0.9,"frequency_penalty":-1.5,"presence_penalty":1e-1,
			"stop":["a","b\n"],"reasoning_effort":"high","response_format":{"type":"json_schema","json_schema":{"type":"text"}}}`,
			Request{
				Model: "m", Stream: true, IncludeUsage: true, MaxTokens: known(1), Choices: known(2), Seed: known(-3), TopK: known(-1),
				Temperature: Float{0, true}, TopP: Float{0.9, true}, FrequencyPenalty: Float{-1.5, true}, PresencePenalty: Float{0.1, true},
				Stop: []string{"a", "b\n"}, ReasoningEffort: "high", OutputType: "json", Complete: true,
			},
		},
		"max_completion_tokens goes before max_tokens": {chatPath, `{"max_completion_tokens":7,"max_tokens":5}`, Request{MaxTokens: known(7), Complete: true}},
		"max_completion_tokens is null":                {chatPath, `{"max_tokens":5,"max_completion_tokens":null}`, Request{MaxTokens: known(5), Complete: true}},
		"a completion has no max_completion_tokens":    {completionPath, `{"max_completion_tokens":7}`, Request{Complete: true}},
		"stop is one string":                           {completionPath, `{"stop":"end"}`, Request{Stop: []string{"end"}, Complete: true}},
		"stop is null":                                 {completionPath, `{"stop":null}`, Request{Complete: true}},
		"stop twice":                                   {completionPath, `{"stop":["a"],"stop":["b",7,null]}`, Request{Stop: []string{"b"}, Complete: true}},
		"parameters of the wrong type":                 {chatPath, `{"model":1,"n":"2","temperature":"hot","stream":"true","stop":7,"seed":1.5,"stream_options":true}`, Request{Complete: true}},
		"text as the format":                           {chatPath, `{"response_format":{"type":"text"}}`, Request{OutputType: "text", Complete: true}},
		"an unknown format":                            {chatPath, `{"response_format":{"type":"json_object"},"response_format":{"type":"x"}}`, Request{Complete: true}},
		"the last stream counts":                       {chatPath, `{"stream":true,"stream":false}`, Request{Complete: true}},
		"the last stream_options counts":               {chatPath, `{"stream_options":{"include_usage":true},"stream_options":{}}`, Request{Complete: true}},
		"embeddings":                                   {embeddingPath, `{"model":"e","input":["a"],"dimensions":64,"encoding_format":"float","stream":true}`, Request{Model: "e", Dimensions: known(64), EncodingFormats: []string{"float"}, Complete: true}},
		"parameters within a message":                  {chatPath, `{"messages":[{"model":"x","stream":true,"n":3}]}`, Request{Complete: true}},
		"not JSON":                                     {chatPath, `{"model":"m",}`, Request{}},
		"a list":                                       {chatPath, `[{"model":"m"}]`, Request{Complete: true}},
		"nothing":                                      {chatPath, ``, Request{}},
		"something behind":                             {chatPath, `{"model":"m"} x`, Request{}},
		"not all of it":                                {chatPath, `{"model":"m","n":2`, Request{Model: "m"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{0, 1, 10} {
				got := requestOf(c.path, cuts([]byte(c.body), n)...)
				got.maxTokens, got.maxCompletionTokens = Int{}, Int{}
				if !reflect.DeepEqual(got, c.want) {
					t.Errorf("in pieces of %d bytes:\n got %+v\nwant %+v", n, got, c.want)
				}
			}
		})
	}
}

func TestRequestIsKnownWhileItIsRead(t *testing.T) {
	r := Match("POST", chatPath).NewRequestReader()
	r.Write([]byte(`{"model":"m","mess`))
	if got := r.Request(); got.Model != "m" || got.Complete {
		t.Errorf("got %+v, want the model, not complete", got)
	}
}

func TestStopSequencesAreBounded(t *testing.T) {
	r := requestOf(chatPath, []byte(`{"stop":[`+strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("x", 1000)+`",`, 10_000), ",")+`]}`))
	if len(r.Stop) != maxStop || slices.ContainsFunc(r.Stop, func(s string) bool { return len(s) > maxRaw }) {
		t.Errorf("got %d sequences, the first of %d bytes", len(r.Stop), len(r.Stop[0]))
	}
}

// TestALargeRequestNeedsNoMemory sends 100 MB of prompt.
func TestALargeRequestNeedsNoMemory(t *testing.T) {
	r := Match("POST", chatPath).NewRequestReader()
	r.Write([]byte(`{"messages":[{"content":"`))
	piece := []byte(strings.Repeat("hello \\n", 4096))
	if n := testing.AllocsPerRun(1000, func() { r.Write(piece) }); n != 0 {
		t.Errorf("got %v allocations for 32 KiB of prompt, want 0", n)
	}
	r.Write([]byte(`"}],"model":"m"}`))
	r.End()
	if got := r.Request(); got.Model != "m" || !got.Complete {
		t.Errorf("got %+v, want the model", got)
	}
}
