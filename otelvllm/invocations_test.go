package otelvllm_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// TestAnOperationThatOnlyTheBodyTells is SageMaker's endpoint, whose path says nothing.
func TestAnOperationThatOnlyTheBodyTells(t *testing.T) {
	tel := newTelemetry()
	h := otelvllm.Middleware(tel.options()...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}`)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/invocations", strings.NewReader(wholeBody)))
	s := tel.span(t, "chat tiny")
	wantAttrs(t, s, map[string]string{"gen_ai.operation.name": "chat", "gen_ai.usage.output_tokens": "2"})
	if got := tel.metrics(t)["vllm.request.active"].sum; got != 0 {
		t.Errorf("got %v active requests, want 0", got)
	}
}
