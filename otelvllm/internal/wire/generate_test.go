package wire

import (
	"reflect"
	"testing"
)

const generatePath = "/inference/v1/generate"

func TestRecordedGenerate(t *testing.T) {
	dead := func(id string, contents int64) Facts {
		return Facts{Streamed: true, ID: id, Contents: contents, FinishReasons: []string{""}, Done: true, Err: &Error{"500"}}
	}
	usage := Usage{Input: known(3), Output: known(4), Cached: known(0)}
	checkRecordings(t, map[string]Facts{
		"generate":        {ID: "generate-tokens-91a5736fe637264e", Model: "tiny", Usage: usage, FinishReasons: []string{"length"}},
		"generate-stream": {Streamed: true, ID: "generate-tokens-acf663dece887e03", Contents: 4, FinishReasons: []string{"length"}, Done: true},
		"generate-stream-usage": {
			Streamed: true, ID: "generate-tokens-9e689279e67f8483", Usage: usage, Contents: 4, FinishReasons: []string{"length"}, Done: true,
		},
		"generate-n2-stream": {
			Streamed: true, ID: "generate-tokens-9999e823773dd996", Contents: 8, FinishReasons: []string{"length", "length"}, Done: true,
		},
		"kill-engine-generate-stream":                 dead("generate-tokens-a6df5ff310a5adae", 53),
		"keepalive-death-kill-worker-generate-stream": dead("generate-tokens-825f44688ff32957", 155),
		"wedge-worker-generate-stream":                dead("generate-tokens-8726790471984865", 93),
		"err-generate-no-tokens":                      {Err: &Error{"400"}},
	})
}

func TestTokensAreContent(t *testing.T) {
	for choice, want := range map[string]int64{
		`{"token_ids":[249]}`: 1, `{"token_ids":[1,2,3]}`: 1, `{"token_ids":[]}`: 0, `{"token_ids":null}`: 0, `{"token_ids":[1],"token_ids":[]}`: 0,
		`{"logprobs":{"content":[{"token":"a"}]}}`: 0, `{"text":"a"}`: 0,
	} {
		if _, f := stream(generatePath, events(`{"request_id":"g","choices":[`+choice+`]}`)); f.Contents != want {
			t.Errorf("%s: got %d contents, want %d", choice, f.Contents, want)
		}
	}
}

func TestGenerateRequest(t *testing.T) {
	got := requestOf(generatePath, []byte(`{"model":"m","token_ids":[0,100],"sampling_params":{"max_tokens":4,"n":2,"seed":3,"top_k":7,"temperature":0.5,
		"top_p":0.9,"frequency_penalty":0.1,"presence_penalty":0.2,"stop":["a"],"stream":true},"stream":true,"stream_options":{"include_usage":true}}`))
	want := Request{
		Model: "m", Stream: true, IncludeUsage: true, MaxTokens: known(4), maxTokens: known(4), Choices: known(2), Seed: known(3), TopK: known(7),
		Temperature: Float{0.5, true}, TopP: Float{0.9, true}, FrequencyPenalty: Float{0.1, true}, PresencePenalty: Float{0.2, true}, Stop: []string{"a"}, Complete: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}
