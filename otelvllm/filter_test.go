package otelvllm_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

func TestFiltersSayWhatIsRecorded(t *testing.T) {
	without := func(header string) otelvllm.Option {
		return otelvllm.WithFilter(func(r *http.Request) bool { return r.Header.Get(header) == "" })
	}
	for _, tt := range []struct {
		name, method, path, header string
		opts                       []otelvllm.Option
		recorded                   bool
	}{
		{"a chat is recorded by default", http.MethodPost, chatPath, "", nil, true},
		{"a probe is not", http.MethodGet, "/health", "", nil, false},
		{"a filter leaves out what it does not accept", http.MethodPost, chatPath, "X-Load", []otelvllm.Option{without("X-Load")}, false},
		{"and stands in the default's place", http.MethodGet, "/health", "", []otelvllm.Option{without("X-Load")}, true},
		{"the first of two leaves out", http.MethodPost, chatPath, "X-Load", []otelvllm.Option{without("X-Load"), without("X-Test")}, false},
		{"the second of two leaves out", http.MethodPost, chatPath, "X-Test", []otelvllm.Option{without("X-Load"), without("X-Test")}, false},
		{"what both accept is recorded", http.MethodPost, chatPath, "X-Other", []otelvllm.Option{without("X-Load"), without("X-Test")}, true},
		{"no filter is none", http.MethodGet, "/health", "", []otelvllm.Option{otelvllm.WithFilter(nil)}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tel := newTelemetry()
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(wholeBody))
			if tt.header != "" {
				r.Header.Set(tt.header, "1")
			}
			otelvllm.Middleware(tel.options(tt.opts...)...)(say(`{}`)).ServeHTTP(httptest.NewRecorder(), r)
			if got := len(tel.names()) > 0; got != tt.recorded {
				t.Errorf("got spans %v, want some: %t", tel.names(), tt.recorded)
			}
		})
	}
}
