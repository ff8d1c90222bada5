package wire

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// TestSSECases reads one stream, 198 tokens of output and 512 cached ones, in the ways that streams come.
func TestSSECases(t *testing.T) {
	plain := events(contentEvent("a"), contentEvent("b"), finishEvent, usageEvent, doneEvent)
	continuous := func(data string, tokens int) string {
		return strings.TrimSuffix(data, "}") + fmt.Sprintf(`,"usage":{"prompt_tokens":15,"completion_tokens":%d}}`, tokens)
	}
	full := Usage{Input: known(15), Output: known(198), Cached: known(512)}
	for name, c := range map[string]struct {
		body   string
		pieces int // bytes of each; 0: one piece
		usage  Usage
		events int
	}{
		"01 one event at a time":              {body: plain, pieces: len(events(contentEvent("a"))), usage: full, events: 4},
		"02 all in one piece":                 {body: plain, usage: full, events: 4},
		"03 the usage event in two pieces":    {body: plain, pieces: strings.Index(plain, "completion_tokens") + 5, usage: full, events: 4},
		"04 in pieces of seven bytes":         {body: plain, pieces: 7, usage: full, events: 4},
		"05 lines end with CR LF":             {body: strings.ReplaceAll(plain, "\n", "\r\n"), usage: full, events: 4},
		"06 no space after data:":             {body: strings.ReplaceAll(plain, "data: ", "data:"), usage: full, events: 4},
		"07 usage last, no [DONE]":            {body: events(contentEvent("a"), finishEvent, usageEvent), usage: full, events: 3},
		"08 comments keep it alive":           {body: ": keep-alive\n\n" + strings.ReplaceAll(plain, "data: [", ": ping\n\ndata: ["), usage: full, events: 4},
		"09 an event of several lines":        {body: strings.ReplaceAll(plain, `,"model"`, ",\ndata: \"model\""), usage: full, events: 4},
		"10 an event of 2 MiB":                {body: events(contentEvent(strings.Repeat("x", 2<<20))) + plain, usage: full, events: 5},
		"11 usage is null on every chunk":     {body: strings.ReplaceAll(plain, `"finish_reason":null}]`, `"finish_reason":null}],"usage":null`), usage: full, events: 4},
		"12 content that speaks of usage":     {body: events(contentEvent(`"usage":{"completion_tokens":7}`)) + plain, usage: full, events: 5},
		"13 usage on every chunk":             {body: events(continuous(contentEvent("a"), 1), continuous(contentEvent("b"), 2), finishEvent, usageEvent, doneEvent), usage: full, events: 4},
		"14 lines with event and id":          {body: strings.ReplaceAll(plain, "data: {", "event: chunk\nid: 7\ndata: {"), usage: full, events: 4},
		"15 lines end with CR":                {body: strings.ReplaceAll(plain, "\n", "\r"), usage: full, events: 4},
		"16 cut before usage, on every chunk": {body: events(continuous(contentEvent("a"), 1), continuous(contentEvent("b"), 10)), usage: Usage{Input: known(15), Output: known(10)}, events: 2},
	} {
		t.Run(name, func(t *testing.T) {
			seen, f := answerOf(chatPath, 200, eventStream, cuts([]byte(c.body), c.pieces)...)
			if f.Usage != c.usage || seen.Events != c.events || f.Invalid != 0 {
				t.Errorf("got %d events and %+v, want %d and %+v", seen.Events, f, c.events, c.usage)
			}
			if wantDone := strings.Contains(c.body, doneEvent); f.Done != wantDone {
				t.Errorf("got done %t, want %t", f.Done, wantDone)
			}
		})
	}
}

