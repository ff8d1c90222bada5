package wire

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
)

const responsesPath = "/v1/responses"

// typed puts a type before each event, as dialects do whose events have one: the value of the member type.
func typed(data ...string) string {
	var b strings.Builder
	for _, d := range data {
		const member = `"type":"`
		at := strings.LastIndex(d, member) // of the event itself: the last member, or the first
		if strings.HasPrefix(d, "{"+member) {
			at = 1
		}
		kind, _, _ := strings.Cut(d[at+len(member):], `"`)
		b.WriteString("event: " + kind + "\ndata: " + d + "\n\n")
	}
	return b.String()
}

// responsesDelta is a piece of a Responses answer as vLLM 0.32 sends it: members in the order of the alphabet, numbered.
func responsesDelta(kind, text string, number int) string {
	return `{"content_index":0,"delta":` + strconv.Quote(text) + `,"item_id":"msg_92ebce2933fb9389","logprobs":[],"output_index":0,` +
		`"sequence_number":` + strconv.Itoa(number) + `,"type":"response.` + kind + `.delta"}`
}

// responsesEnd is the last event of a Responses stream.
func responsesEnd(kind, response string) string {
	return `{"response":` + response + `,"sequence_number":99,"type":"response.` + kind + `"}`
}

const wholeResponse = `{"id":"resp_1","model":"m","status":"completed","error":null,"incomplete_details":null,"output":[{"id":"msg_1","type":"message","status":"completed"}],` +
	`"usage":{"input_tokens":16,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":8},"output_tokens":12,"output_tokens_details":{"reasoning_tokens":5},"total_tokens":28}}`

func TestRecordedResponses(t *testing.T) {
	ms := func(ms float64) Float { return Float{Value: ms / 1000, Known: true} }
	full := Usage{Input: known(16), Output: known(12), Cached: known(0), CacheWrite: known(0), Reasoning: known(0)}
	checkRecordings(t, map[string]Facts{
		"responses": {
			ID: "resp_9f20dadb462c9501", Model: "tiny", Usage: full, FinishReasons: []string{"max_output_tokens"},
			Timings: Timings{Queue: ms(0.026749999960884452), Prefill: ms(5.500663000020722), Decode: ms(56.52653500010274)},
		},
		"responses-stream": {
			Streamed: true, ID: "resp_844b67ab9b09c29b", Model: "tiny", Usage: full, Contents: 5, Done: true,
			Timings:       Timings{Queue: ms(0.0268310000137717), Prefill: ms(6.140277999747923), Decode: ms(61.02495200002522)},
			FinishReasons: []string{"max_output_tokens"},
		},
		"responses-stream-tool": {
			Streamed: true, ID: "resp_86ecb3fbdf4cf383", Model: "tiny", Contents: 1, Done: true, FinishReasons: []string{"max_output_tokens"},
			Usage:   Usage{Input: known(185), Output: known(40), Cached: known(0), CacheWrite: known(128), Reasoning: known(0)},
			Timings: Timings{Queue: ms(3.331563999381615), Prefill: ms(8.867320000717882), Decode: ms(93.52285099976143)},
		},
		"responses-stream-completed": {
			Streamed: true, ID: "resp_9146934fa3229652", Model: "tiny", Contents: 2, Done: true, FinishReasons: []string{"completed"},
			Usage:   Usage{Input: known(16), Output: known(3), Cached: known(0), CacheWrite: known(0), Reasoning: known(0)},
			Timings: Timings{Queue: ms(0.03051899966521887), Prefill: ms(7.037361000584497), Decode: ms(5.189994999454939)},
		},
		"kill-engine-responses-stream": {
			Streamed: true, ID: "resp_9b2dee5dff92aaef", Model: "tiny", Contents: 42, FinishReasons: []string{""},
		},
		"keepalive-death-kill-worker-responses-stream": {
			Streamed: true, ID: "resp_bcf251801a15c03b", Model: "tiny", Contents: 109, FinishReasons: []string{""},
		},
		"wedge-worker-responses-stream": {
			Streamed: true, ID: "resp_9a5fa42f6a8fcfd1", Model: "tiny", Contents: 61, FinishReasons: []string{""},
		},
		"kill-engine-responses":  {Err: &Error{"500"}},
		"err-responses-no-model": {Err: &Error{"404"}},
	})
}

