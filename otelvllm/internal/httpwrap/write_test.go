package httpwrap_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm/internal/httpwrap"
)

// writeLog keeps the order of what an observer of writes and the writer itself see.
type writeLog struct{ steps []string }

func (l *writeLog) RequestBody([]byte)                   {}
func (l *writeLog) RequestEnd(error)                     {}
func (l *writeLog) ResponseHeader(int, http.Header) bool { return true }
func (l *writeLog) ResponseBody([]byte, error)           { l.add("shown") }
func (l *writeLog) ResponseFlush(error)                  { l.add("flush shown") }
func (l *writeLog) Done(bool)                            { l.add("done") }
func (l *writeLog) WriteStarted()                        { l.add("started") }
func (l *writeLog) WriteEnded()                          { l.add("ended") }
func (l *writeLog) add(step string)                      { l.steps = append(l.steps, step) }

// loggingWriter is a writer with io.ReaderFrom that logs when it is asked to write.
type loggingWriter struct {
	*httptest.ResponseRecorder
	log *writeLog
}

func (w loggingWriter) Write(p []byte) (int, error) {
	w.log.add("write")
	return w.ResponseRecorder.Write(p)
}

func (w loggingWriter) Flush() { w.log.add("flush") }

func (w loggingWriter) ReadFrom(r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, r, make([]byte, 4))
}

func TestWriteObserverKnowsOfWritesWhileTheyLast(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		want    []string
	}{
		{"a write and a flush", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("a"))
			w.(http.Flusher).Flush()
		}, []string{"started", "write", "ended", "shown", "started", "flush", "ended", "flush shown", "done"}},
		{"a copy, where only the writes between the reads count", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.(io.ReaderFrom).ReadFrom(struct{ io.Reader }{strings.NewReader("abcdef")})
		}, []string{"shown", "started", "write", "ended", "shown", "started", "write", "ended", "done"}},
		{"a copy from a source with a way of its own", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("abcdef"))
		}, []string{"started", "write", "ended", "shown", "done"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := &writeLog{}
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			httpwrap.Serve(tt.handler, loggingWriter{httptest.NewRecorder(), log}, r, log)
			if !slices.Equal(log.steps, tt.want) {
				t.Errorf("got steps %q, want %q", log.steps, tt.want)
			}
		})
	}
}
