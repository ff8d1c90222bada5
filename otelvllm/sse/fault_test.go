package sse_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/sse"
)

// expect parses stream whole and byte by byte and compares the calls with want, in which an event
// without a type of its own is written as its data alone.
func expect(t *testing.T, stream string, want ...string) {
	t.Helper()
	for i, w := range want {
		if !strings.HasPrefix(w, "event ") && w != "comment" {
			want[i] = eventCall("message", w, "", false)
		}
	}
	for how, pieces := range map[string][][]byte{"whole": {[]byte(stream)}, "bytewise": bytewise([]byte(stream))} {
		var p sse.Parser
		if got := parse(&p, pieces...).Calls; !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%q %s: got\n%q, want\n%q", stream, how, got, want)
		}
	}
}

func TestFault_B01_CutAnywhere(t *testing.T) {
	for _, text := range streams {
		stream := []byte(text)
		want := reference(stream, sse.DefaultMaxData)
		var p sse.Parser
		check := func(pieces ...[]byte) {
			t.Helper()
			p.Reset()
			expectSame(t, fmt.Sprintf("%q cut to %q", stream, pieces), parse(&p, pieces...), want)
		}
		for limit := 1; limit <= 20; limit++ {
			short := sse.Parser{MaxData: limit}
			what, want := fmt.Sprintf("%q with a limit of %d", stream, limit), reference(stream, limit)
			expectSame(t, what, parse(&short, stream), want)
			short.Reset()
			expectSame(t, what+" bytewise", parse(&short, bytewise(stream)...), want)
		}
		check(stream)
		check(bytewise(stream)...)
		for i := range stream {
			check(stream[:i], stream[i:])
			for j := i; j < len(stream) && len(stream) < 100; j++ {
				check(stream[:i], stream[i:j], stream[j:])
			}
		}
	}
}

func TestFault_B02_LineEnds(t *testing.T) {
	for _, end := range []string{"\n", "\r\n", "\r"} {
		expect(t, strings.ReplaceAll("data: a|data: b||: x|data: c||", "|", end), "a\nb", "comment", "c")
	}
	expect(t, "data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\r\ndata: e\n\n", "a\nb\nc", "d", "e")

	// A CR is the end of its line at once; the LF of a CRLF that comes later is not one more line.
	var p sse.Parser
	if got := parse(&p, []byte("data: a\r\n\r")).Calls; len(got) != 1 {
		t.Errorf("blank line that ends in CR: got %q, want the event before the LF comes", got)
	}
	if got := parse(&p, []byte("\ndata: b\r"), []byte("\ndata: c\r"), []byte("\r")).Calls; len(got) != 1 || got[0] != eventCall("message", "b\nc", "", false) {
		t.Errorf("LF apart from its CR: got %q, want b and c in one event", got)
	}
}

func TestFault_B03_ByteOrderMark(t *testing.T) {
	expect(t, "\uFEFFdata: a\n\ndata: b\n\n", "a", "b")
	expect(t, "\uFEFF\uFEFFdata: a\n\ndata: b\n\n", "b")
	expect(t, "data: a\n\n\uFEFFdata: b\n\n", "a")
	expect(t, "\uFEFF\n\ndata: \uFEFFa\n\n", "\uFEFFa")
	expect(t, "\xEF\xBBdata: a\n\ndata: b\n\n", "b")
}

func TestFault_B04_CommentsAreNotEvents(t *testing.T) {
	expect(t, ": ping\n\n:\n\n:data: x\n\ndata: a\n: ping\ndata: b\n\n", "comment", "comment", "comment", "comment", "a\nb")
	expect(t, ": not ended")
	p := sse.Parser{OnEvent: func(e sse.Event) { t.Errorf("got event %q, want none", e.Data) }}
	p.Write([]byte(": ping\n\n: pi")) // no OnComment
	if p.Pending() {
		t.Error("got pending within a comment, want not: no event is cut")
	}
}

