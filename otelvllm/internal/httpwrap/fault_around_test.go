package httpwrap

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

func TestFault_A28_PatternAndPathValuesAreSeenOutside(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/{model}/files/{path...}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /panic/{model}/{$}", func(http.ResponseWriter, *http.Request) { panic("boom") })
	for _, c := range []struct{ url, pattern, model, path string }{
		{"/v1/llama/files/a/b", "POST /v1/{model}/files/{path...}", "llama", "a/b"},
		{"/panic/llama/", "POST /panic/{model}/{$}", "llama", ""},
		{"/nowhere", "", "", ""},
	} {
		r := httptest.NewRequest(http.MethodPost, c.url, plain{strings.NewReader("body")})
		direct(mux.ServeHTTP, httptest.NewRecorder(), r, &seen{})
		if r.Pattern != c.pattern || r.PathValue("model") != c.model || r.PathValue("path") != c.path {
			t.Errorf("%s: got %q, %q, %q", c.url, r.Pattern, r.PathValue("model"), r.PathValue("path"))
		}
	}
}

func TestFault_A28_RouterWithItsOwnValues(t *testing.T) {
	r := post("body")
	direct(func(_ http.ResponseWriter, r *http.Request) {
		r.Pattern = "/v1/{id:[0-9]{2}}/{broken"
		r.SetPathValue("id", "42")
	}, httptest.NewRecorder(), r, &seen{})
	if got := r.PathValue("id"); got != "42" {
		t.Errorf("got %q, want 42", got)
	}
}

func TestFault_A28_ContextOfTheInnerRequestStaysInside(t *testing.T) {
	type key struct{}
	mux, r := http.NewServeMux(), getRequest()
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) {
		if r.Context().Value(key{}) != 1 {
			t.Error("the handler does not see the context")
		}
	})
	for _, o := range []Observer{&seen{}, nil} {
		ServeContext(context.WithValue(r.Context(), key{}, 1), mux, httptest.NewRecorder(), r, o)
		if r.Context().Value(key{}) != nil || r.Pattern != "/" {
			t.Errorf("outside: context value %v, pattern %q", r.Context().Value(key{}), r.Pattern)
		}
	}
}

func TestFault_A29_LateGoroutineIsNotWatched(t *testing.T) {
	o, w := &seen{}, &fullWriter{}
	release, done := make(chan struct{}), make(chan struct{})
	direct(func(w http.ResponseWriter, r *http.Request) {
		go func() {
			defer close(done)
			<-release
			w.WriteHeader(500)
			io.WriteString(w, "late")                        //nolint:errcheck // nobody is there
			w.Write([]byte("late"))                          //nolint:errcheck // nobody is there
			io.Copy(w, plain{strings.NewReader("late")})     //nolint:errcheck // nobody is there
			w.(http.Flusher).Flush()                         //
			r.Body.Read(make([]byte, 4))                     //nolint:errcheck // nobody is there
			w.(interface{ FlushError() error }).FlushError() //nolint:errcheck // nobody is there
			r.Body.Close()
		}()
	}, w, post("body"), o)
	close(release)
	<-done
	o.wantDone(t, true)
	o.wantStatus(t, 200)
	o.wantEnd(t, ErrClosed)
	if len(w.writes) != 5 {
		t.Errorf("the real writer got %q, want all five calls", w.writes)
	}
}

func TestFault_A29_LateGoroutineRacesWithTheEnd(t *testing.T) {
	for range 200 {
		var wg sync.WaitGroup
		o, r := &seen{}, post("")
		r.Body = io.NopCloser(readFunc(func([]byte) (int, error) { return 0, io.EOF }))
		direct(func(w http.ResponseWriter, r *http.Request) {
			for range 2 {
				wg.Go(func() {
					r.Body.Read(make([]byte, 1)) //nolint:errcheck // the race detector looks on
				})
			}
			wg.Go(func() { w.WriteHeader(201) })
		}, &lockedWriter{}, r, o)
		wg.Wait()
		if len(o.done) != 1 || len(o.ends) != 1 || len(o.status) > 1 {
			t.Fatalf("told done %v, end %v, status %v", o.done, o.ends, o.status)
		}
	}
}

func TestFault_A30_WritesAndFlushesFromSeveralGoroutines(t *testing.T) {
	const each = 200
	ts, ended := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		var wg sync.WaitGroup
		var mu sync.Mutex // HTTP/2 allows one writer beside one that flushes
		for range 2 {
			wg.Go(func() {
				for range each {
					mu.Lock()
					io.WriteString(w, "data: 1\n\n") //nolint:errcheck // counted below
					mu.Unlock()
				}
			})
		}
		wg.Go(func() {
			for range each {
				mu.Lock()
				w.(http.Flusher).Flush()
				mu.Unlock()
			}
		})
		wg.Wait()
	}), "h2")
	_, body := get(t, ts, "/")
	if want := 2 * each * len("data: 1\n\n"); len(body) != want {
		t.Errorf("client got %d bytes, want %d", len(body), want)
	}
	o := <-ended
	o.wantResponse(t, body)
	if len(o.flushes) != each {
		t.Errorf("told %d flushes, want %d", len(o.flushes), each)
	}
}

func TestFault_A30_ObserverCallsAreNotSerialised(t *testing.T) {
	// Two writes meet inside the observer: if the wrapper held a lock, the second would never get there.
	var meet sync.WaitGroup
	meet.Add(2)
	o := &seen{}
	both := &meeting{seen: o, meet: &meet}
	direct(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { w.Write([]byte("x")) }) //nolint:errcheck // the observer sees it
		}
		wg.Wait()
	}, &lockedWriter{}, getRequest(), both)
	o.wantResponse(t, "xx")
}

func TestFault_A36_WithoutObserverNothingIsMade(t *testing.T) {
	w, r := http.ResponseWriter(httptest.NewRecorder()), post("body")
	h := http.HandlerFunc(func(gotW http.ResponseWriter, gotR *http.Request) {
		if gotW != w || gotR != r {
			t.Error("writer or request was replaced")
		}
	})
	if got := testing.AllocsPerRun(100, func() { Serve(h, w, r, nil) }); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

func TestFault_A37_NilHandlerIsTheDefaultMux(t *testing.T) {
	w, o := httptest.NewRecorder(), &seen{}
	Serve(nil, w, httptest.NewRequest(http.MethodGet, "/not/registered", nil), o)
	if w.Code != 404 {
		t.Errorf("got %d, want the 404 of an empty mux", w.Code)
	}
	o.wantStatus(t, 404)
}

// lockedWriter is a writer that several goroutines may use.
type lockedWriter struct {
	mu sync.Mutex
	bareWriter
}

func (w *lockedWriter) Header() http.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bareWriter.Header()
}

func (w *lockedWriter) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bareWriter.WriteHeader(status)
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bareWriter.Write(p)
}

// meeting is an observer in which two calls wait for each other.
type meeting struct {
	*seen
	meet *sync.WaitGroup
}

func (m *meeting) ResponseBody(p []byte, err error) {
	m.meet.Done()
	m.meet.Wait()
	m.seen.ResponseBody(p, err)
}
