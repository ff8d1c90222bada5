package otelvllm_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// TestErrorCodesOfAnEngineCostAFewSeries has an engine whose codes are all different, as a request's id is. What this
// library itself says of a failure keeps its label.
func TestErrorCodesOfAnEngineCostAFewSeries(t *testing.T) {
	tel := newTelemetry()
	h := otelvllm.Middleware(tel.options()...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if code := r.Header.Get("Code"); code != "" {
			_, _ = fmt.Fprintf(w, "data: {\"error\":{\"code\":%q}}\n\n", code)
		}
	}))
	send := func(code string) {
		r := httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(streamBody))
		r.Header.Set("Code", code)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	for i := range 1000 {
		send(fmt.Sprintf("req-%d", i))
	}
	send("503")
	send("") // the stream ends without its end
	points := tel.metrics(t)["gen_ai.server.request.duration"]
	if got := len(points.attrs); got > 70 || points.count != 1002 {
		t.Errorf("got %d series of %d requests, want 70 at most, of 1002", got, points.count)
	}
	types := make(map[string]bool)
	for _, set := range points.attrs {
		v, _ := set.Value("error.type")
		types[v.AsString()] = true
	}
	for _, want := range []string{"req-0", "_OTHER", "503", "truncated"} {
		if !types[want] {
			t.Errorf("no series has the error.type %s", want)
		}
	}
	if got := tel.calls[999].ErrorType; got != "req-999" {
		t.Errorf("the record has the error type %q, want the engine's own, req-999", got)
	}
}
