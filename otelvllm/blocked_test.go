package otelvllm_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// stuckWriter is a writer whose caller does not read: a write or a flush returns when it is let go.
type stuckWriter struct {
	*httptest.ResponseRecorder
	inFlush bool
	release chan struct{}
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	if !w.inFlush {
		<-w.release
	}
	return w.ResponseRecorder.Write(p)
}

func (w *stuckWriter) Flush() {
	if w.inFlush {
		<-w.release
	}
}

func TestRegistryKnowsSinceWhenACallerDoesNotRead(t *testing.T) {
	for _, inFlush := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			registry := &inflight.Registry{}
			h := otelvllm.Middleware(otelvllm.WithRegistry(registry))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = w.Write([]byte("data: {}\n\n"))
				w.(http.Flusher).Flush()
				time.Sleep(time.Second) // the engine's next token
			}))
			w := &stuckWriter{httptest.NewRecorder(), inFlush, make(chan struct{})}
			done := make(chan struct{})
			go func() {
				defer close(done)
				h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"stream":true}`)))
			}()
			began := time.Now()
			time.Sleep(time.Minute)
			synctest.Wait()
			if list := registry.Running(); len(list) != 1 || !list[0].BlockedSince.Equal(began) {
				t.Errorf("in flush %t: got %+v, want one request blocked since %s", inFlush, list, began)
			}
			close(w.release)
			synctest.Wait()
			if list := registry.Running(); len(list) != 1 || !list[0].BlockedSince.IsZero() || !list[0].LastUnblocked.Equal(time.Now()) {
				t.Errorf("in flush %t: got %+v, want one request that was let go now", inFlush, list)
			}
			<-done
		})
	}
}
