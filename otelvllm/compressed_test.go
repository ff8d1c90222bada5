package otelvllm_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// TestTheExtraEventStaysAwayFromCallersWhoAcceptCompression has something between gateway and engine that compresses
// whatever it may.
func TestTheExtraEventStaysAwayFromCallersWhoAcceptCompression(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				fiveWords().ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer func() { _ = z.Close() }()
			fiveWords().ServeHTTP(compressing{w, z}, r)
		}))
		defer w.close()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, gatewayURL+chatPath, strings.NewReader(streamBody))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept-Encoding", "gzip, deflate")
		resp, err := w.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body io.Reader = resp.Body
		if resp.Header.Get("Content-Encoding") == "gzip" {
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		text, err := io.ReadAll(body)
		if err != nil || !strings.HasSuffix(string(text), "data: [DONE]\n\n") || strings.Contains(string(text), `"usage"`) {
			t.Errorf("got %v, %s; want the stream without usage", err, text)
		}
		synctest.Wait()
		if call := w.call(t); !call.Usage.Output.Known {
			t.Errorf("got usage %+v, want it known", call.Usage)
		}
	})
}

// compressing writes an answer's body through a compressor.
type compressing struct {
	http.ResponseWriter
	z *gzip.Writer
}

func (c compressing) Write(p []byte) (int, error) { return c.z.Write(p) }
func (c compressing) Flush()                      { _ = c.z.Flush() }

// TestAStreamThatCannotBeReadIsNotTouched has an engine that compresses whatever it is asked.
func TestAStreamThatCannotBeReadIsNotTouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const packed = "\x1f\x8b: no gzip, but nobody looks\n\n"
		w := newWorld(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, packed)
		}))
		defer w.close()
		resp, body, err := w.post(t, t.Context(), chatPath, streamBody)
		if err != nil || string(body) != packed || resp.ContentLength != int64(len(packed)) {
			t.Errorf("got %v, %q of the length %d; want the engine's own", err, body, resp.ContentLength)
		}
	})
}
