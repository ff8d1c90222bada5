package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// TestAPublicGatewayStartsTracesOfItsOwn asks which trace the engine is given by a caller who brings one.
func TestAPublicGatewayStartsTracesOfItsOwn(t *testing.T) {
	const theirs = "0af7651916cd43dd8448eb211c80319c"
	for _, tt := range []struct {
		name   string
		args   []string
		joined bool
	}{
		{"the caller's trace goes on", nil, true},
		{"a stranger's does not", []string{"-public"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulated := sim.New(sim.Config{Model: "m"})
			got := make(chan string, 1)
			engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					got <- r.Header.Get("Traceparent")
				}
				simulated.ServeHTTP(w, r)
			}))
			defer engine.Close()
			g := startGateway(t, engine.URL, tt.args...)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.callers+"/v1/completions", strings.NewReader(`{"model":"m","prompt":"a","max_tokens":2}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Traceparent", "00-"+theirs+"-b7ad6b7169203331-01")
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if parent := <-got; len(parent) != 55 || strings.Contains(parent, theirs) != tt.joined {
				t.Errorf("got traceparent %q at the engine; want one of the caller's trace: %t", parent, tt.joined)
			}
		})
	}
}
