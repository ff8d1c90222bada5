package wire

import (
	"reflect"
	"strings"
	"testing"
)

const messagesPath = "/v1/messages"

const (
	messageStart = `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":15,"output_tokens":0}}}`
	messageDelta = `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":3,"output_tokens":12,"cache_creation_input_tokens":8,"cache_read_input_tokens":4}}`
	messageStop  = `{"type":"message_stop"}`
)

func blockDelta(delta string) string {
	return `{"type":"content_block_delta","delta":` + delta + `,"index":0}`
}

func textDelta(text string) string { return blockDelta(`{"type":"text_delta","text":"` + text + `"}`) }

func TestRecordedMessages(t *testing.T) {
	full := Usage{Input: known(15), Output: known(12), Cached: known(0), CacheWrite: known(0)}
	dead := func(id string) Facts {
		return Facts{
			Streamed: true, ID: id, Model: "tiny", FinishReasons: []string{""},
			Usage: Usage{Input: known(13)}, Err: &Error{"internal_error"},
		}
	}
	checkRecordings(t, map[string]Facts{
		"messages": {ID: "chatcmpl-9dbb7521dd38542c", Model: "tiny", Usage: full, FinishReasons: []string{"max_tokens"}},
		"messages-stream": {
			Streamed: true, ID: "chatcmpl-bc649e220848f652", Model: "tiny", Usage: full, FinishReasons: []string{"max_tokens"}, Contents: 5, Done: true,
		},
		"messages-stream-tool": {
			Streamed: true, ID: "chatcmpl-a7ccbb82e76b27c9", Model: "tiny", Usage: Usage{Input: known(173), Output: known(40), Cached: known(128), CacheWrite: known(0)},
			FinishReasons: []string{"max_tokens"}, Contents: 6, Done: true,
		},
		"messages-stream-cached": { // its start says 335, its end 79 and 256
			Streamed: true, ID: "chatcmpl-94b39bdde68e79c8", Model: "tiny", Usage: Usage{Input: known(335), Output: known(3), Cached: known(256), CacheWrite: known(0)},
			FinishReasons: []string{"max_tokens"}, Contents: 2, Done: true,
		},
		"messages-count-tokens":                       {Usage: Usage{Input: known(15)}},
		"kill-engine-messages-stream":                 dead("chatcmpl-8756f9b5b1f95420"),
		"keepalive-death-kill-worker-messages-stream": dead("chatcmpl-8bf460421159e85a"),
		"wedge-worker-messages-stream":                dead("chatcmpl-b54cc435c506bd09"),
		"kill-engine-messages":                        {Err: &Error{"InternalServerError"}},
		"err-messages-no-model":                       {Err: &Error{"NotFoundError"}},
	})
}

