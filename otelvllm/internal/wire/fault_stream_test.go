package wire

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"unicode/utf8"
)

func TestFault_B08_WithoutDoneTheStreamIsNotDone(t *testing.T) {
	if _, f := stream(chatPath, events(contentEvent("a"), finishEvent)); f.Done || !reflect.DeepEqual(f.FinishReasons, []string{"stop"}) {
		t.Errorf("got done %t and %q, want not done and a reason", f.Done, f.FinishReasons)
	}
	if _, f := stream(chatPath, events(contentEvent("a"))); f.Done || !reflect.DeepEqual(f.FinishReasons, []string{""}) {
		t.Errorf("got done %t and %q, want not done and a choice without a reason", f.Done, f.FinishReasons)
	}
}

func TestFault_B09_WhatComesAfterDoneIsIgnored(t *testing.T) {
	body := events(contentEvent("a"), doneEvent)
	wantSeen, want := stream(chatPath, body)
	late := events(contentEvent("a"), contentEvent("b"), usageEvent, `{"error":{"code":1}}`, `{`, doneEvent)
	for _, done := range []string{"data: [DONE]\n\n", "data:[DONE]\n\n", "data:  [DONE] \r\n\r\n"} {
		body := strings.Replace(body, "data: [DONE]\n\n", done, 1)
		for _, pieces := range [][][]byte{{[]byte(body + late)}, {[]byte(body), []byte(late)}} {
			if seen, got := answerOf(chatPath, 200, eventStream, pieces...); seen != wantSeen || !reflect.DeepEqual(got, want) {
				t.Errorf("%q: got %+v %+v, want %+v %+v", done, seen, got, wantSeen, want)
			}
		}
	}
}

func TestFault_B10_AnEventTooLongIsCountedAndSkipped(t *testing.T) {
	for _, size := range []int{64<<10 + 1, 1<<20 + 1, 33 << 20} {
		seen, f := stream(chatPath, events(contentEvent("a"), contentEvent(strings.Repeat("x", size)), finishEvent, usageEvent, doneEvent))
		wantOver, wantContents := int64(1), 1
		if size < 256<<10 {
			wantOver, wantContents = 0, 2
		}
		if seen.Events != 4 || seen.Contents != wantContents || f.Oversize != wantOver || f.Usage.Output != known(198) || f.Invalid != 0 {
			t.Errorf("%d bytes: got %+v %+v", size, seen, f)
		}
	}
}

