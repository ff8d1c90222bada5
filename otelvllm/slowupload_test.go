package otelvllm_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// TestASlowUploadIsNoSilenceOfTheEngine has a caller send a request for ten minutes, a byte a second. The engine has
// nothing to answer yet.
func TestASlowUploadIsNoSilenceOfTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := newTelemetry()
		h := otelvllm.Middleware(tel.options()...)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			time.Sleep(time.Minute)
		}))
		body, caller := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/audio/transcriptions", body))
		}()
		for range 600 {
			_, _ = caller.Write([]byte{'-'})
			time.Sleep(time.Second)
		}
		if got := tel.registry.Running()[0].Silent; got != time.Second {
			t.Errorf("got %s of silence while the request is sent, want 1s", got)
		}
		caller.Close()
		time.Sleep(30 * time.Second)
		if got := tel.registry.Running()[0].Silent; got != 30*time.Second {
			t.Errorf("got %s of silence after it was sent, want 30s", got)
		}
		<-done
	})
}
