package engine

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestAPausedEngineIsAsleep is what a vLLM shows that is paused while it answers one request and gets no other: its
// gauges keep what the last step said, which looks like a wedge, and only /is_paused tells.
func TestAPausedEngineIsAsleep(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answer   string // of /is_paused; empty is 404
		inFlight int
		want     State
		asked    int
	}{
		{"one that says so is asleep", `{"is_paused":true}`, 1, Asleep, 2},
		{"one that denies it is up until it has stood still for long", `{"is_paused":false}`, 1, Up, 2},
		{"one without the answer is asked once", "", 1, Up, 1},
		{"one without requests of ours is not asked", `{"is_paused":true}`, 0, Up, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/health":
				case "/metrics":
					fmt.Fprint(w, "vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 1\nvllm:generation_tokens_total{engine=\"0\",model_name=\"m\"} 7\n")
				case "/is_paused":
					asked++
					if tt.answer == "" {
						http.NotFound(w, r)
						return
					}
					fmt.Fprint(w, tt.answer)
				default:
					http.NotFound(w, r)
				}
			}))
			defer server.Close()
			client := newHTTPClient()
			defer client.CloseIdleConnections()
			target := newTarget(server.Listener.Addr().String(), Client{URL: server.URL, HTTP: client}, time.Minute)
			for range 3 {
				target.poll(t.Context(), time.Second, func(string) int { return tt.inFlight })
			}
			if got := target.view.Load().status.State; got != tt.want || asked != tt.asked {
				t.Errorf("got state %s after %d questions, want %s after %d", got, asked, tt.want, tt.asked)
			}
		})
	}
}
