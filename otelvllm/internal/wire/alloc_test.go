package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestContentEventsNeedNoMemory counts allocations once a stream is under way, for events that are known by their
// shape, for those that are not, and for events in pieces.
func TestContentEventsNeedNoMemory(t *testing.T) {
	head, chunks, _ := chatStream(20)
	reasoning := []byte(`data: {"id":"chatcmpl-9131ccc27705d291","choices":[{"index":0,"delta":{"reasoning":"a","reasoning_content":"a"},"finish_reason":null}]}` + "\n\n")
	withUsage := []byte(strings.Replace(string(chunks[0]), "]}\n", `],"usage":{"prompt_tokens":5,"completion_tokens":1}}`+"\n", 1))
	for name, pieces := range map[string][][]byte{
		"one event at a time": chunks,
		"all at once":         {bytes.Join(chunks, nil)},
		"in pieces":           cuts(bytes.Join(chunks, nil), 100),
		"without a shape":     {reasoning, withUsage},
		"comments":            {[]byte(": keep-alive\n\n")},
	} {
		r := Match("POST", chatPath).NewResponseReader()
		r.Header(200, eventStream)
		r.Write(head)
		r.Write(chunks[0])
		run := func() {
			for _, p := range pieces {
				r.Write(p)
			}
		}
		for range maxMisses {
			run()
		}
		before := r.Facts().Contents
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, n)
		}
		if name != "comments" && r.Facts().Contents == before {
			t.Errorf("%s: got no content", name)
		}
	}
}

func TestARestorerNeedsNoMemoryForContentEvents(t *testing.T) {
	head, chunks, _ := chatStream(20)
	var r Restorer
	buf := make([]byte, 4096)
	r.Write(slices.Concat(head, chunks[0]))
	n := testing.AllocsPerRun(100, func() {
		for _, p := range chunks {
			r.Write(p)
			if r.Read(buf) == 0 {
				t.Fatal("a content event did not pass at once")
			}
		}
		for r.Read(buf) > 0 {
		}
	})
	if n != 0 {
		t.Errorf("got %v allocations for 20 events, want 0", n)
	}
}

func TestALargeBodyNeedsNoMemory(t *testing.T) {
	r := Match("POST", embeddingPath).NewResponseReader()
	r.Header(200, jsonBody)
	r.Write([]byte(`{"data":[{"embedding":[0`))
	piece := []byte(strings.Repeat(",-0.0234375,1.5e-07", 2000))
	if n := testing.AllocsPerRun(1000, func() { r.Write(piece) }); n != 0 {
		t.Errorf("got %v allocations for 38 kB of numbers, want 0", n)
	}
	r.Write([]byte(`]}],"usage":{"prompt_tokens":4}}`))
	if f := r.Facts(); f.Usage.Input != known(4) {
		t.Errorf("got %+v, want 4 tokens", f.Usage)
	}
}