// TestWhatIsContent goes through the deltas of a chat and what of a completion counts.
func TestWhatIsContent(t *testing.T) {
	chat := func(delta string) string {
		return `{"choices":[{"index":0,"delta":` + delta + `,"finish_reason":null}]}`
	}
	for name, c := range map[string]struct {
		path, event string
		want        int
	}{
		"text":                               {chatPath, chat(`{"content":"a"}`), 1},
		"reasoning":                          {chatPath, chat(`{"reasoning":"a"}`), 1},
		"reasoning under its old name":       {chatPath, chat(`{"reasoning_content":"a"}`), 1},
		"reasoning under both names is one":  {chatPath, chat(`{"reasoning":"a","reasoning_content":"a"}`), 1},
		"a refusal":                          {chatPath, chat(`{"refusal":"no"}`), 1},
		"a tool call":                        {chatPath, chat(`{"tool_calls":[{"index":0,"function":{"name":"f"}}]}`), 1},
		"arguments of a tool call":           {chatPath, chat(`{"content":null,"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}`), 1},
		"a function call of the old form":    {chatPath, chat(`{"function_call":{"arguments":"{"}}`), 1},
		"sound":                              {chatPath, chat(`{"audio":{"data":"UklG"}}`), 1},
		"what sound says":                    {chatPath, chat(`{"audio":{"transcript":"hello"}}`), 1},
		"a space":                            {chatPath, chat(`{"content":" "}`), 1},
		"two choices in one event":           {chatPath, `{"choices":[{"index":0,"delta":{}},{"index":1,"delta":{"content":"a"}}]}`, 1},
		"text beside a finish reason":        {chatPath, `{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}`, 1},
		"an escaped name":                    {chatPath, chat(`{"cont\u0065nt":"a"}`), 1},
		"a role alone":                       {chatPath, chat(`{"role":"assistant"}`), 0},
		"a role and empty text":              {chatPath, chat(`{"role":"assistant","content":""}`), 0},
		"null":                               {chatPath, chat(`{"content":null}`), 0},
		"no tool calls":                      {chatPath, chat(`{"tool_calls":[]}`), 0},
		"a number as text":                   {chatPath, chat(`{"content":7}`), 0},
		"logprobs alone":                     {chatPath, `{"choices":[{"index":0,"delta":{},"logprobs":{"content":[{"token":"a"}]}}]}`, 0},
		"text outside a delta":               {chatPath, `{"content":"a","choices":[{"content":"a"}]}`, 0},
		"a name in another case":             {chatPath, chat(`{"Content":"a"}`), 0},
		"text of which the last is empty":    {chatPath, chat(`{"content":"a","content":""}`), 0},
		"a delta of which the last is null":  {chatPath, `{"choices":[{"delta":{"content":"a"},"delta":null}]}`, 0},
		"choices of which the last is empty": {chatPath, `{"choices":[{"delta":{"content":"a"}}],"choices":[]}`, 0},
		"a delta that is no object":          {chatPath, chat(`["content","a"]`), 0},
		"a completion's text":                {completionPath, `{"choices":[{"index":0,"text":"a"}]}`, 1},
		"a completion's empty text":          {completionPath, `{"choices":[{"index":0,"text":""}]}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			seen, f := stream(c.path, events(c.event, c.event))
			if seen.Events != 2 || seen.Contents != 2*c.want || f.Contents != int64(2*c.want) {
				t.Errorf("got %+v and %d contents, want 2 events and %d contents", seen, f.Contents, 2*c.want)
			}
		})
	}
}

// TestFinishReasonsAreByChoice covers indexes out of order, absent and odd, and reasons that come late or never.
func TestFinishReasonsAreByChoice(t *testing.T) {
	choice := func(index, reason string) string {
		return `{"choices":[{` + index + `"delta":{"content":"a"},"finish_reason":` + reason + `}]}`
	}
	for name, c := range map[string]struct {
		events []string
		want   []string
	}{
		"one":                      {[]string{choice(`"index":0,`, `"stop"`)}, []string{"stop"}},
		"two, the second first":    {[]string{choice(`"index":1,`, `"length"`), choice(`"index":0,`, `"stop"`)}, []string{"stop", "length"}},
		"the engine's own word":    {[]string{choice(`"index":0,`, `"repetition"`)}, []string{"repetition"}},
		"one never finishes":       {[]string{choice(`"index":0,`, `null`), choice(`"index":1,`, `"abort"`)}, []string{"", "abort"}},
		"null after the reason":    {[]string{choice(`"index":0,`, `"stop"`), choice(`"index":0,`, `null`)}, []string{"stop"}},
		"no index":                 {[]string{choice(``, `"stop"`)}, []string{"stop"}},
		"sparse indexes":           {[]string{choice(`"index":1000000000,`, `"stop"`), choice(`"index":-3,`, `"length"`)}, []string{"length", "stop"}},
		"an index that is a word":  {[]string{choice(`"index":"x",`, `"stop"`)}, []string{"stop"}},
		"a reason that is no word": {[]string{choice(`"index":0,`, `7`)}, []string{""}},
		"two in one event":         {[]string{`{"choices":[{"finish_reason":"stop","index":1},{"finish_reason":"length","index":0}]}`}, []string{"length", "stop"}},
		"no choices":               {[]string{usageEvent}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, f := stream(chatPath, events(c.events...)); !reflect.DeepEqual(f.FinishReasons, c.want) {
				t.Errorf("got %q, want %q", f.FinishReasons, c.want)
			}
		})
	}
}

// TestErrorsOfEveryVersion reads the forms in which vLLM told errors, old and new, and its server in Rust.
func TestErrorsOfEveryVersion(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"since 0.10.1":              {404, `{"error":{"message":"no","type":"NotFoundError","param":"model","code":404}}`, "404"},
		"up to 0.10.0":              {400, `{"object":"error","message":"no","type":"BadRequestError","param":null,"code":400}`, "400"},
		"from the server in Rust":   {404, `{"error":{"message":"no","type":"invalid_request_error","code":"model_not_found"}}`, "model_not_found"},
		"a type alone":              {500, `{"error":{"message":"no","type":"InternalServerError","code":null}}`, "InternalServerError"},
		"an empty code":             {500, `{"error":{"type":"InternalServerError","code":""}}`, "InternalServerError"},
		"no route":                  {404, `{"detail":"Not Found"}`, engineError},
		"no key":                    {401, `{"error":"Unauthorized"}`, engineError},
		"in Anthropic's style":      {400, `{"type":"error","error":{"type":"BadRequestError","message":"no"}}`, "BadRequestError"},
		"in Cohere's style":         {400, `{"message":"no","id":"1"}`, engineError},
		"an error with status 200":  {200, `{"error":{"code":500}}`, "500"},
		"a flat error with 200":     {200, `{"object":"error","type":"InternalServerError","code":500}`, "500"},
		"null is none":              {200, `{"error":null,"object":"chat.completion"}`, ""},
		"null with an error status": {500, `{"error":null}`, engineError},
	} {
		t.Run(name, func(t *testing.T) {
			_, f := answerOf(chatPath, c.status, jsonBody, []byte(c.body))
			got := ""
			if f.Err != nil {
				got = f.Err.Code
			}
			if got != c.want || f.Invalid != 0 {
				t.Errorf("got %q and %d invalid, want %q", got, f.Invalid, c.want)
			}
		})
	}
}

func TestAnErrorStatusTellsOnlyTheError(t *testing.T) {
	body := `{"id":"x","model":"m","usage":{"prompt_tokens":5},"choices":[{"finish_reason":"stop"}],"code":"busy"}`
	for _, h := range []http.Header{jsonBody, eventStream} {
		text := body
		if h.Get("Content-Type") != "application/json" {
			text = events(body, body)
		}
		_, f := answerOf(chatPath, 503, h, []byte(text))
		want := Facts{Streamed: h.Get("Content-Type") != "application/json", Err: &Error{"busy"}}
		if !reflect.DeepEqual(f, want) {
			t.Errorf("%v: got %+v, want %+v", h, f, want)
		}
	}
}

func TestABodyTellsItsFactsBeforeItsEnd(t *testing.T) {
	r := Match("POST", chatPath).NewResponseReader()
	r.Header(200, jsonBody)
	r.Write([]byte(`{"id":"x","usage":{"prompt_tokens":5}`))
	if f := r.Facts(); f.ID != "" || f.Usage.Input.Known {
		t.Errorf("before the last bracket: got %+v, want nothing", f)
	}
	r.Write([]byte(`}`))
	if f := r.Facts(); f.ID != "x" || f.Usage.Input != known(5) {
		t.Errorf("after the last bracket: got %+v, want the id and 5 tokens", f)
	}
	r.Write([]byte("\n"))
	if f := r.Facts(); f.Usage.Input != known(5) {
		t.Errorf("after white space: got %+v, want 5 tokens", f)
	}
	r.Write([]byte(`x`))
	r.End()
	if f := r.Facts(); f.ID != "" || f.Usage.Input.Known || f.Invalid != 1 {
		t.Errorf("after a stray byte: got %+v, want nothing but one invalid", f)
	}
}

func TestMatchKnowsEndpointsByTheEndOfTheirPath(t *testing.T) {
	for _, c := range []struct{ method, path, want string }{
		{"POST", "/v1/chat/completions", "chat"},
		{"POST", "/team/a/v1/chat/completions", "chat"},
		{"POST", "/v1/completions", "text_completion"},
		{"POST", "/v1/chat/completions/batch", "chat"},
		{"POST", "/v1/embeddings", "embeddings"},
		{"POST", "/v1/responses", "chat"},
		{"POST", "/team/a/v1/messages", "chat"},
		{"POST", "/v1/messages/count_tokens", "count_tokens"},
		{"POST", "/inference/v1/generate", "text_completion"},
		{"POST", "/invocations", "invocation"},
		{"POST", "/v1/audio/transcriptions", "transcription"},
		{"POST", "/v1/audio/translations", "translation"},
		{"POST", "/cohere/v2/chat", "chat"},
		{"POST", "/v2/chat", "chat"},
		{"POST", "/v2/embed", "embeddings"},
		{"POST", "/pooling", "pooling"},
		{"POST", "/classify", "classify"},
		{"POST", "/score", "score"},
		{"POST", "/v1/score", "score"},
		{"POST", "/generative_scoring", "score"},
		{"POST", "/rerank", "rerank"},
		{"POST", "/team/a/v1/rerank", "rerank"},
		{"POST", "/v2/rerank", "rerank"},
		{"POST", "/tokenize", "tokenize"},
		{"POST", "/detokenize", "detokenize"},
		{"GET", "/v1/responses/resp_1", ""},
		{"POST", "/v1/responses/resp_1/cancel", ""},
		{"POST", "/v1/responses/render", ""},
		{"GET", "/v1/realtime", "realtime"},
		{"GET", "/team/a/v1/realtime", "realtime"},
		{"POST", "/v1/realtime", ""},
		{"POST", "/game/score", ""}, // another server's
		{"POST", "/rooms/7/messages", ""},
		{"POST", "/v1/load_lora_adapter", ""},
		{"POST", "/pause", ""},
		{"GET", "/v1/chat/completions", ""},
		{"POST", "/v1/chat/completions/render", ""},
		{"POST", "/v1/chat/completions/", ""},
		{"POST", "/v1/models", ""},
		{"POST", "/v1/mycompletions", ""},
		{"POST", "", ""},
	} {
		got := ""
		if e := Match(c.method, c.path); e != nil {
			got = e.Operation
		}
		if got != c.want {
			t.Errorf("%s %s: got %q, want %q", c.method, c.path, got, c.want)
		}
	}
}

// FuzzResponse compares with encoding/json, and with itself when the answer comes in pieces.
func FuzzResponse(f *testing.F) {
	head, chunks, tail := chatStream(3)
	f.Add(bytes.Join([][]byte{head, bytes.Join(chunks, nil), tail}, nil), 40, true)
	f.Add([]byte(events(finishEvent, usageEvent, `{"error":{"code":500}}`, doneEvent, finishEvent)), 9, true)
	f.Add([]byte(events(contentEvent("a"), contentEvent(`b\"`), strings.Replace(contentEvent("c"), `"c","`, `"d","`, 1))), 70, true)
	f.Add([]byte("event: error\r\ndata: {}\r\n\r\n: ping\r\n\r\n"), 15, true)
	f.Add([]byte(usageEvent), 9, false)
	f.Fuzz(func(t *testing.T, body []byte, cut int, streamed bool) {
		h := jsonBody
		if streamed {
			h = eventStream
		}
		seen, got := answerOf(chatPath, 200, h, body)
		cut = min(max(cut, 0), len(body))
		for _, pieces := range [][][]byte{{body[:cut], body[cut:]}, cuts(body, 1)} {
			if s, again := answerOf(chatPath, 200, h, pieces...); s != seen || !reflect.DeepEqual(again, got) {
				t.Fatalf("%q in pieces: got %+v %+v, want %+v %+v", body, s, again, seen, got)
			}
		}
		if tooDeep(body) || mayBeCut(body) {
			return
		}
		var wantSeen Seen
		want := referenceBody(chatPath, body)
		if streamed {
			wantSeen, want = referenceStream(chatPath, body)
		}
		if seen != wantSeen || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q:\n got %+v %+v\nwant %+v %+v", body, seen, got, wantSeen, want)
		}
	})
}

// mayBeCut reports whether a string or a number may be too long to be kept whole.
func mayBeCut(body []byte) bool {
	for part := range bytes.SplitSeq(body, []byte{'"'}) {
		if len(part) > maxRaw {
			return true
		}
	}
	return bytes.ContainsRune(body, '\\') && len(body) > maxRaw
}
