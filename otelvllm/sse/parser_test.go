package sse_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm/sse"
)

// TestAllocations feeds the same bytes again and again: once the buffers have their size, nothing
// is allocated.
func TestAllocations(t *testing.T) {
	token := string(tokenEvent)
	for name, pieces := range map[string][][]byte{
		"a whole event":           {tokenEvent},
		"a whole event with CRLF": {[]byte(strings.ReplaceAll(token, "\n", "\r\n"))},
		"a named event":           {[]byte("event: response.output_text.delta\n" + token)},
		"an event with an ID":     {[]byte("id: 4711\n" + token)},
		"two data lines":          {[]byte("data: x\n" + token)},
		"a comment":               {[]byte(": keep-alive\n\n")},
		"a retry":                 {[]byte("retry: 1000\n\n")},
		"a split event":           {tokenEvent[:100], tokenEvent[100:]},
		"a split named event":     {[]byte("event: respon"), []byte("se\nda"), tokenEvent[2:]},
		"an event bytewise":       bytewise([]byte("event: x\nid: 4711\n" + token)),
		"a junk line bytewise":    bytewise([]byte("{\"error\": \"this is not an event stream\"}\n\n")),
	} {
		p := sse.Parser{OnEvent: func(sse.Event) {}, OnComment: func() {}}
		allocs := testing.AllocsPerRun(100, func() {
			for _, piece := range pieces {
				p.Write(piece)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, allocs)
		}
	}
}

func TestWholeEventIsNotCopied(t *testing.T) {
	stream := []byte("event: x\ndata: payload\n\ndata: payload\n\n")
	events := 0
	p := sse.Parser{OnEvent: func(e sse.Event) {
		events++
		if i := bytes.Index(stream, e.Data); &e.Data[0] != &stream[i] && &e.Data[0] != &stream[bytes.LastIndex(stream, e.Data)] {
			t.Errorf("event %d: the data is a copy, want a part of the bytes written", events)
		}
		// Appending must not reach what follows in the caller's bytes.
		_ = append(e.Data, '!')
		_ = append(e.Type, '!')
	}}
	want := bytes.Clone(stream)
	p.Write(stream)
	if events != 2 || !bytes.Equal(stream, want) {
		t.Errorf("got %d events and %q, want 2 and %q", events, stream, want)
	}
}

func TestLargeBuffersDoNotOutliveTheirEvent(t *testing.T) {
	large := []byte("data: " + strings.Repeat("x", 200<<10) + "\n\n")
	var p sse.Parser
	_, held := memory(func() {
		p.Write(large[:150<<10])
		p.Write(large[150<<10:])
	})
	if held > 16<<10 {
		t.Errorf("got %d bytes held between events, want at most 16 KiB", held)
	}
	p.Write(nil)
}

func TestPanicOfOnEventLeavesTheParserUsable(t *testing.T) {
	var got []string
	p := sse.Parser{OnEvent: func(e sse.Event) {
		if string(e.Data) == "bad" {
			panic("from OnEvent")
		}
		got = append(got, string(e.Type)+":"+string(e.Data))
	}}
	func() {
		defer func() {
			if v := recover(); v != "from OnEvent" {
				t.Errorf("got panic %v, want the one of OnEvent", v)
			}
		}()
		p.Write([]byte("event: x\ndata: bad\n\n"))
	}()
	p.Write([]byte("data: good\n\n"))
	if len(got) != 1 || got[0] != ":good" {
		t.Errorf("got %q, want the second event alone, without the first one's type", got)
	}
}

func TestPanicOfOnCommentLosesNothingOfTheEvent(t *testing.T) {
	var got string
	p := sse.Parser{
		OnEvent:   func(e sse.Event) { got = string(e.Type) + ":" + string(e.Data) },
		OnComment: func() { panic("from OnComment") },
	}
	b := []byte("event: x\ndata: a\n: ping\n")
	func() {
		defer func() { _ = recover() }()
		p.Write(b)
	}()
	clear(b) // as a reader does that uses its buffer again
	p.Write([]byte("\n"))
	if got != "x:a" {
		t.Errorf("got %q, want x:a", got)
	}
}

func TestResetFromOnEventStartsANewStream(t *testing.T) {
	var got []string
	var p sse.Parser
	p.OnEvent = func(e sse.Event) {
		got = append(got, string(e.Data))
		p.Reset()
	}
	p.Write([]byte("id: 1\ndata: a\n\ndata: b\n\ndata: c"))
	p.Reset()
	p.Write([]byte("\uFEFFdata: d\n\n"))
	if strings.Join(got, " ") != "a b d" || p.LastEventID() != "" {
		t.Errorf("got %q and ID %q, want a, b, d and no ID", got, p.LastEventID())
	}
}

// TestRecordedStreams feeds what a real vLLM sent, in the pieces in which it came.
func TestRecordedStreams(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(sharedTestdata, "vllm-live", "*.http"))
	if len(files) == 0 {
		t.Skip("the recordings of a real vLLM are not here")
	}
	streams := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		header, body, _ := bytes.Cut(text, []byte("\r\n\r\n"))
		if !bytes.Contains(bytes.ToLower(header), []byte("content-type: text/event-stream")) {
			continue
		}
		streams++
		pieces := recordedPieces(t, strings.TrimSuffix(file, ".http")+".timing", body)
		events := 0
		p := sse.Parser{OnEvent: func(e sse.Event) {
			if events++; string(e.Data) != "[DONE]" && !json.Valid(e.Data) {
				t.Errorf("%s: event %d is not JSON: %q", filepath.Base(file), events, e.Data)
			}
		}}
		for _, piece := range pieces {
			p.Write(piece)
		}
		if want := bytes.Count(body, []byte("data: ")); events != want || p.Pending() {
			t.Errorf("%s: got %d events, pending %v, want %d, false", filepath.Base(file), events, p.Pending(), want)
		}
		whole, pieced := parse(new(sse.Parser), body), parse(new(sse.Parser), pieces...)
		expectSame(t, filepath.Base(file), pieced, whole)
	}
	if streams == 0 {
		t.Error("got no event stream among the recordings, want some")
	}
}

// recordedPieces cuts body where the chunks of a recording ended: its lines are the time, the size
// and the kind of each.
func recordedPieces(t *testing.T, file string, body []byte) [][]byte {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Logf("no chunk sizes: %v", err)
		return [][]byte{body}
	}
	var pieces [][]byte
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 3 && words[2] == "chunk" {
			size, err := strconv.Atoi(words[1])
			if err != nil || size > len(body) {
				t.Fatalf("%s: bad line %q", file, line)
			}
			pieces, body = append(pieces, body[:size]), body[size:]
		}
	}
	return append(pieces, body)
}
