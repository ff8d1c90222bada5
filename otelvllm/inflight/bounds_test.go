package inflight_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

func TestStringsAndSpansAreBounded(t *testing.T) {
	var r inflight.Registry
	long := strings.Repeat("x", 1<<20)
	q := r.Begin(inflight.Info{TraceID: long, SpanID: long, Operation: long, Model: long, Route: long})
	q.End(long, []inflight.Span{{Name: long}, 99: {}}, time.Now())
	s := r.Recent()[0]
	for _, text := range []string{s.TraceID, s.SpanID, s.Operation, s.Model, s.Route, s.Outcome, s.Spans[0].Name} {
		if len(text) != 256 {
			t.Errorf("got %d bytes, want 256", len(text))
		}
	}
	if len(s.Spans) != 64 {
		t.Errorf("got %d spans, want 64", len(s.Spans))
	}
	for name, want := range map[string]string{
		"short":                       "short",
		"日本語":                         "日本語",
		strings.Repeat("日", 100):      strings.Repeat("日", 85),
		"a\xff\xfeb":                  "a\uFFFDb",
		strings.Repeat("\xffx", 1000): strings.Repeat("\uFFFDx", 64),
		strings.Repeat("\x80", 1000):  "\uFFFD",
	} {
		q := r.Begin(inflight.Info{})
		q.Describe("chat", name, false)
		if got := q.Status(time.Now()).Model; got != want || !utf8.ValidString(got) {
			t.Errorf("%.20q: got %q, want %q", name, got, want)
		}
	}
}

// FuzzStrings states that what is kept of a name is valid, short, and its beginning.
func FuzzStrings(f *testing.F) {
	for _, seed := range []string{"llama", strings.Repeat("日", 100), strings.Repeat("\xff", 300), strings.Repeat("x", 254) + "é\xe6\x97"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		var r inflight.Registry
		r.Begin(inflight.Info{Model: name})
		got := r.Running()[0].Model
		if len(got) > 256 || !utf8.ValidString(got) {
			t.Errorf("%q: got %q, want valid UTF-8 of at most 256 bytes", name, got)
		}
		if want := strings.ToValidUTF8(name, "\uFFFD"); utf8.ValidString(name) && !strings.HasPrefix(want, got) ||
			len(name) <= 80 && got != want {
			t.Errorf("%q: got %q, want the beginning of %q", name, got, want)
		}
		if utf8.ValidString(name) && len(got) <= 256-utf8.UTFMax && got != name {
			t.Errorf("%q: got %q, which is shorter than it has to be", name, got)
		}
	})
}

func TestSpansAreCopied(t *testing.T) {
	var r inflight.Registry
	spans := []inflight.Span{{Name: "chat", Parent: -1}}
	r.Begin(inflight.Info{}).End("completed", spans, time.Now())
	spans[0].Name = "changed"
	if got := r.Recent()[0].Spans[0].Name; got != "chat" {
		t.Errorf("got span %q, want chat", got)
	}
}
