package wire

import (
	"reflect"
	"testing"
)

const invocationPath = "/invocations"

func TestRecordedInvocations(t *testing.T) {
	ms := func(ms float64) Float { return Float{Value: ms / 1000, Known: true} }
	checkRecordings(t, map[string]Facts{
		"invocations": {
			ID: "chatcmpl-8aa3035c0e3f116b", Model: "tiny", FinishReasons: []string{"length"},
			Usage:   Usage{Input: known(15), Output: known(3), Cached: known(0), CacheWrite: known(0)},
			Timings: Timings{ms(0.028152000140835298), ms(6.436892000238004), ms(13.710998999613366)},
		},
		"invocations-stream": {
			Streamed: true, ID: "chatcmpl-83141b737640cbb8", Model: "tiny", FinishReasons: []string{"length"}, Contents: 3, Done: true,
			Usage:   Usage{Input: known(15), Output: known(4), Cached: known(0), CacheWrite: known(0)},
			Timings: Timings{ms(0.03518800076562911), ms(7.818935999239329), ms(19.234983999922406)},
		},
		"invocations-completion": {
			ID: "cmpl-b279f567ca437a40", Model: "tiny", FinishReasons: []string{"length"}, Usage: Usage{Input: known(2), Output: known(3), Cached: known(0)},
			Timings: Timings{ms(0.03385400032129837), ms(7.691843999964476), ms(4.711540000243986)},
		},
		"invocations-embeddings": {ID: "embd-b7dc2251faecf7fc", Model: "tiny", Usage: Usage{Input: known(4)}},
		"invocations-rerank":     {ID: "score-a76a965c3014193b", Model: "tiny", Usage: Usage{Input: known(6)}},
		"invocations-score":      {ID: "score-97e0ab72c65b1941", Model: "tiny", Usage: Usage{Input: known(6)}},
	})
}

func TestAnInvocationIsWhatItsBodyAsksFor(t *testing.T) {
	for body, want := range map[string]string{
		`{"messages":[{"role":"user","content":"a"}]}`: "chat",
		`{"prompt":"a"}`:                                          "text_completion",
		`{"prompt":[1,2]}`:                                        "text_completion",
		`{"input":"a"}`:                                           "embeddings",
		`{"input":{"x":1},"task":"embed"}`:                        "pooling",
		`{"query":"a","documents":["b"]}`:                         "rerank",
		`{"text_1":"a","text_2":"b"}`:                             "score",
		`{"queries":["a"],"documents":["b"]}`:                     "score",
		`{"model":"m"}`:                                           "",
		`{"query":"a"}`:                                           "",
		`{"prompt":null,"input":"a"}`:                             "embeddings",
		`{"x":{"messages":[]},"prompt":"a"}`:                      "text_completion",
		`{"input":"a","input":null}`:                              "",
		`{"messages":[],"input":"a","prompt":"b","model":"tiny"}`: "chat",
		`{"messages":[],}`:                                        "",
	} {
		for _, n := range []int{0, 1} {
			if got := requestOf(invocationPath, cuts([]byte(body), n)...).Operation; got != want {
				t.Errorf("%s: got %q, want %q", body, got, want)
			}
		}
	}
	r := Match("POST", invocationPath).NewRequestReader()
	r.Write([]byte(`{"model":"m","messages":[{"role":"user","content":"a long`))
	if got := r.Request().Operation; got != "chat" {
		t.Errorf("got %q while the body is read, want chat", got)
	}
}

func TestInvocationRequestHasTheParametersOfAll(t *testing.T) {
	got := requestOf(invocationPath, []byte(`{"messages":[],"model":"m","max_completion_tokens":7,"max_tokens":5,"stream":true,"dimensions":64,"temperature":0}`))
	want := Request{
		Operation: "chat", Model: "m", MaxTokens: known(7), maxTokens: known(5), maxCompletionTokens: known(7), Stream: true, Dimensions: known(64),
		Temperature: Float{0, true}, Complete: true, asks: asksMessages,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestAStreamedInvocationMayBeAChatOrACompletion(t *testing.T) {
	for _, event := range []string{contentEvent("a"), `{"id":"c","model":"m","choices":[{"index":0,"text":"a"}]}`} {
		if _, f := stream(invocationPath, events(event, usageEvent, doneEvent)); f.Contents != 1 || f.Usage.Output != known(198) || !f.Done {
			t.Errorf("%s: got %+v, want content, usage and the end", event, f)
		}
	}
}

func TestRecordedBatch(t *testing.T) {
	checkRecordings(t, map[string]Facts{
		"chat-batch": {
			ID: "chatcmpl-a010d2cc5e147794", Model: "tiny", FinishReasons: []string{"length", "length"},
			Usage: Usage{Input: known(12), Output: known(6)},
		},
	})
}
