package wire

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What a row of the table says of an answer's usage.
const (
	exact     = "usage exact"     // the engine's own counts
	estimated = "usage estimated" // no counts, but events with content, which are counted
	none      = "usage none"      // nothing that could be counted
)

// row is an answer of an endpoint: recorded from a real vLLM, or a sample where none could be recorded.
type row struct {
	path     string
	streamed bool
	usage    string
	recorded string // the name of the recording
	sample   string // what the sample is
	body     string
	says     []turn // of a WebSocket

	input, output int64 // of exact usage; an output below zero is one that must not be known
	contents      int64
}

const audioDelta = `{"id":"trsc-1","object":"transcription.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}]}`

// table has a row for each endpoint, streamed and not, and each way in which its usage may be known.
var table = []row{
	{path: "/v1/chat/completions", usage: exact, recorded: "chat", input: 15, output: 12},
	{path: "/v1/chat/completions", usage: exact, recorded: "chat-n2", input: 15, output: 24},
	{path: "/v1/chat/completions", usage: exact, recorded: "chat-tool-named", input: 219, output: 54},
	{path: "/v1/chat/completions", usage: none, recorded: "err-no-model"},
	{path: "/v1/chat/completions", streamed: true, usage: exact, recorded: "chat-stream-usage", input: 15, output: 12, contents: 9},
	{path: "/v1/chat/completions", streamed: true, usage: exact, recorded: "chat-stream-continuous-usage", input: 15, output: 12, contents: 8},
	{path: "/v1/chat/completions", streamed: true, usage: exact, recorded: "chat-stream-n2", input: 15, output: 10, contents: 8},
	{path: "/v1/chat/completions", streamed: true, usage: exact, recorded: "chat-stream-tool-required", input: 219, output: 120, contents: 11},
	{path: "/v1/chat/completions", streamed: true, usage: estimated, recorded: "chat-stream", contents: 7},
	{path: "/v1/chat/completions", streamed: true, usage: estimated, recorded: "kill-engine-chat-stream", contents: 38},
	{path: "/v1/chat/completions", streamed: true, usage: none, recorded: "err-bad-schema-stream"},
	{path: "/v1/chat/completions/batch", usage: exact, recorded: "chat-batch", input: 12, output: 6},
	{path: "/v1/completions", usage: exact, recorded: "completion", input: 5, output: 12},
	{path: "/v1/completions", usage: exact, recorded: "completion-two-prompts", input: 8, output: 6},
	{path: "/v1/completions", streamed: true, usage: exact, recorded: "completion-stream-usage", input: 5, output: 12, contents: 10},
	{path: "/v1/completions", streamed: true, usage: estimated, recorded: "completion-stream", contents: 10},
	{path: "/v1/responses", usage: exact, recorded: "responses", input: 16, output: 12},
	{path: "/v1/responses", streamed: true, usage: exact, recorded: "responses-stream", input: 16, output: 12, contents: 5},
	{path: "/v1/responses", streamed: true, usage: exact, recorded: "responses-stream-tool", input: 185, output: 40, contents: 1},
	{path: "/v1/responses", streamed: true, usage: estimated, recorded: "kill-engine-responses-stream", contents: 42},
	{path: "/v1/messages", usage: exact, recorded: "messages", input: 15, output: 12},
	{path: "/v1/messages", streamed: true, usage: exact, recorded: "messages-stream", input: 15, output: 12, contents: 5},
	{path: "/v1/messages", streamed: true, usage: exact, recorded: "messages-stream-tool", input: 173, output: 40, contents: 6},
	{path: "/v1/messages", streamed: true, usage: exact, recorded: "messages-stream-cached", input: 335, output: 3, contents: 2},
	{path: "/v1/messages", streamed: true, usage: estimated, sample: "cut after two pieces of text", body: typed(textDelta("a"), textDelta("b")), contents: 2},
	{path: "/v1/messages/count_tokens", usage: exact, recorded: "messages-count-tokens", input: 15, output: -1},
	{path: "/cohere/v2/chat", usage: exact, recorded: "cohere-chat", input: 15, output: 12},
	{path: "/cohere/v2/chat", streamed: true, usage: exact, recorded: "cohere-chat-stream", input: 15, output: 12, contents: 4},
	{path: "/cohere/v2/chat", streamed: true, usage: exact, recorded: "cohere-chat-stream-tool", input: 173, output: 40, contents: 4},
	{path: "/cohere/v2/chat", streamed: true, usage: estimated, sample: "cut after two pieces of text", body: events(cohereStart, cohereText, cohereText), contents: 2},
	{path: "/v2/embed", usage: exact, recorded: "embed-cohere", input: 8, output: -1},
	{path: "/v1/embeddings", usage: exact, recorded: "embeddings", input: 15, output: -1},
	{path: "/v1/embeddings", usage: exact, recorded: "embeddings-base64", input: 4, output: -1},
	{path: "/v1/embeddings", usage: exact, recorded: "embeddings-bytes", input: 8, output: -1},
	{path: "/v1/embeddings", usage: none, recorded: "embeddings-bytes-only"},
	{path: "/inference/v1/generate", usage: exact, recorded: "generate", input: 3, output: 4},
	{path: "/inference/v1/generate", streamed: true, usage: exact, recorded: "generate-stream-usage", input: 3, output: 4, contents: 4},
	{path: "/inference/v1/generate", streamed: true, usage: estimated, recorded: "generate-stream", contents: 4},
	{path: "/inference/v1/generate", streamed: true, usage: estimated, recorded: "generate-n2-stream", contents: 8},
	{path: "/invocations", usage: exact, recorded: "invocations", input: 15, output: 3},
	{path: "/invocations", usage: exact, recorded: "invocations-completion", input: 2, output: 3},
	{path: "/invocations", usage: exact, recorded: "invocations-embeddings", input: 4, output: -1},
	{path: "/invocations", usage: exact, recorded: "invocations-rerank", input: 6, output: -1},
	{path: "/invocations", usage: exact, recorded: "invocations-score", input: 6, output: -1},
	{path: "/invocations", streamed: true, usage: exact, recorded: "invocations-stream", input: 15, output: 4, contents: 3},
	{path: "/invocations", streamed: true, usage: estimated, sample: "a completion without usage", body: events(`{"choices":[{"index":0,"text":"a"}]}`, `{"choices":[{"index":0,"text":"b","finish_reason":"stop"}]}`, doneEvent), contents: 2},
	{path: "/pooling", usage: exact, recorded: "pooling-classify", input: 4, output: -1},
	{path: "/pooling", usage: exact, recorded: "pooling-bytes", input: 4, output: -1},
	{path: "/classify", usage: exact, recorded: "classify", input: 8, output: -1},
	{path: "/score", usage: exact, recorded: "score", input: 8, output: -1},
	{path: "/v1/score", usage: exact, recorded: "score-v1", input: 6, output: -1},
	{path: "/generative_scoring", usage: exact, recorded: "generative-scoring", input: 10, output: -1},
	{path: "/rerank", usage: exact, recorded: "rerank-top-1", input: 6, output: -1},
	{path: "/v1/rerank", usage: exact, recorded: "rerank", input: 8, output: -1},
	{path: "/v2/rerank", usage: exact, recorded: "rerank-v2", input: 6, output: -1},
	{path: "/tokenize", usage: none, recorded: "tokenize"},
	{path: "/detokenize", usage: none, recorded: "detokenize"},
	{path: "/v1/audio/transcriptions", usage: none, sample: "seconds of sound are no tokens", body: `{"text":"word","usage":{"type":"duration","seconds":3}}`},
	{path: "/v1/audio/transcriptions", streamed: true, usage: exact, sample: "with stream_include_usage", body: events(audioDelta, `{"id":"trsc-1","model":"m","choices":[],"usage":{"prompt_tokens":9,"total_tokens":11,"completion_tokens":2}}`, doneEvent), input: 9, output: 2, contents: 1},
	{path: "/v1/audio/transcriptions", streamed: true, usage: estimated, sample: "without", body: events(audioDelta, audioDelta, doneEvent), contents: 2},
	{path: "/v1/audio/translations", usage: none, sample: "no usage", body: `{"text":"word"}`},
	{path: "/v1/audio/translations", streamed: true, usage: exact, sample: "with stream_include_usage", body: events(audioDelta, `{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}`, doneEvent), input: 9, output: 2, contents: 1},
	{path: "/v1/audio/translations", streamed: true, usage: estimated, sample: "without", body: events(audioDelta, doneEvent), contents: 1},
	{path: "/v1/realtime", streamed: true, usage: exact, sample: "two answers", says: []turn{
		engineSays(rtCreated), callerSays(rtCommit), callerSays(rtAppend), engineSays(rtDelta), engineSays(rtDone),
		callerSays(rtCommit), callerSays(rtAppend), engineSays(rtDelta), engineSays(rtDone), callerSays("bye"),
	}, input: 78, output: 24, contents: 2},
	{path: "/v1/realtime", streamed: true, usage: estimated, sample: "an answer cut off", says: []turn{engineSays(rtCreated), callerSays(rtCommit), callerSays(rtAppend), engineSays(rtDelta), engineSays(rtDelta)}, contents: 2},
	{path: "/v1/realtime", streamed: true, usage: none, sample: "nothing asked", says: []turn{engineSays(rtCreated), callerSays("bye")}},
}

