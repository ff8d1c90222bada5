package wire

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// pair is one request to a real vLLM, and its streams without and with usage.
type pair struct {
	name, path           string
	request, plain, with []byte
}

func pairs(t testing.TB) (list []pair) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "restore", "*.txt"))
	if err != nil || len(files) < 15 {
		t.Fatalf("got %d recordings, want 15 or more: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, data, _ = bytes.Cut(data, []byte("-- request --\nPOST "))
		path, data, _ := bytes.Cut(data, []byte("\n"))
		request, data, _ := bytes.Cut(data, []byte("\n-- without usage --\n"))
		plain, with, found := bytes.Cut(data, []byte("-- with usage --\n"))
		if !found {
			t.Fatalf("%s: a part is missing", file)
		}
		list = append(list, pair{strings.TrimSuffix(filepath.Base(file), ".txt"), string(path), request, plain, with})
	}
	return list
}

// restored gives the pieces to a Restorer as they come and returns what its caller reads, at once and after the end.
func restored(pieces ...[]byte) (atOnce, all []byte) {
	var r Restorer
	read := func() {
		buf := make([]byte, 100)
		for n := r.Read(buf); n > 0; n = r.Read(buf) {
			all = append(all, buf[:n]...)
		}
	}
	for _, p := range pieces {
		p = bytes.Clone(p)
		r.Write(p)
		clear(p)
		read()
	}
	atOnce = bytes.Clone(all)
	r.Release()
	read()
	return atOnce, all
}

var varies = regexp.MustCompile(`"created":\d+|chatcmpl-tool-[0-9a-f]+`)

// same makes streams of two requests comparable: the time and the ids that vLLM draws are left out.
func same(stream []byte) string { return varies.ReplaceAllString(string(stream), "") }

// TestRestoredStreamsAreWhatTheyWouldHaveBeen compares with what the engine sent when it was not asked for usage.
func TestRestoredStreamsAreWhatTheyWouldHaveBeen(t *testing.T) {
	for _, p := range pairs(t) {
		for _, n := range []int{0, 1, 3, 17, 64, 250, 1000} {
			atOnce, all := restored(cuts(p.with, n)...)
			if same(all) != same(p.plain) {
				t.Errorf("%s in pieces of %d bytes:\n got %s\nwant %s", p.name, n, all, p.plain)
			}
			if len(atOnce) != len(all) {
				t.Errorf("%s in pieces of %d bytes: %d bytes were held to the end", p.name, n, len(all)-len(atOnce))
			}
		}
	}
}

// TestRecordedPairsAreWhatInjectUsageMakes checks that the requests of the recordings are those that the package sends.
func TestRecordedPairsAreWhatInjectUsageMakes(t *testing.T) {
	for _, p := range pairs(t) {
		out, injected := Match("POST", p.path).InjectUsage(p.request)
		if !injected {
			t.Errorf("%s: not injected", p.name)
		}
		if r := requestOf(p.path, out); !r.IncludeUsage || !r.Complete {
			t.Errorf("%s: got %+v from %s", p.name, r, out)
		}
	}
}

// TestStreamsThatWereNotAskedPassUnchanged gives streams without a usage event of their own to a Restorer.
func TestStreamsThatWereNotAskedPassUnchanged(t *testing.T) {
	bodies := map[string][]byte{
		"no stream":         []byte(`{"error":"Unauthorized"}`),
		"text":              []byte("hello\nworld"),
		"usage in content":  []byte(events(contentEvent(`"choices":[],"usage":{}`), finishEvent+" ", doneEvent)),
		"usage is null":     []byte(events(`{"choices":[],"usage":null}`, doneEvent)),
		"usage on 2 lines":  []byte("data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":1}}\n\n"),
		"usage with an id":  []byte("id: 1\ndata: " + usageEvent + "\n\n"),
		"empty":             {},
		"only line ends":    []byte("\n\n\r\n\r\r\n"),
		"data without json": []byte("data\n\ndata:\n\ndata: 7\n\ndat: {}\n\n"),
		"usage for everyone": []byte(events(
			strings.TrimSuffix(contentEvent("a"), "}")+`,"usage":{"completion_tokens":1}}`,
			strings.TrimSuffix(finishEvent, "}")+`,"usage":{"completion_tokens":1}}`, usageEvent, doneEvent)),
	}
	for _, name := range []string{
		"chat-stream", "completion-stream", "chat-stream-continuous-usage", "kill-engine-chat-stream", "err-bad-schema-stream",
		"chat-stream-token-ids", "chat-stream-logprobs",
	} {
		bodies[name] = record(t, name).body
	}
	for name, body := range bodies {
		for _, n := range []int{0, 1, 7, 300} {
			if _, all := restored(cuts(body, n)...); !bytes.Equal(all, body) {
				t.Errorf("%s in pieces of %d bytes:\n got %q\nwant %q", name, n, all, body)
			}
		}
	}
}

