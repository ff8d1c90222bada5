package otelvllm_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// TestServerSpansHaveFewNames sends what a stranger can send to a gateway whose pattern takes any path.
func TestServerSpansHaveFewNames(t *testing.T) {
	for _, tt := range []struct{ name, path, want string }{
		{"the engine's own path", "/v1/chat/completions", "POST /v1/chat/completions"},
		{"a gateway's prefix is left out", "/tenants/acme/v1/chat/completions", "POST /v1/chat/completions"},
		{"and so is a path segment of a stranger", "/junk-1/chat/completions", "POST /chat/completions"},
		{"Cohere's chat keeps its first segment", "/cohere/v2/chat", "POST /cohere/v2/chat"},
		{"a name at the root", "/rerank", "POST /rerank"},
		{"of another path the pattern is told", "/junk-2", "POST /"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tel := newTelemetry()
			mux := http.NewServeMux()
			mux.Handle("/", say(`{}`))
			w := httptest.NewRecorder()
			otelvllm.Middleware(tel.options()...)(mux).ServeHTTP(w, httptest.NewRequest(http.MethodPost, tt.path, strings.NewReader(`{}`)))
			s := tel.span(t, tt.want)
			if got := fmt.Sprint(s.SpanKind); got != "server" {
				t.Errorf("got a span of kind %s, want server", got)
			}
			wantAttrs(t, s, map[string]string{"url.path": tt.path, "http.route": strings.TrimPrefix(tt.want, "POST ")})
		})
	}
}
