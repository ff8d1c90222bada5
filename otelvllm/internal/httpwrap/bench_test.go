package httpwrap

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAllocationsOfARequest(t *testing.T) {
	w, o := &fullWriter{}, &counter{}
	for name, c := range map[string]struct {
		r    *http.Request
		want float64
	}{
		"without body": {getRequest(), 1}, // the exchange
		"with body":    {post("body"), 2}, // and the copy of the request
	} {
		got := testing.AllocsPerRun(100, func() { Serve(http.HandlerFunc(nothing), w, c.r, o) })
		if got > c.want {
			t.Errorf("%s: got %v allocations, want %v", name, got, c.want)
		}
	}
}

func TestAllocationsOfAnEvent(t *testing.T) {
	event := []byte("data: {}\n\n")
	text := string(event)
	x := &exchange{w: &idle{}, o: &counter{}, outer: getRequest()}
	w := writers[abilities(x.w)](x)
	for name, f := range map[string]func(){
		"Write":       func() { w.Write(event) },                        //nolint:errcheck // it cannot fail
		"WriteString": func() { w.(io.StringWriter).WriteString(text) }, //nolint:errcheck // it cannot fail
		"Flush":       func() { w.(http.Flusher).Flush() },              //
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, got)
		}
	}
}

func nothing(http.ResponseWriter, *http.Request) {}

// idle is a writer that does nothing.
type idle struct{ header http.Header }

func (w *idle) Header() http.Header               { return w.header }
func (w *idle) WriteHeader(int)                   {}
func (w *idle) Write(p []byte) (int, error)       { return len(p), nil }
func (w *idle) WriteString(s string) (int, error) { return len(s), nil }
func (w *idle) Flush()                            {}

func BenchmarkRequest(b *testing.B) {
	event := []byte("data: {}\n\n")
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // it cannot fail
		w.Write(event)              //nolint:errcheck // it cannot fail
	})
	w, r, o := &idle{}, post(""), &counter{}
	r.Body = io.NopCloser(readFunc(func([]byte) (int, error) { return 0, io.EOF }))
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(w, r)
		}
	})
	b.Run("watched", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Serve(h, w, r, o)
		}
	})
}

func BenchmarkEvent(b *testing.B) {
	event := []byte("data: " + strings.Repeat("x", 200) + "\n\n")
	x := &exchange{w: &idle{}, o: &counter{}, outer: getRequest()}
	for name, w := range map[string]http.ResponseWriter{"bare": x.w, "watched": writers[abilities(x.w)](x)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.Write(event) //nolint:errcheck // it cannot fail
				w.(http.Flusher).Flush()
			}
		})
	}
}

// BenchmarkServer is a whole request on a loopback connection.
func BenchmarkServer(b *testing.B) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // the client would see it
		io.WriteString(w, "answer") //nolint:errcheck // the client would see it
	})
	for name, h := range map[string]http.Handler{
		"bare": h,
		"watched": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			Serve(h, w, r, &counter{})
		}),
	} {
		b.Run(name, func(b *testing.B) {
			ts := httptest.NewServer(h)
			defer ts.Close()
			b.ReportAllocs()
			for b.Loop() {
				resp, err := ts.Client().Post(ts.URL, "text/plain", strings.NewReader("question"))
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body) //nolint:errcheck // it is in memory
				resp.Body.Close()
			}
		})
	}
}