func TestWhatIsContentInResponses(t *testing.T) {
	for name, c := range map[string]struct {
		event string
		want  int64
	}{
		"text":                       {responsesDelta("output_text", "a", 4), 1},
		"reasoning":                  {responsesDelta("reasoning_text", "a", 4), 1},
		"a summary of reasoning":     {responsesDelta("reasoning_summary_text", "a", 4), 1},
		"arguments of a function":    {responsesDelta("function_call_arguments", "{", 4), 1},
		"arguments of a server tool": {responsesDelta("mcp_call_arguments", "{", 4), 1},
		"code":                       {responsesDelta("code_interpreter_call_code", "x", 4), 1},
		"a refusal":                  {responsesDelta("refusal", "no", 4), 1},
		"the type comes first":       {`{"type":"response.output_text.delta","sequence_number":4,"delta":"a"}`, 1},
		"a delta of nothing":         {responsesDelta("output_text", "", 4), 0},
		"a delta that is null":       {`{"delta":null,"type":"response.output_text.delta"}`, 0},
		"all of the text":            {`{"text":"ab","sequence_number":9,"type":"response.output_text.done"}`, 0},
		"a delta of another type":    {`{"delta":"a","type":"response.output_text.done"}`, 0},
		"an item":                    {`{"item":{"id":"msg_1","content":[]},"type":"response.output_item.added"}`, 0},
		"the answer so far":          {`{"response":{"id":"resp_1","status":"in_progress","output":[{"delta":"a"}]},"type":"response.in_progress"}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if _, f := stream(responsesPath, typed(c.event, c.event)); f.Contents != 2*c.want || f.Done {
				t.Errorf("got %+v, want %d contents", f, 2*c.want)
			}
		})
	}
}

func TestHowResponsesEnd(t *testing.T) {
	usage := Usage{Input: known(16), Output: known(12), Cached: known(4), CacheWrite: known(8), Reasoning: known(5)}
	text := typed(`{"response":{"id":"resp_1","model":"m","status":"in_progress","usage":null},"sequence_number":0,"type":"response.created"}`,
		responsesDelta("output_text", "a", 1))
	for name, c := range map[string]struct {
		body string
		want Facts
	}{
		"completed": {
			text + typed(responsesEnd("completed", wholeResponse)),
			Facts{Usage: usage, FinishReasons: []string{"completed"}, Done: true},
		},
		"completed, but cut by its length": {
			text + typed(responsesEnd("completed", strings.NewReplacer(`"status":"completed","error"`, `"status":"incomplete","error"`,
				`"incomplete_details":null`, `"incomplete_details":{"reason":"max_output_tokens"}`).Replace(wholeResponse))),
			Facts{Usage: usage, FinishReasons: []string{"max_output_tokens"}, Done: true},
		},
		"incomplete": {
			text + typed(responsesEnd("incomplete", `{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}`)),
			Facts{FinishReasons: []string{"content_filter"}, Done: true},
		},
		"incomplete for no reason": {
			text + typed(responsesEnd("incomplete", `{"status":"incomplete","incomplete_details":null}`)),
			Facts{FinishReasons: []string{"incomplete"}, Done: true},
		},
		"failed": {
			text + typed(responsesEnd("failed", `{"status":"failed","error":{"code":"server_error","message":"no"}}`)),
			Facts{FinishReasons: []string{"failed"}, Done: true, Err: &Error{"server_error"}},
		},
		"an error event": {
			text + typed(`{"type":"error","code":"rate_limit_exceeded","message":"no","param":null,"sequence_number":2}`),
			Facts{FinishReasons: []string{""}, Err: &Error{"rate_limit_exceeded"}},
		},
		"cut after a delta":            {text, Facts{FinishReasons: []string{""}}},
		"cut in its last event":        {text + strings.TrimSuffix(typed(responsesEnd("completed", wholeResponse)), "}\n\n"), Facts{FinishReasons: []string{""}}},
		"what comes after is not read": {text + typed(responsesEnd("completed", wholeResponse), responsesDelta("output_text", "late", 3)), Facts{Usage: usage, FinishReasons: []string{"completed"}, Done: true}},
		"without lines for the types":  {text + events(responsesEnd("completed", wholeResponse)), Facts{Usage: usage, FinishReasons: []string{"completed"}, Done: true}},
		"of two answers the last counts": {
			text + typed(`{"response":`+wholeResponse+`,"response":{"id":"resp_1","model":"m","status":"completed"},"type":"response.completed"}`),
			Facts{FinishReasons: []string{"completed"}, Done: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.Streamed, c.want.ID, c.want.Model, c.want.Contents = true, "resp_1", "m", 1
			for _, n := range []int{0, 1, 50} {
				if _, f := answerOf(responsesPath, 200, eventStream, cuts([]byte(c.body), n)...); !reflect.DeepEqual(f, c.want) {
					t.Errorf("in pieces of %d bytes:\n got %+v\nwant %+v", n, f, c.want)
				}
			}
		})
	}
}

// TestALongAnswerRepeatedAtTheEnd has an answer of 2 MiB in the event that tells usage, and one that is too long even
// for that: its type still says that the stream is complete.
func TestALongAnswerRepeatedAtTheEnd(t *testing.T) {
	end := func(size int) string {
		return typed(responsesEnd("completed", strings.Replace(wholeResponse, `"output":[`, `"output":[{"text":"`+strings.Repeat("x", size)+`"},`, 1)))
	}
	for _, n := range []int{0, 64 << 10} {
		_, f := answerOf(responsesPath, 200, eventStream, cuts([]byte(end(2<<20)), n)...)
		if f.Usage.Output != known(12) || !f.Done || f.Oversize != 0 {
			t.Errorf("2 MiB in pieces of %d bytes: got %+v, want 12 tokens", n, f)
		}
		_, f = answerOf(responsesPath, 200, eventStream, cuts([]byte(end(maxWholeAnswer)), n)...)
		if f.Usage.Output.Known || !f.Done || f.Oversize != 1 {
			t.Errorf("more than 4 MiB in pieces of %d bytes: got %+v, want no usage, done, one too long", n, f)
		}
	}
}

// TestNumberedEventsNeedNoMemory is for the dialect whose events are never the same twice.
func TestNumberedEventsNeedNoMemory(t *testing.T) {
	var chunks [][]byte
	for i := range 1000 {
		chunks = append(chunks, []byte(typed(responsesDelta("output_text", " the", i))))
	}
	for name, misses := range map[string]int{"known by their shape": 0, "without a shape": maxMisses} {
		r := Match("POST", responsesPath).NewResponseReader()
		r.Header(200, eventStream)
		r.shapes.misses = misses
		r.Write(chunks[0])
		i := 1
		if n := testing.AllocsPerRun(500, func() { r.Write(chunks[i]); i++ }); n != 0 {
			t.Errorf("%s: got %v allocations for an event, want 0", name, n)
		}
		if r.Facts().Contents != int64(i) || (r.shapes.n == 1) != (misses == 0) {
			t.Errorf("%s: got %d contents and %d shapes after %d events", name, r.Facts().Contents, r.shapes.n, i)
		}
	}
}

func TestResponsesRequest(t *testing.T) {
	got := requestOf(responsesPath, []byte(`{"model":"m","input":[{"role":"user","content":"model","text":{"format":{"type":"json_schema"}}}],"stream":true,
		"max_output_tokens":12,"temperature":0.5,"top_p":0.9,"top_k":7,"seed":3,"stop":["a"],"previous_response_id":"resp_0",
		"reasoning":{"effort":"low","summary":"auto"},"text":{"format":{"type":"json_schema","name":"x"}},"background":false}`))
	want := Request{
		Model: "m", Stream: true, MaxTokens: known(12), Temperature: Float{0.5, true}, TopP: Float{0.9, true}, TopK: known(7), Seed: known(3),
		Stop: []string{"a"}, PreviousResponseID: "resp_0", ReasoningEffort: "low", OutputType: "json", Complete: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}
