package wire

import (
	"bytes"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// streams are recorded streams that came to their end, of each dialect one or more, with what their last event begins
// with.
var streams = map[string]string{
	"chat-stream":             "data: [DONE]",
	"completion-stream-usage": "data: [DONE]",
	"generate-stream-usage":   "data: [DONE]",
	"invocations-stream":      "data: [DONE]",
	"responses-stream":        "event: response.completed\n",
	"responses-stream-tool":   "event: response.completed\n",
	"messages-stream":         "event: message_stop\n",
	"messages-stream-tool":    "event: message_stop\n",
	"cohere-chat-stream":      `data: {"id":`,
	"cohere-chat-stream-tool": `data: {"id":`,
}

// TestACutStreamIsNotDone cuts each recorded stream everywhere before its last event.
func TestACutStreamIsNotDone(t *testing.T) {
	for name, last := range streams {
		rec := record(t, name)
		at := bytes.LastIndex(rec.body, []byte(last))
		r := Match("POST", rec.path).NewResponseReader()
		r.Header(rec.status, rec.header)
		for i := range rec.body[:at] {
			r.Write(rec.body[i : i+1])
			if r.Facts().Done {
				t.Fatalf("%s: done after %d of %d bytes", name, i+1, len(rec.body))
			}
		}
		if r.Write(rec.body[at:]); !r.Facts().Done {
			t.Errorf("%s: not done at its end", name)
		}
	}
}

// TestShapesChangeNothing reads recorded streams with and without recognising events by their shape.
func TestShapesChangeNothing(t *testing.T) {
	names := append(slices.Collect(maps.Keys(streams)), "kill-engine-responses-stream", "kill-engine-messages-stream")
	for _, name := range names {
		rec := record(t, name)
		e := Match("POST", rec.path)
		with, without := e.NewResponseReader(), e.NewResponseReader()
		without.shapes.misses = maxMisses
		for _, r := range []*ResponseReader{with, without} {
			r.Header(rec.status, rec.header)
		}
		for event := range bytes.SplitAfterSeq(rec.body, []byte("\n\n")) {
			if a, b := with.Write(event), without.Write(event); a != b || !reflect.DeepEqual(with.Facts(), without.Facts()) {
				t.Fatalf("%s: with shapes %+v %+v, without %+v %+v", name, a, with.Facts(), b, without.Facts())
			}
		}
		if without.shapes.n != 0 {
			t.Fatalf("%s: learned shapes all the same", name)
		}
	}
}

// TestErrorsOfEveryEndpoint reads what vLLM's servers in Python and in Rust say for an error, whatever was asked.
func TestErrorsOfEveryEndpoint(t *testing.T) {
	for i := range endpoints {
		path := endpoints[i].path
		for body, want := range map[string]string{
			`{"error":{"message":"no","type":"NotFoundError","param":"model","code":404}}`:                     "404",
			`{"object":"error","message":"no","type":"BadRequestError","param":null,"code":400}`:               "400",
			`{"error":{"message":"no","type":"invalid_request_error","param":null,"code":"json_parse_error"}}`: "json_parse_error",
			`{"error":{"message":"no","type":"server_error","code":"server_error"}}`:                           "server_error",
			`{"type":"error","error":{"type":"NotFoundError","message":"no"}}`:                                 "NotFoundError",
			`{"error":"Unauthorized"}`: engineError,
			`{"detail":"Not Found"}`:   engineError,
		} {
			if _, f := answerOf(path, 400, jsonBody, []byte(body)); !reflect.DeepEqual(f, Facts{Err: &Error{want}}) {
				t.Errorf("%s: %s: got %+v, want the error %q", path, body, f, want)
			}
			if !strings.HasPrefix(body, `{"error":{`) {
				continue
			}
			_, f := stream(path, events(body, doneEvent))
			if want := (Facts{Streamed: true, Done: true, Err: &Error{want}}); !reflect.DeepEqual(f, want) {
				t.Errorf("%s: %s in a stream: got %+v, want %+v", path, body, f, want)
			}
		}
	}
}

func TestUsageIsAskedForOnlyWhereThereIsAnOption(t *testing.T) {
	asking := []string{"/chat/completions", "/completions", "/inference/v1/generate", "/invocations"}
	body := []byte(`{"model":"m","stream":true}`)
	for i := range endpoints {
		e := &endpoints[i]
		out, ok := e.InjectUsage(body)
		if want := slices.Contains(asking, e.path); ok != want || !want && !bytes.Equal(out, body) {
			t.Errorf("%s: got %s, %t", e.path, out, ok)
		}
	}
}

// TestRecordedRequestsOfEveryEndpoint reads each recorded request, and finds the model that encoding/json finds.
func TestRecordedRequestsOfEveryEndpoint(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "vllm-live", "*.request"))
	if err != nil || len(files) < 70 {
		t.Fatalf("got %d recordings, want 70 or more: %v", len(files), err)
	}
	for _, file := range files {
		rec := record(t, strings.TrimSuffix(filepath.Base(file), ".request"))
		e := Match("POST", rec.path)
		if e == nil {
			t.Errorf("%s: %s is no endpoint", file, rec.path)
			continue
		}
		doc, valid := decode(bytes.TrimSpace(rec.request))
		object, _ := doc.(map[string]any)
		model, _ := object["model"].(string)
		stream, _ := object["stream"].(bool)
		got := requestOf(rec.path, rec.request)
		if !valid {
			model = got.Model // whatever came before the mistake
		}
		if got.Complete != valid || got.Model != model || got.Stream != stream {
			t.Errorf("%s: got %+v, want the model %q, stream %t, complete %t", file, got, model, stream, valid)
		}
	}
}