func TestWhatIsContentInMessages(t *testing.T) {
	for name, c := range map[string]struct {
		event string
		want  int64
	}{
		"text":                    {textDelta("a"), 1},
		"thinking":                {blockDelta(`{"type":"thinking_delta","thinking":"hm"}`), 1},
		"input of a tool":         {blockDelta(`{"type":"input_json_delta","partial_json":"{"}`), 1},
		"input of nothing":        {blockDelta(`{"type":"input_json_delta","partial_json":""}`), 0},
		"text of nothing":         {textDelta(""), 0},
		"a signature":             {blockDelta(`{"type":"signature_delta","signature":"abc"}`), 0},
		"the start of a block":    {`{"type":"content_block_start","content_block":{"type":"text","text":"a"},"index":0}`, 0},
		"a ping":                  {`{"type":"ping"}`, 0},
		"text of another event":   {`{"type":"content_block_stop","delta":{"text":"a"}}`, 0},
		"of two deltas the last":  {`{"type":"content_block_delta","delta":{"text":"a"},"delta":{"signature":"x"}}`, 0},
		"the start of a message":  {messageStart, 0},
		"the end of a message":    {messageDelta, 0},
		"text beside its members": {`{"type":"content_block_delta","text":"a"}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if _, f := stream(messagesPath, typed(c.event, c.event)); f.Contents != 2*c.want || f.Done {
				t.Errorf("got %+v, want %d contents", f, 2*c.want)
			}
		})
	}
}

// TestMessagesCountAllOfThePrompt goes through what vLLM, its older versions and Anthropic say of a prompt of which the
// cache had a part.
func TestMessagesCountAllOfThePrompt(t *testing.T) {
	for usage, want := range map[string]Usage{
		`{"input_tokens":3,"cache_creation_input_tokens":8,"cache_read_input_tokens":4,"output_tokens":12}`: {Input: known(15), Output: known(12), Cached: known(4), CacheWrite: known(8)},
		`{"cache_read_input_tokens":4,"output_tokens":12,"input_tokens":11}`:                                {Input: known(15), Output: known(12), Cached: known(4)},
		`{"input_tokens":15,"output_tokens":12}`:                                                            {Input: known(15), Output: known(12)},
		`{"input_tokens":15,"cache_read_input_tokens":null,"cache_creation_input_tokens":null}`:             {Input: known(15)},
		`{"input_tokens":0,"cache_read_input_tokens":15}`:                                                   {Input: known(15), Cached: known(15)},
		`{"output_tokens":12}`:                                       {Output: known(12)},
		`{"cache_read_input_tokens":4}`:                              {Cached: known(4)},
		`{"input_tokens":11,"cache_read_input_tokens":-4}`:           {},
		`{"input_tokens":11,"cache_creation_input_tokens":"8"}`:      {},
		`{"input_tokens":-1,"cache_read_input_tokens":4}`:            {Cached: known(4)},
		`{"input_tokens":1,"cache_read_input_tokens":` + max53 + `}`: {Cached: known(maxCount)},
		`null`: {},
	} {
		_, whole := answerOf(messagesPath, 200, jsonBody, []byte(`{"id":"msg_1","type":"message","usage":`+usage+`}`))
		_, streamed := stream(messagesPath, typed(`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":`+usage+`}`))
		if whole.Usage != want || streamed.Usage != want {
			t.Errorf("%s: got %+v, streamed %+v, want %+v", usage, whole.Usage, streamed.Usage, want)
		}
		wantInvalid := int64(0)
		if strings.Contains(usage, "-") || strings.Contains(usage, `"8"`) || strings.Contains(usage, max53) {
			wantInvalid = 1
		}
		if whole.Invalid != wantInvalid {
			t.Errorf("%s: got %d invalid, want %d", usage, whole.Invalid, wantInvalid)
		}
	}
}

const max53 = "9007199254740992"

func TestHowMessagesEnd(t *testing.T) {
	start := typed(messageStart, textDelta("a"))
	partial := Usage{Input: known(15)} // the start tells no output
	full := Usage{Input: known(15), Output: known(12), Cached: known(4), CacheWrite: known(8)}
	for name, c := range map[string]struct {
		body string
		want Facts
	}{
		"properly":                 {start + typed(messageDelta, messageStop), Facts{Usage: full, FinishReasons: []string{"end_turn"}, Done: true}},
		"without message_stop":     {start + typed(messageDelta), Facts{Usage: full, FinishReasons: []string{"end_turn"}}},
		"cut":                      {start, Facts{Usage: partial, FinishReasons: []string{""}}},
		"cut in its last event":    {start + typed(messageDelta) + "event: message_stop\ndata: {\"type\":", Facts{Usage: full, FinishReasons: []string{"end_turn"}}},
		"with an error":            {start + typed(`{"type":"error","error":{"type":"overloaded_error","message":"no"}}`), Facts{Usage: partial, FinishReasons: []string{""}, Err: &Error{"overloaded_error"}}},
		"with an error of no type": {start + "event: error\ndata: oops\n\n", Facts{Usage: partial, FinishReasons: []string{""}, Err: &Error{engineError}, Invalid: 1}},
		"without lines for types":  {start + events(messageDelta, messageStop), Facts{Usage: full, FinishReasons: []string{"end_turn"}, Done: true}},
		"and goes on":              {start + typed(messageDelta, messageStop, textDelta("late")), Facts{Usage: full, FinishReasons: []string{"end_turn"}, Done: true}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Streamed, c.want.ID, c.want.Model, c.want.Contents = true, "msg_1", "m", 1
			for _, n := range []int{0, 1, 50} {
				if _, f := answerOf(messagesPath, 200, eventStream, cuts([]byte(c.body), n)...); !reflect.DeepEqual(f, c.want) {
					t.Errorf("in pieces of %d bytes:\n got %+v\nwant %+v", n, f, c.want)
				}
			}
		})
	}
}

func TestTypedEventsNeedNoMemory(t *testing.T) {
	chunk := []byte(typed(textDelta("the")))
	for name, misses := range map[string]int{"known by their shape": 0, "without a shape": maxMisses} {
		r := Match("POST", messagesPath).NewResponseReader()
		r.Header(200, eventStream)
		r.shapes.misses = misses
		r.Write(chunk)
		if n := testing.AllocsPerRun(100, func() { r.Write(chunk) }); n != 0 {
			t.Errorf("%s: got %v allocations for an event, want 0", name, n)
		}
		if (r.shapes.n == 1) != (misses == 0) {
			t.Errorf("%s: got %d shapes", name, r.shapes.n)
		}
	}
}

func TestMessagesRequest(t *testing.T) {
	got := requestOf(messagesPath, []byte(`{"model":"m","max_tokens":12,"messages":[{"role":"user","content":"a"}],"stream":true,"stop_sequences":["a","b"],
		"temperature":0.5,"top_p":0.9,"top_k":7,"output_config":{"effort":"high","format":{"type":"json_schema","schema":{}}},"thinking":{"type":"enabled"}}`))
	want := Request{
		Model: "m", Stream: true, MaxTokens: known(12), Temperature: Float{0.5, true}, TopP: Float{0.9, true}, TopK: known(7),
		Stop: []string{"a", "b"}, ReasoningEffort: "high", OutputType: "json", Complete: true,
	}
	got.maxTokens = Int{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}
