package otelvllm_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

func TestEngineTimesThatCannotBeAreNotBelieved(t *testing.T) {
	for _, tt := range []struct {
		name  string
		queue time.Duration
		want  bool
	}{
		{"a recording that is played faster than it was made", 8 * time.Second, true},
		{"a clock that has jumped by a day", 24 * time.Hour, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got otelvllm.Call
			h := otelvllm.Middleware(otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) { got = c }))(
				http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprintf(w, `{"id":"a","model":"tiny","choices":[{"index":0,"message":{"content":"b"},"finish_reason":"stop"}],`+
						`"usage":{"prompt_tokens":1,"completion_tokens":1},"metrics":{"time_to_first_token_ms":5,"generation_time_ms":5,"queue_time_ms":%d}}`,
						tt.queue.Milliseconds())
				}))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(`{"model":"tiny"}`)))
			if got.Outcome != otelvllm.Completed || got.Engine.Known != tt.want {
				t.Errorf("got outcome %s and times known %t, want completed and %t", got.Outcome, got.Engine.Known, tt.want)
			}
		})
	}
}
