package inflight_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

func get(h http.Handler, method string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/requests", nil))
	return w
}

func TestServeHTTPDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r inflight.Registry
		known := r.Begin(inflight.Info{
			TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", SpanID: "00f067aa0ba902b7",
			Operation: "chat", Model: "llama", Stream: true, Route: "/v1/chat/completions",
		})
		known.Enter(inflight.PhaseDecode, time.Now())
		known.OutputTokens(0)
		r.Begin(inflight.Info{})
		time.Sleep(1500 * time.Millisecond)
		known.Progress(time.Now(), 1)
		time.Sleep(500 * time.Millisecond)
		known.Stalled(inflight.Stall{Cause: "engine_wedged"})
		r.Begin(inflight.Info{Operation: "embeddings", Model: "bge"}).End("completed", nil, time.Now().Add(250*time.Millisecond))
		time.Sleep(time.Second)
		r.Begin(inflight.Info{}).End("", nil, time.Now())

		w := get(&r, http.MethodGet)
		want := `{"running":[` +
			`{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","operation":"chat","model":"llama","phase":"decode","age_seconds":3,` +
			`"silent_seconds":1.5,"output_tokens":0,"stream":true,"stalled":true,"cause":"engine_wedged"},` +
			`{"trace_id":null,"operation":null,"model":null,"phase":null,"age_seconds":3,` +
			`"silent_seconds":3,"output_tokens":null,"stream":null,"stalled":false,"cause":null}],` +
			`"recent":[` +
			`{"trace_id":null,"operation":null,"model":null,"phase":null,"age_seconds":0,` +
			`"silent_seconds":0,"output_tokens":null,"stream":null,"stalled":false,"cause":null,"outcome":null,"duration_seconds":0},` +
			`{"trace_id":null,"operation":"embeddings","model":"bge","phase":null,"age_seconds":1,` +
			`"silent_seconds":0.25,"output_tokens":null,"stream":false,"stalled":false,"cause":null,"outcome":"completed","duration_seconds":0.25}]}` + "\n"
		if got := w.Body.String(); w.Code != http.StatusOK || got != want {
			t.Errorf("got %d\n%s, want 200\n%s", w.Code, got, want)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		one, err := json.Marshal(r.Running()[0])
		if err != nil || !strings.Contains(want, string(one)) {
			t.Errorf("a status alone: got %s, %v, want it as in the document", one, err)
		}
	})
}

func TestServeHTTPMethods(t *testing.T) {
	for _, r := range []*inflight.Registry{nil, {}} {
		for _, method := range []string{"GET", "HEAD"} {
			if w := get(r, method); w.Code != http.StatusOK || w.Body.String() != `{"running":[],"recent":[]}`+"\n" {
				t.Errorf("%s: got %d %q, want 200 and two empty lists", method, w.Code, w.Body)
			}
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "BREW"} {
			if w := get(r, method); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: got %d, Allow %q, want 405, GET, HEAD", method, w.Code, w.Header().Get("Allow"))
			}
		}
	}
}

func TestFault_J09_HostileModelNames(t *testing.T) {
	for _, name := range []string{
		"<script>alert(1)</script>", `"},{"x":"`, "a\x00b", "\x1b[31mred", "line\nbreak", "\xff\xfe\xfd", "\u2028\u202E",
		"&lt;", "日本語", strings.Repeat("<", 1<<20), "\uD7FF", "\xed\xa0\x80", `\u003c`, "${jndi:ldap://x}", "' OR 1=1 --",
	} {
		var r inflight.Registry
		r.Begin(inflight.Info{Model: name})
		r.Begin(inflight.Info{Model: name}).End(name, []inflight.Span{{Name: name}}, time.Now())
		body := get(&r, http.MethodGet).Body.Bytes()
		if strings.ContainsAny(string(body), "<>&\x1b\u2028") || !utf8.Valid(body) || len(body) > 8<<10 {
			t.Errorf("%.30q: got %d bytes that a browser could read as more than text: %.300s", name, len(body), body)
		}
		var document struct{ Running, Recent []map[string]any }
		if err := json.Unmarshal(body, &document); err != nil {
			t.Errorf("%.30q: got %v, want valid JSON", name, err)
			continue
		}
		want := r.Running()[0].Model
		if got := fmt.Sprint(len(document.Running), len(document.Recent)); got != "1 1" || document.Running[0]["model"] != want {
			t.Errorf("%.30q: got %s entries and model %q, want 1 1 and %q", name, got, document.Running[0]["model"], want)
		}
	}
}

// TestEachRequestIsInOneList reads the document while requests end: a request that ran before and
// is over after is in one of the two lists, and not in both.
func TestEachRequestIsInOneList(t *testing.T) {
	r := inflight.Registry{History: 2000}
	requests := make([]*inflight.Request, 1000)
	for i := range requests {
		requests[i] = r.Begin(inflight.Info{Model: fmt.Sprint(i)})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, q := range requests {
			q.End("completed", nil, time.Now())
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		var document struct{ Running, Recent []struct{ Model string } }
		if err := json.Unmarshal(get(&r, http.MethodGet).Body.Bytes(), &document); err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]bool)
		for _, q := range append(document.Running, document.Recent...) {
			seen[q.Model] = true
		}
		if n := len(document.Running) + len(document.Recent); n != len(requests) || len(seen) != n {
			t.Fatalf("got %d entries of %d requests, want each of the %d once", n, len(seen), len(requests))
		}
	}
}