func (r *row) name() string {
	how, from := "not streamed", "real vLLM 0.32.0, "+r.recorded
	if r.streamed {
		how = "streamed"
	}
	if r.recorded == "" {
		from = "sample, " + r.sample
	}
	return fmt.Sprintf("%s: %s, %s, %s", strings.Trim(r.path, "/"), how, r.usage, from)
}

func (r *row) read(t *testing.T, n int) Facts {
	t.Helper()
	switch {
	case r.says != nil:
		reader, _ := talk(n, r.says...)
		return *reader.Facts()
	case r.recorded == "":
		h := http.Header{"Content-Type": {"application/json"}}
		if r.streamed {
			h = eventStream
		}
		_, f := answerOf(r.path, http.StatusOK, h, cuts([]byte(r.body), n)...)
		return f
	}
	rec := record(t, r.recorded)
	if rec.path != r.path {
		t.Fatalf("the recording %s is of %s", r.recorded, rec.path)
	}
	_, f := answerOf(rec.path, rec.status, rec.header, cuts(rec.body, n)...)
	return f
}

// TestTable prints with -v what is known of which answer.
func TestTable(t *testing.T) {
	for _, r := range table {
		t.Run(r.name(), func(t *testing.T) {
			for _, n := range []int{0, 1, 64} {
				f := r.read(t, n)
				got := none
				switch u := f.Usage; {
				case u.Input.Known || u.Output.Known:
					got = exact
				case f.Contents > 0:
					got = estimated
				}
				input, output := Int{}, Int{}
				if r.usage == exact {
					input, output = known(r.input), known(r.output)
					if r.output < 0 {
						output = Int{}
					}
				}
				if got != r.usage || f.Usage.Input != input || f.Usage.Output != output || f.Contents != r.contents || f.Streamed != r.streamed {
					t.Errorf("in pieces of %d bytes: got %s: %+v, %d contents, streamed %v; want %d in, %d out, %d contents", n, got, f.Usage, f.Contents, f.Streamed, r.input, r.output, r.contents)
				}
			}
		})
	}
}

// TestTableIsComplete finds a row for each endpoint, and for each that streams one with and one without counts.
func TestTableIsComplete(t *testing.T) {
	streams := map[string]bool{
		"/chat/completions": true, "/completions": true, "/v1/responses": true, "/v1/messages": true, "/inference/v1/generate": true,
		"/invocations": true, "/v1/audio/transcriptions": true, "/v1/audio/translations": true, "/v1/realtime": true, "/v2/chat": true,
	}
	have := map[string]bool{}
	for _, r := range table {
		e := endpointAt(r.path)
		have[fmt.Sprint(e.path, r.streamed, r.usage)], have[fmt.Sprint(e.path, r.streamed)] = true, true
	}
	for i := range endpoints {
		path := endpoints[i].path
		if !endpoints[i].Socket && !have[fmt.Sprint(path, false)] {
			t.Errorf("%s: no row for an answer in one piece", path)
		}
		if streams[path] && (!have[fmt.Sprint(path, true, exact)] || !have[fmt.Sprint(path, true, estimated)]) {
			t.Errorf("%s: no row for a stream with counts, or for one without", path)
		}
	}
}