func TestFault_B11_AnEndlessLineNeedsNoMemory(t *testing.T) {
	for _, h := range []http.Header{eventStream, jsonBody} {
		r := Match("POST", chatPath).NewResponseReader()
		r.Header(200, h)
		r.Write([]byte(`data: {"id":"`))
		piece := bytes.Repeat([]byte("x"), 64<<10)
		for range 100 {
			r.Write(piece)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10_000 {
			r.Write(piece)
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<10 {
			t.Errorf("%v: 640 MB of one line took %d bytes of memory", h, grown)
		}
	}
}

func TestFault_B12_PiecesOfAnySizeGiveTheSame(t *testing.T) {
	head, chunks, tail := chatStream(50)
	body := slices.Concat(head, bytes.Join(chunks, nil), tail)
	wantSeen, want := answerOf(chatPath, 200, eventStream, body)
	if want.Contents != 50 {
		t.Fatalf("got %d contents, want 50", want.Contents)
	}
	same := func(sizes []uint8) bool {
		pieces, rest := [][]byte{nil}, body
		for _, n := range sizes {
			k := min(int(n), len(rest))
			pieces, rest = append(pieces, rest[:k]), rest[k:]
		}
		seen, got := answerOf(chatPath, 200, eventStream, append(pieces, rest)...)
		return seen == wantSeen && reflect.DeepEqual(got, want)
	}
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
}

func TestFault_B13_SeveralEventsInOneWriteAreCounted(t *testing.T) {
	r := Match("POST", chatPath).NewResponseReader()
	r.Header(200, eventStream)
	r.Write([]byte(events(contentEvent("a"))))
	if got := r.Write([]byte(events(contentEvent("b"), contentEvent("c"), finishEvent))); got != (Seen{Events: 3, Contents: 2}) {
		t.Errorf("got %+v, want 3 events, 2 of them with content", got)
	}
}

func TestFault_B14_AnErrorEventThenDoneIsAnError(t *testing.T) {
	_, f := stream(chatPath, events(contentEvent("a"), `{"error": {"message": "secret", "type": "InternalServerError", "code": 500}}`, doneEvent))
	if f.Err == nil || f.Err.Code != "500" || !f.Done {
		t.Errorf("got %+v, want the error 500 and done", f)
	}
}

func TestFault_B15_AnEventOfTypeErrorIsAnError(t *testing.T) {
	for data, want := range map[string]string{
		`{"type":"error","error":{"type":"internal_error","message":"secret"}}`: "internal_error",
		`{"code":"overloaded"}`: "overloaded",
		`2 validation errors`:   engineError,
		`{"code":"x"`:           engineError,
	} {
		_, f := stream(chatPath, "event: error\ndata: "+data+"\n\n")
		if f.Err == nil || f.Err.Code != want {
			t.Errorf("%s: got %+v, want %q", data, f.Err, want)
		}
	}
}

func TestFault_B16_B18_EncodedAnswersAreNotRead(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprint(z, events(contentEvent("a"), usageEvent))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for coding, opaque := range map[string]bool{
		"gzip": true, "br": true, "zstd": true, "deflate": true, "gzip, identity": true, "x-unknown": true, "identity": false, "Identity, identity": false, "": false,
	} {
		for _, h := range []http.Header{eventStream, jsonBody} {
			h = h.Clone()
			h.Set("Content-Encoding", coding)
			for _, body := range [][]byte{packed.Bytes(), packed.Bytes()[:20], []byte(usageEvent)} {
				seen, f := answerOf(chatPath, 200, h, body)
				if f.Opaque != opaque || opaque && (seen != Seen{} || f.Invalid != 0 || f.Usage != Usage{}) {
					t.Errorf("%q: got %+v, want opaque %t and nothing else", coding, f, opaque)
				}
			}
		}
	}
}

func TestFault_B19_TheTypeDecidesNotTheBytes(t *testing.T) {
	for name, c := range map[string]struct {
		contentType, body string
		want              Facts
	}{
		"JSON as a stream":       {"text/event-stream", usageEvent, Facts{Streamed: true}},
		"a stream as JSON":       {"application/json", events(usageEvent), Facts{Invalid: 1}},
		"lines of JSON":          {"application/x-ndjson", usageEvent + "\n" + usageEvent, Facts{Opaque: true}},
		"an HTML page":           {"text/html", "<h1>502</h1>", Facts{Opaque: true}},
		"no type":                {"", usageEvent, Facts{Opaque: true}},
		"a stream in capitals":   {"Text/Event-Stream ; charset=UTF-8", events(doneEvent), Facts{Streamed: true, Done: true}},
		"a bad parameter":        {"text/event-stream; charset", events(doneEvent), Facts{Streamed: true, Done: true}},
		"nearly a stream":        {"text/event-stream-v2", events(doneEvent), Facts{Opaque: true}},
		"another kind of JSON":   {"application/problem+json", `{"model":"m"}`, Facts{Model: "m"}},
		"JSON with a charset":    {"APPLICATION/JSON;charset=utf-8", `{"model":"m"}`, Facts{Model: "m"}},
		"an empty body":          {"application/json", "", Facts{}},
		"a page said to be JSON": {"application/json", "<h1>502</h1>", Facts{Invalid: 1}},
	} {
		h := http.Header{}
		if c.contentType != "" {
			h.Set("Content-Type", c.contentType)
		}
		if _, got := answerOf(chatPath, 200, h, []byte(c.body)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestFault_B20_NoiseGivesValidUTF8OrNothing(t *testing.T) {
	check := func(noise []byte) bool {
		body := slices.Concat([]byte("data: "), noise, []byte("\n\ndata: {\"id\":\""), noise, []byte("\",\"choices\":[{\"finish_reason\":\""), noise, []byte("\"}]}\n\n"))
		_, f := answerOf(chatPath, 200, eventStream, body)
		ok := utf8.ValidString(f.ID) && utf8.ValidString(f.Model)
		for _, reason := range f.FinishReasons {
			ok = ok && utf8.ValidString(reason)
		}
		return ok
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
	_, f := stream(chatPath, "data: {\"id\":\"a\xffb\\ud800\"}\n\n")
	if want := "a\uFFFDb\uFFFD"; f.ID != want {
		t.Errorf("got %q, want %q", f.ID, want)
	}
}

func TestFault_B21_HostileChoicesNeedNoMemory(t *testing.T) {
	var b strings.Builder
	b.WriteString(`data: {"choices":[`)
	for i := range 5000 {
		fmt.Fprintf(&b, `{"index":%d,"finish_reason":"stop"},`, i*1_000_000)
	}
	b.WriteString(`{"index":-1}]}` + "\n\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "data: {\"choices\":[{\"index\":%d,\"finish_reason\":\"stop\"}]}\n\n", i*7)
	}
	_, f := stream(chatPath, b.String())
	if len(f.FinishReasons) != maxChoices || f.FinishReasons[maxChoices-1] != "stop" {
		t.Errorf("got %d reasons, want %d", len(f.FinishReasons), maxChoices)
	}
}

func TestFault_B22_TheFirstContentIsNotTheRole(t *testing.T) {
	rec := record(t, "chat-stream-usage")
	r := Match("POST", rec.path).NewResponseReader()
	r.Header(rec.status, rec.header)
	var got []Seen
	for event := range bytes.SplitAfterSeq(rec.body, []byte("\n\n")) {
		got = append(got, r.Write(event))
	}
	if got[0] != (Seen{Events: 1}) || got[1] != (Seen{Events: 1, Contents: 1}) {
		t.Errorf("got %+v, then %+v; want an event, then one with content", got[0], got[1])
	}
}

func TestFault_B23_TheUsageEventHasNoChoices(t *testing.T) {
	for name, want := range map[string]int64{"chat-stream-usage": 12, "completion-stream-usage": 12, "chat-stream-n2": 10} {
		rec := record(t, name)
		if _, f := answerOf(rec.path, rec.status, rec.header, rec.body); f.Usage.Output != known(want) {
			t.Errorf("%s: got %+v, want %d", name, f.Usage.Output, want)
		}
	}
}

func TestFault_B24_TheLastValidUsageWins(t *testing.T) {
	usage := func(u string) string { return `{"choices":[],"usage":` + u + `}` }
	for name, c := range map[string]struct {
		events []string
		want   Usage
	}{
		"on every chunk":    {[]string{usage(`{"prompt_tokens":5,"completion_tokens":1}`), usage(`{"prompt_tokens":5,"completion_tokens":2}`)}, Usage{Input: known(5), Output: known(2)}},
		"twice the same":    {[]string{usageEvent, usageEvent}, Usage{Input: known(15), Output: known(198), Cached: known(512)}},
		"decreasing":        {[]string{usage(`{"completion_tokens":9}`), usage(`{"completion_tokens":3}`)}, Usage{Output: known(3)}},
		"then null":         {[]string{usage(`{"completion_tokens":9}`), usage(`null`)}, Usage{Output: known(9)}},
		"then invalid":      {[]string{usage(`{"completion_tokens":9}`), usage(`{"completion_tokens":"12"}`)}, Usage{Output: known(9)}},
		"then not JSON":     {[]string{usage(`{"completion_tokens":9}`), `{"usage":{"completion_tokens":12}`}, Usage{Output: known(9)}},
		"then fewer fields": {[]string{usage(`{"prompt_tokens":5,"completion_tokens":1}`), usage(`{"completion_tokens":2}`)}, Usage{Input: known(5), Output: known(2)}},
		"zero":              {[]string{usage(`{"prompt_tokens":5,"completion_tokens":0}`)}, Usage{Input: known(5), Output: known(0)}},
	} {
		if _, f := stream(chatPath, events(c.events...)); f.Usage != c.want {
			t.Errorf("%s: got %+v, want %+v", name, f.Usage, c.want)
		}
	}
}

func TestFault_B25_WithoutUsageNothingIsKnown(t *testing.T) {
	rec := record(t, "chat-stream")
	_, f := answerOf(rec.path, rec.status, rec.header, rec.body)
	if f.Usage != (Usage{}) || f.Contents != 7 {
		t.Errorf("got %+v and %d contents, want no usage and 7", f.Usage, f.Contents)
	}
}

func TestFault_B26_EachEndpointHasItsOwnFields(t *testing.T) {
	body := `{"usage":{"prompt_tokens":4,"completion_tokens":9},"choices":[{"index":0,"text":"a","delta":{"content":"b"},"finish_reason":"stop"}]}`
	if _, f := answerOf(embeddingPath, 200, jsonBody, []byte(body)); f.Usage != (Usage{Input: known(4)}) || f.FinishReasons != nil {
		t.Errorf("embeddings: got %+v, want input tokens alone", f)
	}
	if _, f := stream(completionPath, events(`{"choices":[{"delta":{"content":"b"}}]}`)); f.Contents != 0 {
		t.Errorf("a chat's delta in a completion: got %d contents, want 0", f.Contents)
	}
	if _, f := stream(chatPath, events(`{"choices":[{"text":"b"}]}`)); f.Contents != 0 {
		t.Errorf("a completion's text in a chat: got %d contents, want 0", f.Contents)
	}
}

func TestFault_B27_TheAnswerDecidesWhetherItIsAStream(t *testing.T) {
	for name, streamed := range map[string]bool{"err-503-queue-chat-stream": false, "err-no-model-stream": false, "chat-stream": true} {
		rec := record(t, name)
		if !requestOf(rec.path, rec.request).Stream {
			t.Errorf("%s: the request asks for no stream", name)
		}
		if _, f := answerOf(rec.path, rec.status, rec.header, rec.body); f.Streamed != streamed || streamed == (f.Err != nil) {
			t.Errorf("%s: got %+v, want streamed %t", name, f, streamed)
		}
	}
}

func TestFault_B29_ACutStreamIsNotDone(t *testing.T) {
	body := events(contentEvent("a"), finishEvent, usageEvent, doneEvent)
	for cut := range len(body) - 1 {
		seen, f := stream(chatPath, body[:cut])
		if f.Done || f.Invalid != 0 || f.Oversize != 0 || seen.Events != strings.Count(body[:cut], "\n\n") {
			t.Fatalf("cut at %d: got %+v %+v", cut, seen, f)
		}
		if f.Usage.Output.Known && cut < len(body)-len(events(doneEvent)) {
			t.Fatalf("cut at %d: got %+v, before the usage event was complete", cut, f.Usage)
		}
	}
}

func TestKeepAlivesAreCountedApart(t *testing.T) {
	rec := record(t, "keepalive-wedge-stream")
	seen, f := answerOf(rec.path, rec.status, rec.header, rec.body)
	if seen.Comments != bytes.Count(rec.body, []byte(": keep-alive")) || seen.Comments == 0 {
		t.Errorf("got %d comments, want %d", seen.Comments, bytes.Count(rec.body, []byte(": keep-alive")))
	}
	if seen.Events != bytes.Count(rec.body, []byte("data: {")) || !f.Done {
		t.Errorf("got %d events, want %d", seen.Events, bytes.Count(rec.body, []byte("data: {")))
	}
}
