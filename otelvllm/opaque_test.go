package otelvllm_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// TestStreamThatCannotBeReadTellsNoChunks has an engine compress its stream, which is not read: then the number of its
// chunks is not known, and not zero.
func TestStreamThatCannotBeReadTellsNoChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Content-Encoding", "zstd")
			_, _ = io.WriteString(w, "compressed")
		}))
		defer w.close()
		if _, _, err := w.post(t, t.Context(), chatPath, streamBody); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if c := w.call(t); c.Outcome != otelvllm.Completed || c.Usage.Output.Known {
			t.Errorf("got %s, usage %+v; want it completed and the usage unknown", c.Outcome, c.Usage)
		}
		if n, told := attr(w.span(t, "chat tiny"), "vllm.request.chunks"); told {
			t.Errorf("got %s chunks, want none told", n)
		}
	})
}
