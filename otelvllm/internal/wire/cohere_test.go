package wire

import (
	"reflect"
	"testing"
)

const (
	coherePath  = "/cohere/v2/chat"
	cohereStart = `{"id":"c","delta":{"message":{"role":"assistant"}},"type":"message-start"}`
	cohereText  = `{"index":0,"delta":{"message":{"content":{"text":"a"}}},"type":"content-delta"}`
	cohereStop  = `{"id":"c","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":9.0,"output_tokens":9.0},"tokens":{"input_tokens":15.0,"output_tokens":12.0},"cached_tokens":4.0}},"type":"message-end"}`
)

func TestRecordedCohere(t *testing.T) {
	usage := Usage{Input: known(15), Output: known(12), Cached: known(0)}
	checkRecordings(t, map[string]Facts{
		"cohere-chat": {ID: "chatcmpl-8c8e844874ec15c9", Usage: usage, FinishReasons: []string{"MAX_TOKENS"}},
		"cohere-chat-stream": {
			Streamed: true, ID: "chatcmpl-8723ecb2a2095e1e", Usage: usage, FinishReasons: []string{"MAX_TOKENS"}, Contents: 4, Done: true,
		},
		"cohere-chat-stream-tool": {
			Streamed: true, ID: "chatcmpl-ac2381ed033d3d24", Usage: Usage{Input: known(173), Output: known(40), Cached: known(0)},
			FinishReasons: []string{"MAX_TOKENS"}, Contents: 4, Done: true,
		},
		"err-cohere-no-model":        {Err: &Error{engineError}},
		"embed-cohere":               {ID: "embd-9c3ddf667485dff3", Usage: Usage{Input: known(8)}},
		"embeddings-cohere":          {Err: &Error{"400"}},
		"err-embed-cohere-dimension": {Err: &Error{"400"}},
	})
}

func TestWhatIsContentInCohere(t *testing.T) {
	delta := func(message string) string { return `{"index":0,"delta":{"message":` + message + `},"type":"x"}` }
	for name, c := range map[string]struct {
		event string
		want  int64
	}{
		"text":                     {cohereText, 1},
		"thinking":                 {delta(`{"content":{"thinking":"hm"}}`), 1},
		"a plan":                   {delta(`{"tool_plan":"I will"}`), 1},
		"the name of a tool":       {delta(`{"tool_calls":{"id":"1","type":"function","function":{"name":"f","arguments":""}}}`), 1},
		"arguments of a tool":      {delta(`{"tool_calls":{"function":{"arguments":"{"}}}`), 1},
		"the start of a text":      {delta(`{"content":{"text":"","type":"text"}}`), 0},
		"a citation":               {delta(`{"citations":{"start":0,"end":1,"text":"a"}}`), 0},
		"of two texts the last":    {delta(`{"content":{"text":"a"},"content":{"type":"text"}}`), 0},
		"of two messages the last": {`{"delta":{"message":{"tool_plan":"a"},"message":{}},"type":"x"}`, 0},
		"the start of a message":   {cohereStart, 0},
		"the end of a text":        {`{"index":0,"type":"content-end"}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if _, f := stream(coherePath, events(c.event, c.event)); f.Contents != 2*c.want || f.Done {
				t.Errorf("got %+v, want %d contents", f, 2*c.want)
			}
		})
	}
}

func TestHowCohereEnds(t *testing.T) {
	usage := Usage{Input: known(15), Output: known(12), Cached: known(4)}
	for name, c := range map[string]struct {
		body string
		want Facts
	}{
		"properly":       {events(cohereStart, cohereText, cohereStop, doneEvent), Facts{Usage: usage, FinishReasons: []string{"COMPLETE"}, Done: true}},
		"without [DONE]": {events(cohereStart, cohereText, cohereStop), Facts{Usage: usage, FinishReasons: []string{"COMPLETE"}, Done: true}},
		"cut":            {events(cohereStart, cohereText), Facts{FinishReasons: []string{""}}},
		"with an error": {
			events(cohereStart, cohereText, `{"type": "message-end", "delta": {"error": "EngineCore encountered an issue.", "finish_reason": "ERROR"}}`, doneEvent),
			Facts{FinishReasons: []string{"ERROR"}, Done: true, Err: &Error{engineError}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Streamed, c.want.ID, c.want.Contents = true, "c", 1
			for _, n := range []int{0, 1, 50} {
				if _, f := answerOf(coherePath, 200, eventStream, cuts([]byte(c.body), n)...); !reflect.DeepEqual(f, c.want) {
					t.Errorf("in pieces of %d bytes:\n got %+v\nwant %+v", n, f, c.want)
				}
			}
		})
	}
}

func TestCountsThatAreFloats(t *testing.T) {
	for told, want := range map[string]Int{
		"15": known(15), "15.0": known(15), "1.5e1": known(15), "0.0": known(0), "9007199254740992.0": known(maxCount),
		"15.5": {}, "-15.0": {}, "-0.0": {}, "1e300": {}, "9007199254740994.0": {}, `"15"`: {}, "null": {}, "[15]": {},
	} {
		_, f := answerOf(coherePath, 200, jsonBody, []byte(`{"usage":{"tokens":{"input_tokens":`+told+`}}}`))
		wantInvalid := int64(0)
		if !want.Known && told != "null" {
			wantInvalid = 1
		}
		if f.Usage.Input != want || f.Invalid != wantInvalid {
			t.Errorf("%s: got %+v and %d invalid, want %+v and %d", told, f.Usage.Input, f.Invalid, want, wantInvalid)
		}
	}
}

func TestCohereEmbeddingsOfBothVersions(t *testing.T) {
	for _, member := range []string{"billed_units", "tokens"} {
		_, f := answerOf("/v2/embed", 200, jsonBody, []byte(`{"id":"e","embeddings":{"float":[[1]]},"meta":{"api_version":{"version":"2"},"`+member+`":{"input_tokens":8}}}`))
		if f.Usage != (Usage{Input: known(8)}) {
			t.Errorf("%s: got %+v, want 8 tokens", member, f.Usage)
		}
	}
}

func TestCohereRequests(t *testing.T) {
	for _, c := range []struct {
		path, body string
		want       Request
	}{
		{coherePath, `{"model":"m","stream":true,"messages":[],"max_tokens":12,"temperature":0.5,"k":7,"p":0.9,"seed":3,"stop_sequences":["a"],
			"frequency_penalty":0.1,"presence_penalty":0.2,"response_format":{"type":"json_object"}}`, Request{
			Model: "m", Stream: true, MaxTokens: known(12), maxTokens: known(12), Temperature: Float{0.5, true}, TopK: known(7), TopP: Float{0.9, true}, Seed: known(3),
			Stop: []string{"a"}, FrequencyPenalty: Float{0.1, true}, PresencePenalty: Float{0.2, true}, OutputType: "json", Complete: true,
		}},
		{
			"/v2/embed", `{"model":"m","texts":["a"],"output_dimension":64,"embedding_types":["float","base64"]}`,
			Request{Model: "m", Dimensions: known(64), EncodingFormats: []string{"float", "base64"}, Complete: true},
		},
		{"/v2/embed", `{"model":"m","embedding_types":["float"],"embedding_types":null}`, Request{Model: "m", Complete: true}},
	} {
		if got := requestOf(c.path, []byte(c.body)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v\nwant %+v", c.path, got, c.want)
		}
	}
}
