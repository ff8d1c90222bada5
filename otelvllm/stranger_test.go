package otelvllm_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/propagation"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// TestWhatAStrangerSaysOfItsTraceEndsAtAPublicEndpoint looks at the headers that reach the engine.
func TestWhatAStrangerSaysOfItsTraceEndsAtAPublicEndpoint(t *testing.T) {
	const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, tt := range []struct {
		name   string
		opts   []otelvllm.Option
		passed bool
	}{
		{"a public endpoint", []otelvllm.Option{otelvllm.WithPublicEndpoint(nil)}, false},
		{"an endpoint that trusts its callers", nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got http.Header
				w := newWorld(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					got = r.Header.Clone()
					say(`{}`).ServeHTTP(w, r)
				}), append(tt.opts, otelvllm.WithPropagators(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})))...)
				defer w.close()
				r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, gatewayURL+chatPath, strings.NewReader(wholeBody))
				for name, value := range map[string]string{"Content-Type": "application/json", "Traceparent": traceparent, "Tracestate": "their=1", "Baggage": "user=root", "X-Other": "stays"} {
					r.Header.Set(name, value)
				}
				resp, err := w.client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				for name, value := range map[string]string{"Tracestate": "their=1", "Baggage": "user=root"} {
					if passed := got.Get(name) == value; passed != tt.passed {
						t.Errorf("the engine got %s %q; passed on: want %v", name, got.Get(name), tt.passed)
					}
				}
				if id := strings.Split(traceparent, "-")[1]; strings.Contains(got.Get("Traceparent"), id) != tt.passed || got.Get("X-Other") != "stays" {
					t.Errorf("the engine got traceparent %q, X-Other %q", got.Get("Traceparent"), got.Get("X-Other"))
				}
			})
		})
	}
}