// FuzzDialects reads an answer of any endpoint whole, in pieces, and without shapes: it must tell the same.
func FuzzDialects(f *testing.F) {
	for i := range endpoints {
		f.Add(uint8(i), []byte(events(contentEvent("a"), contentEvent("b"), usageEvent, doneEvent)), 40, true)
		f.Add(uint8(i), []byte(typed(messageStart, textDelta("a"), textDelta("b"), messageDelta, messageStop)), 300, true)
		f.Add(uint8(i), []byte(typed(responsesDelta("output_text", "a", 8), responsesDelta("output_text", "b", 9), responsesDelta("output_text", "c", 10), responsesEnd("completed", wholeResponse))), 100, true)
		f.Add(uint8(i), []byte(events(cohereStart, cohereText, cohereText, cohereStop, doneEvent)), 100, true)
		f.Add(uint8(i), []byte(wholeResponse), 20, false)
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte, cut int, streamed bool) {
		e := &endpoints[int(which)%len(endpoints)]
		h := jsonBody
		if streamed {
			h = eventStream
		}
		read := func(misses int, pieces ...[]byte) (sum Seen, f Facts) {
			r := e.NewResponseReader()
			r.shapes.misses = misses
			r.Header(200, h)
			for _, p := range pieces {
				s := r.Write(p)
				sum.Events, sum.Contents, sum.Comments = sum.Events+s.Events, sum.Contents+s.Contents, sum.Comments+s.Comments
			}
			r.End()
			return sum, *r.Facts()
		}
		seen, want := read(0, body)
		cut = min(max(cut, 0), len(body))
		for how, pieces := range map[string][][]byte{"in two": {body[:cut], body[cut:]}, "bytewise": cuts(body, 1), "without shapes": {body}} {
			misses := 0
			if how == "without shapes" {
				misses = maxMisses
			}
			if s, got := read(misses, pieces...); s != seen || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %q %s: got %+v %+v, want %+v %+v", e.path, body, how, s, got, seen, want)
			}
		}
		for _, n := range []Int{want.Usage.Input, want.Usage.Output, want.Usage.Cached, want.Usage.CacheWrite, want.Usage.Reasoning} {
			if n.Value < 0 || n.Value > maxCount || !n.Known && n.Value != 0 {
				t.Fatalf("%s: %q: got %+v", e.path, body, want.Usage)
			}
		}
	})
}
