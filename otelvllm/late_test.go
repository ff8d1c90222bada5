package otelvllm_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// TestBodyReadBehindTheHandlersBackIsNoRace leaves the body to a goroutine that meets its end while the handler
// returns, as a transport does whose server answers early. It can fail under the race detector alone.
func TestBodyReadBehindTheHandlersBackIsNoRace(t *testing.T) {
	tel := newTelemetry()
	var readers sync.WaitGroup
	h := otelvllm.Middleware(tel.options(otelvllm.WithLogger(newTextLogger(io.Discard)))...)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		started := make(chan struct{})
		readers.Go(func() {
			close(started)
			_, _ = io.Copy(io.Discard, r.Body)
		})
		<-started
	}))
	for range 2000 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, chatPath, io.NopCloser(strings.NewReader(wholeBody))))
	}
	readers.Wait()
	if got := len(tel.calls); got != 2000 {
		t.Errorf("got %d ended calls, want 2000", got)
	}
}
