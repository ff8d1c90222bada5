package otelvllm_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// TestWhatRefusesBeforeTheEngineGeneratesNothing has an authentication between middleware and proxy.
func TestWhatRefusesBeforeTheEngineGeneratesNothing(t *testing.T) {
	for _, tt := range []struct {
		name       string
		status     int
		outcome    otelvllm.Outcome
		generation bool
	}{
		{"a request without a key has no generation", http.StatusUnauthorized, otelvllm.Rejected, false},
		{"a rate limit has none", http.StatusTooManyRequests, otelvllm.Rejected, false},
		{"of a handler that fails it is not known, so it counts as one", http.StatusInternalServerError, otelvllm.Failed, true},
		{"one that answers has generated", http.StatusOK, otelvllm.Completed, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tel := newTelemetry()
			var lines bytes.Buffer
			h := otelvllm.Middleware(tel.options(otelvllm.WithLogger(slog.New(slog.NewTextHandler(&lines, nil))))...)(
				http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tt.status) }))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(wholeBody)))
			call := tel.call(t)
			span := strings.Contains(strings.Join(tel.names(), " "), "generation")
			line := strings.Contains(lines.String(), "generation start")
			if call.Outcome != tt.outcome || call.Generation > 0 != tt.generation || span != tt.generation || line != tt.generation {
				t.Errorf("got %s, generation %s, span %t, line %t; want %s and %t", call.Outcome, call.Generation, span, line, tt.outcome, tt.generation)
			}
		})
	}
}
