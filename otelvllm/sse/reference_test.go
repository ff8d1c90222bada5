package sse_test

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/sse"
)

// result is everything a stream tells.
type result struct {
	Calls    []string // events and comments in order
	LastID   string
	Retry    time.Duration
	HasRetry bool
	Pending  bool
}

func eventCall(typ, data, id string, truncated bool) string {
	return fmt.Sprintf("event type=%q data=%q id=%q truncated=%v", typ, data, id, truncated)
}

// parse runs stream through p in the given pieces.
func parse(p *sse.Parser, pieces ...[]byte) result {
	var r result
	p.OnEvent = func(e sse.Event) {
		typ := "message"
		if e.Type != nil {
			typ = string(e.Type)
		}
		r.Calls = append(r.Calls, eventCall(typ, string(e.Data), string(e.ID), e.Truncated))
	}
	p.OnComment = func() { r.Calls = append(r.Calls, "comment") }
	for _, piece := range pieces {
		// The parser gets a copy that is spoilt afterwards, to show that it keeps no reference.
		b := bytes.Clone(piece)
		if n, err := p.Write(b); n != len(b) || err != nil {
			panic(fmt.Sprintf("Write of %d bytes returned %d, %v", len(b), n, err))
		}
		for i := range b {
			b[i] = '!'
		}
	}
	r.LastID, r.Pending = p.LastEventID(), p.Pending()
	r.Retry, r.HasRetry = p.Retry()
	return r
}

// reference parses a stream as section 9.2.6 of the standard describes it, step by step, on the
// whole text at once. It knows the parser's limits and nothing of how the parser works.
func reference(stream []byte, maxData int) result {
	var r result
	text := strings.TrimPrefix(string(stream), "\uFEFF")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	lines := strings.Split(text, "\n")
	unfinished := lines[len(lines)-1]
	var data, typ, id string
	var fields, truncated bool
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			if data != "" {
				data = strings.TrimSuffix(data, "\n")
				if len(data) > maxData {
					data, truncated = data[:maxData], true
				}
				if typ == "" {
					typ = "message"
				}
				r.Calls = append(r.Calls, eventCall(typ, data, id, truncated))
			}
			data, typ, fields, truncated = "", "", false, false
			continue
		}
		if line[0] == ':' {
			r.Calls = append(r.Calls, "comment")
			continue
		}
		fields = true
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			typ = value
			if len(typ) > 1024 {
				typ, truncated = typ[:1024], true
			}
		case "data":
			data += value + "\n"
		case "id":
			if !strings.Contains(value, "\x00") && len(value) <= 1024 {
				id = value
			}
		case "retry":
			if value != "" && strings.Trim(value, "0123456789") == "" {
				r.HasRetry = true
				ms, err := strconv.ParseInt(value, 10, 64)
				if limit := math.MaxInt64 / int64(time.Millisecond); err != nil || ms > limit {
					ms = limit
				}
				r.Retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
	r.LastID = id
	r.Pending = fields || unfinished != "" && unfinished[0] != ':'
	if stream := string(stream); stream == "\xEF" || stream == "\xEF\xBB" {
		r.Pending = true
	}
	return r
}

// cut cuts stream at places that the bytes of cuts choose: each is the length of a piece.
func cut(stream, cuts []byte) [][]byte {
	var pieces [][]byte
	for len(stream) > 0 && len(cuts) > 0 {
		n := min(int(cuts[0]), len(stream))
		pieces = append(pieces, stream[:n])
		stream, cuts = stream[n:], cuts[1:]
	}
	return append(pieces, stream)
}

func bytewise(stream []byte) [][]byte {
	return cut(stream, bytes.Repeat([]byte{1}, len(stream)))
}

func expectSame(t *testing.T, what string, got, want result) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got\n%+v, want\n%+v", what, got, want)
	}
}

// FuzzParser states two properties: the parser agrees with the reference, and what it reports does
// not depend on how the stream was cut or on what the parser had read before a Reset.
func FuzzParser(f *testing.F) {
	for _, stream := range streams {
		f.Add([]byte(stream), []byte{3, 1, 0, 7, 30}, uint16(0))
		f.Add([]byte(stream), []byte{1, 1, 1, 1, 1, 1, 1, 1}, uint16(5))
	}
	f.Fuzz(func(t *testing.T, stream, cuts []byte, limit uint16) {
		maxData := int(limit)
		p := sse.Parser{MaxData: maxData}
		if maxData == 0 {
			maxData = sse.DefaultMaxData
		}
		want := reference(stream, maxData)
		expectSame(t, "whole", parse(&p, stream), want)
		p.Reset()
		expectSame(t, "cut after a reset", parse(&p, cut(stream, cuts)...), want)
		p.Reset()
		expectSame(t, "bytewise after a reset", parse(&p, bytewise(stream)...), want)
	})
}

// streams are streams that between them use every rule of the format.
var streams = []string{
	"",
	"data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: [DONE]\n\n",
	"event: response.created\ndata: {}\n\nevent: error\r\ndata: {\"code\":500}\r\n\r\n",
	"\uFEFFdata: one\n\n\uFEFFdata: two\n\ndata: three\n\n",
	"\xEF\xBBdata: x\n\ndata: y\n\n",
	"\uFEFF\uFEFFdata: x\n\n",
	": keep-alive\n\n:\r\rdata:a\r:in between\rdata:b\r\r",
	"data\n\ndata\ndata\n\ndata:\n\ndata: \n\ndata:  two\n\ndata:\ttab\n\n",
	"id: 1\ndata: a\n\nid\ndata: b\n\nid: x\x00y\ndata: c\n\nid:2\n\ndata: d\n\n",
	"retry: 1000\nretry: 12a\nretry\nretry: \nretry:0030\n\nretry: 99999999999999999999\n\n",
	"retry: 1000\n",
	"retry: 0\n\n",
	"retry:19:\nretry: 8/\nretry: 39\n",
	"event: a\nevent: b\ndata: x\n\nevent: \ndata: y\n\nevent: lost\n\ndata: z\n\n",
	"dat: 1\ndata2: 2\n data: 3\nData: 4\ndata : 5\n\ndata: 6\n\n",
	"data: whole\n\ndata: not ended\n",
	"data: whole\n\n: not ended",
	"data: a\r\n\r\ndata: b\n\r\ndata: c\r\n\ndata: d\n\n\n\r\r",
	"data: \xff\xfe\x00\n\n\x00\xff\n\n",
	"event: " + strings.Repeat("e", 1025) + "\nid: " + strings.Repeat("i", 1025) + "\ndata: x\n\n",
	"event: " + strings.Repeat("e", 1024) + "\nid: " + strings.Repeat("i", 1024) + "\ndata: x\n\n",
	"data: 123456789\ndata: 123456789\n\n",
	"event: x\ndata: 123456789\r\n\r\n",
}