// TestContentPassesAtOnce checks that no event with content waits for the next one, whole or in part.
func TestContentPassesAtOnce(t *testing.T) {
	for _, p := range pairs(t) {
		var r Restorer
		out, sent := 0, 0
		for event := range bytes.SplitAfterSeq(p.with, []byte("\n\n")) {
			if bytes.Contains(event, []byte(`"finish_reason":"`)) {
				break
			}
			r.Write(event)
			sent += len(event)
			out += r.Read(make([]byte, 1<<16))
			if out != sent || r.Holding() {
				t.Fatalf("%s: got %d of %d bytes, holding %t, want all", p.name, out, sent, r.Holding())
			}
		}
	}
	var r Restorer
	part := []byte(`data: {"id":"c","choices":[{"index":0,"delta":{"content":"` + strings.Repeat("x", 100))
	r.Write(part[:40])
	held := r.Read(make([]byte, 1000))
	r.Write(part[40:])
	if got := held + r.Read(make([]byte, 1000)); got != len(part) {
		t.Errorf("part of an event with a choice: got %d bytes, want %d", got, len(part))
	}
}

func TestAFinishEventWaitsAndIsReleased(t *testing.T) {
	var r Restorer
	read := func() string {
		buf := make([]byte, 1<<20)
		return string(buf[:r.Read(buf)])
	}
	r.Write([]byte(events(contentEvent("a"), finishEvent)))
	if got := read(); got != events(contentEvent("a")) || !r.Holding() {
		t.Fatalf("got %q, holding %t, want the content alone", got, r.Holding())
	}
	r.Write([]byte(": keep-alive\n\n" + events(contentEvent("b"))))
	if got := read(); got != "" || !r.Holding() {
		t.Fatalf("while a finish event waits: got %q, want nothing", got)
	}
	r.Release()
	if got := read(); got != events(finishEvent)+": keep-alive\n\n"+events(contentEvent("b")) || r.Holding() {
		t.Fatalf("after the wait: got %q", got)
	}
	r.Write([]byte(events(finishEvent)))
	r.Write([]byte(events(strings.TrimSuffix(usageEvent, "}")+`,"system_fingerprint":"f\u00e9"}`, doneEvent)))
	want := strings.TrimSuffix(finishEvent, "}") + `,"system_fingerprint":"f\u00e9"}`
	if got := read(); got != events(want, doneEvent) || r.Holding() {
		t.Fatalf("got %q, want the second finish event with the fingerprint", got)
	}
}

// TestReleaseInsideAnEvent cuts the stream where an event is held in part, lets it go, and goes on.
func TestReleaseInsideAnEvent(t *testing.T) {
	usage := strings.TrimSuffix(usageEvent, "}") + `,"system_fingerprint":"f"}`
	for _, body := range []string{
		events(contentEvent("a"), usage, doneEvent),
		events(contentEvent("a"), finishEvent, contentEvent("b"), usage, doneEvent),
	} {
		for cut := range len(body) {
			for _, read := range []bool{true, false} {
				var r Restorer
				var got []byte
				take := func() {
					buf := make([]byte, 4096)
					got = append(got, buf[:r.Read(buf)]...)
				}
				r.Write([]byte(body[:cut]))
				r.Release()
				if read {
					take()
				}
				r.Write([]byte(body[cut:]))
				r.Release()
				take()
				text := strings.Replace(string(got), `,"system_fingerprint":"f"}`+"\n\n", "}\n\n", 1)
				kept, dropped := body, strings.Replace(body, events(usage), "", 1)
				if text != dropped && string(got) != kept {
					t.Fatalf("cut at %d, read %t:\n got %q\nwant %q\n  or %q", cut, read, got, kept, dropped)
				}
			}
		}
	}
}

func TestWhatEndsTheWaitOfAFinishEvent(t *testing.T) {
	fingerprint := strings.TrimSuffix(finishEvent, "}") + `,"system_fingerprint":"f"}`
	for name, c := range map[string]struct{ in, want string }{
		"usage without a fingerprint":        {events(finishEvent, usageEvent), events(finishEvent)},
		"a fingerprint that is null":         {events(finishEvent, strings.TrimSuffix(usageEvent, "}")+`,"system_fingerprint":null}`), events(finishEvent)},
		"[DONE]":                             {events(finishEvent, doneEvent), events(finishEvent, doneEvent)},
		"an error":                           {events(finishEvent, `{"error":{"code":500}}`), events(finishEvent, `{"error":{"code":500}}`)},
		"a finish event that has one":        {events(fingerprint), events(fingerprint)},
		"an event that is no JSON":           {events(finishEvent, `{`), events(finishEvent, `{`)},
		"more than is held back":             {events(finishEvent, contentEvent(strings.Repeat("x", maxHeld))), events(finishEvent, contentEvent(strings.Repeat("x", maxHeld)))},
		"usage with lines that end in CR LF": {strings.ReplaceAll(events(finishEvent, usageEvent, doneEvent), "\n", "\r\n"), strings.ReplaceAll(events(finishEvent, doneEvent), "\n", "\r\n")},
		"usage with lines that end in CR":    {strings.ReplaceAll(events(finishEvent, usageEvent, doneEvent), "\n", "\r"), strings.ReplaceAll(events(finishEvent, doneEvent), "\n", "\r")},
		"usage without a finish event":       {events(contentEvent("a"), usageEvent, doneEvent), events(contentEvent("a"), doneEvent)},
		"usage without a space":              {"data:" + finishEvent + "\n\ndata:" + usageEvent + "\n\n", "data:" + finishEvent + "\n\n"},
		"an event too long to be usage":      {"data: {\"id\":\"" + strings.Repeat("x", maxHeld), "data: {\"id\":\"" + strings.Repeat("x", maxHeld)},
	} {
		for _, n := range []int{0, 1, 100} {
			atOnce, all := restored(cuts([]byte(c.in), n)...)
			if string(all) != c.want || string(atOnce) != c.want {
				t.Errorf("%s, in pieces of %d bytes:\n got %.300q at once, %.300q in all\nwant %.300q", name, n, atOnce, all, c.want)
			}
		}
	}
}