func TestFault_B05_OddFields(t *testing.T) {
	expect(t, "data\n\n", "")
	expect(t, "data:  two spaces\n\ndata:\ttab\n\ndata:none\n\n", " two spaces", "\ttab", "none")
	expect(t, "data: \x00\n\n", "\x00")
	expect(t, "dat: a\ndata2: a\n data: a\nDATA: a\ndata : a\nunknown\n\n")
	expect(t, "event: response.completed\ndata: a\n\ndata: b\n\nevent:\ndata: c\n\n",
		eventCall("response.completed", "a", "", false), "b", "c")
	expect(t, "event: error\n\ndata: a\n\n", "a")
	expect(t, "id: 7\ndata: a\n\ndata: b\n\nid: x\x00\ndata: c\n\nid\ndata: d\n\n",
		eventCall("message", "a", "7", false), eventCall("message", "b", "7", false), eventCall("message", "c", "7", false), "d")
}

func TestFault_B06_LinesOfOneJSONAreJoined(t *testing.T) {
	var got []byte
	p := sse.Parser{OnEvent: func(e sse.Event) { got = bytes.Clone(e.Data) }}
	p.Write([]byte("data: {\ndata:   \"a\": 1,\ndata:   \"b\": [2,\ndata: 3]}\n\n"))
	if want := "{\n  \"a\": 1,\n  \"b\": [2,\n3]}"; string(got) != want || !json.Valid(got) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFault_B07_StreamEndsInsideAnEvent(t *testing.T) {
	for _, c := range []struct {
		stream  string
		events  int
		pending bool
	}{
		{"", 0, false},
		{"\uFEFF", 0, false},
		{"data: a\n\n", 1, false},
		{"data: a\n\ndata: b", 1, true},
		{"data: a\n\ndata: b\n", 1, true},
		{"data: a\n\ndata: b\r", 1, true},
		{"data: a\n\ndata: b\r\r", 2, false},
		{"data: a\n\nd", 1, true},
		{"data: a\n\nevent: x\n", 1, true},
		{"data: a\n\n: ping\n: pi", 1, false},
		{"data: a\n\ndata: b\n: pi", 1, true},
	} {
		for how, pieces := range map[string][][]byte{"whole": {[]byte(c.stream)}, "bytewise": bytewise([]byte(c.stream))} {
			events := 0
			p := sse.Parser{OnEvent: func(sse.Event) { events++ }}
			for _, piece := range pieces {
				p.Write(piece)
			}
			if events != c.events || p.Pending() != c.pending {
				t.Errorf("%q %s: got %d events, pending %v, want %d, %v", c.stream, how, events, p.Pending(), c.events, c.pending)
			}
			if p.Reset(); p.Pending() {
				t.Errorf("%q %s: got pending after Reset, want not", c.stream, how)
			}
		}
	}
}

func TestFault_B09_EventsAfterDone(t *testing.T) {
	expect(t, "data:[DONE]\n\ndata: [DONE]\n\ndata: late\n\n", "[DONE]", "[DONE]", "late")
}

func TestFault_B10_LongEvents(t *testing.T) {
	const limit = 256 << 10
	for _, size := range []int{1, limit - 1, limit, limit + 1, 64<<10 + 1, 1<<20 + 1, 33 << 20} {
		stream := join("data: ", strings.Repeat("x", size), "\n\ndata: next\n\n")
		for how, pieces := range map[string][][]byte{
			"whole": {stream}, "in 32 KiB": cutEvery(stream, 32<<10), "in two": {stream[:len(stream)/2], stream[len(stream)/2:]},
		} {
			var lengths []int
			var cut []bool
			p := sse.Parser{OnEvent: func(e sse.Event) {
				lengths, cut = append(lengths, len(e.Data)), append(cut, e.Truncated)
			}}
			for _, piece := range pieces {
				p.Write(piece)
			}
			if want := []int{min(size, limit), 4}; !reflect.DeepEqual(lengths, want) {
				t.Errorf("%d bytes %s: got events of %d bytes, want %d", size, how, lengths, want)
			}
			if want := []bool{size > limit, false}; !reflect.DeepEqual(cut, want) {
				t.Errorf("%d bytes %s: got truncated %v, want %v", size, how, cut, want)
			}
		}
	}
}

func TestFault_B11_EndlessLine(t *testing.T) {
	const limit, total, piece = 64 << 10, 128 << 20, 1 << 20
	filler := bytes.Repeat([]byte("1"), piece)
	for _, begin := range []string{"data: ", "data: x\ndata: ", "event: ", "id: ", "retry: ", ": ", "unknown: ", ""} {
		p := sse.Parser{MaxData: limit}
		p.Write([]byte(begin))
		allocated, held := memory(func() {
			for range total / piece {
				p.Write(filler)
			}
		})
		// Doubling up to the limit allocates less than twice the limit in all. The rest is slack for
		// the test itself.
		if most := uint64(2*limit + 8<<10); allocated > most {
			t.Errorf("%q: got %d bytes allocated, want at most %d", begin, allocated, most)
		}
		if most := int64(limit + 8<<10); held > most {
			t.Errorf("%q: got %d bytes held, want at most %d", begin, held, most)
		}
		runtime.KeepAlive(&p)
	}
}

func TestFault_B12_WorkIsLinear(t *testing.T) {
	expect(t, strings.Repeat("data: x\n\n", 1000), strings.Split(strings.Repeat("x,", 1000), ",")[:1000]...)
	var p sse.Parser
	got := parse(&p, nil, []byte("data: a"), nil, []byte{}, []byte("\n"), nil, []byte("\n"), nil).Calls
	if len(got) != 1 {
		t.Errorf("empty writes: got %q, want one event", got)
	}

	// Four times the bytes may take about four times as long; quadratic work would take sixteen.
	kinds := map[string]func(size int) [][]byte{
		"one event bytewise":      func(n int) [][]byte { return bytewise(join("data: ", strings.Repeat("x", n), "\n\n")) },
		"lone CRs in one write":   func(n int) [][]byte { return [][]byte{bytes.Repeat([]byte("data\r\r"), n/4)} },
		"LFs in one write":        func(n int) [][]byte { return [][]byte{bytes.Repeat([]byte("data\n\n"), n/4)} },
		"empty lines in one":      func(n int) [][]byte { return [][]byte{bytes.Repeat([]byte("\n"), n)} },
		"data lines of one event": func(n int) [][]byte { return [][]byte{bytes.Repeat([]byte("data:x\n"), n/4)} },
	}
	for kind, pieces := range kinds {
		short, long := shortest(pieces(50_000)), shortest(pieces(200_000))
		if ratio := float64(long) / float64(short); ratio > 10 {
			t.Errorf("%s: got %.1f times the time for 4 times the bytes (%v, %v), want about 4", kind, ratio, short, long)
		}
	}
}

func TestFault_B13_SeveralEventsInOneWrite(t *testing.T) {
	expect(t, "data: {\"token_ids\":[1,2,3]}\n\ndata: b\n\nevent: x\ndata: c\n\ndata: d\n\n",
		"{\"token_ids\":[1,2,3]}", "b", eventCall("x", "c", "", false), "d")
}

func join(parts ...string) []byte { return []byte(strings.Join(parts, "")) }

func cutEvery(stream []byte, n int) [][]byte {
	var pieces [][]byte
	for len(stream) > n {
		pieces, stream = append(pieces, stream[:n]), stream[n:]
	}
	return append(pieces, stream)
}

// shortest returns the shortest of several times that a parser took for the pieces.
func shortest(pieces [][]byte) time.Duration {
	best := time.Duration(math.MaxInt64)
	for range 10 {
		p := sse.Parser{OnEvent: func(sse.Event) {}}
		start := time.Now()
		for _, piece := range pieces {
			p.Write(piece)
		}
		best = min(best, time.Since(start))
	}
	return best
}

// memory returns how many bytes f allocated, and how many of them are still held.
func memory(f func()) (allocated uint64, held int64) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	allocated = after.TotalAlloc - before.TotalAlloc
	runtime.GC()
	runtime.ReadMemStats(&after)
	return allocated, int64(after.HeapAlloc) - int64(before.HeapAlloc)
}