// TestARestorerKeepsLittle sends much through one and looks at what it holds.
func TestARestorerKeepsLittle(t *testing.T) {
	var r Restorer
	buf := make([]byte, 32<<10)
	big := bytes.Repeat([]byte("x"), 1<<20)
	r.Write(big)
	for r.Read(buf) > 0 {
	}
	for range 1000 {
		r.Write([]byte(events(contentEvent("a"))))
		for r.Read(buf) > 0 {
		}
	}
	if got := cap(r.buf); got > 4*maxHeld {
		t.Errorf("got a buffer of %d bytes, want at most %d", got, 4*maxHeld)
	}
}

// FuzzRestorer checks that a Restorer takes out nothing but usage events, adds nothing but a fingerprint that the
// engine told, and gives the same however the stream is cut.
func FuzzRestorer(f *testing.F) {
	for _, p := range pairs(f) {
		f.Add(p.with, 100)
		f.Add(bytes.ReplaceAll(p.with, []byte("\n"), []byte("\r\n")), 301)
	}
	f.Add([]byte("data: {\"choices\":[],\"usage\":{}}\r\r\n\n"), 32)
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		_, all := restored(body)
		cut = min(max(cut, 0), len(body))
		for _, pieces := range [][][]byte{{body[:cut], body[cut:]}, cuts(body, 1)} {
			if _, again := restored(pieces...); !bytes.Equal(again, all) {
				t.Fatalf("%q in pieces: got %q, want %q", body, again, all)
			}
		}
		_, before := referenceStream(chatPath, body)
		_, after := referenceStream(chatPath, all)
		before.Usage, before.Timings, after.Usage, after.Timings = Usage{}, Timings{}, Usage{}, Timings{}
		before.Invalid, after.Invalid = 0, 0
		if before.ID != after.ID || before.Model != after.Model { // the usage event may be the only one that told them
			before.ID, before.Model, after.ID, after.Model = "", "", "", ""
		}
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("%q became %q, which tells\n got %+v\nwant %+v", body, all, after, before)
		}
	})
}

// FuzzInjectUsage checks that only stream_options changes, and only where usage was not asked for.
func FuzzInjectUsage(f *testing.F) {
	for _, p := range pairs(f) {
		f.Add(p.request)
	}
	for _, c := range injections {
		f.Add([]byte(c.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		out, injected := Match("POST", chatPath).InjectUsage(body)
		before, valid := decode(body)
		after, validAfter := decode(out)
		if !injected {
			if !bytes.Equal(out, body) {
				t.Fatalf("%q became %q, which is said to be unchanged", body, out)
			}
			return
		}
		old, _ := before.(map[string]any)
		changed, _ := after.(map[string]any)
		if !valid || !validAfter || old["stream"] != true {
			t.Fatalf("%q became %q", body, out)
		}
		options, _ := changed["stream_options"].(map[string]any)
		oldOptions, _ := old["stream_options"].(map[string]any)
		if options["include_usage"] != true || oldOptions["include_usage"] == true {
			t.Fatalf("%q became %q", body, out)
		}
		if options["continuous_usage_stats"] == true {
			t.Fatalf("%q became %q, which asks for usage on every chunk", body, out)
		}
		for _, o := range []map[string]any{options, oldOptions} {
			delete(o, "include_usage")
			if o["continuous_usage_stats"] == true || o["continuous_usage_stats"] == false {
				delete(o, "continuous_usage_stats")
			}
		}
		if old["stream_options"] == nil || oldOptions != nil && len(oldOptions) == 0 && len(options) == 0 {
			delete(old, "stream_options")
			delete(changed, "stream_options")
		}
		if !reflect.DeepEqual(old, changed) {
			t.Fatalf("%q became %q, which differs in more than it should", body, out)
		}
		if _, again := Match("POST", chatPath).InjectUsage(out); again {
			t.Fatalf("%q became %q, which is changed again", body, out)
		}
		if !json.Valid(out) {
			t.Fatalf("%q became %q, which is not JSON", body, out)
		}
	})
}
