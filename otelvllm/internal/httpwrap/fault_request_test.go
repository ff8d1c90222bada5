package httpwrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func post(body string) *http.Request {
	return httptest.NewRequest(http.MethodPost, "/", plain{strings.NewReader(body)})
}

func TestFault_A21_BodyIsNeverReadAhead(t *testing.T) {
	reads := 0
	r := post("")
	r.Body = io.NopCloser(readFunc(func([]byte) (int, error) { reads++; return 0, io.EOF }))
	o := &seen{}
	direct(func(_ http.ResponseWriter, r *http.Request) {
		if reads != 0 {
			t.Errorf("body was read %d times before its handler asked", reads)
		}
		io.ReadAll(r.Body) //nolint:errcheck // it is empty
	}, httptest.NewRecorder(), r, o)
	if reads != 1 {
		t.Errorf("body was read %d times, want once as the handler did", reads)
	}
	o.wantEnd(t, nil)
}

func TestFault_A22_LargeBodyIsNotKept(t *testing.T) {
	const size = 1 << 30
	r := post("")
	r.Body = io.NopCloser(io.LimitReader(readFunc(func(p []byte) (int, error) { return len(p), nil }), size))
	o := &counter{}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	direct(func(_ http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
			t.Errorf("handler read %d bytes, %v", n, err)
		}
	}, httptest.NewRecorder(), r, o)
	runtime.ReadMemStats(&after)
	if o.request != size {
		t.Errorf("observer saw %d bytes, want %d", o.request, size)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes were allocated for a body of %d", got, size)
	}
}

func TestFault_A23_UnreadBodyEndsOnceAsClosed(t *testing.T) {
	o := &seen{}
	direct(func(_ http.ResponseWriter, r *http.Request) {
		r.Body.Read(make([]byte, 2)) //nolint:errcheck // the observer sees it
	}, httptest.NewRecorder(), post("body"), o)
	o.wantEnd(t, ErrClosed)
	o.wantDone(t, true)
	if string(o.request) != "bo" {
		t.Errorf("observer saw %q, want what the handler read", o.request)
	}
}

func TestFault_A23_ReadAfterTheHandlerReturnedFailsAsEver(t *testing.T) {
	bodies := make(chan io.ReadCloser, 1)
	each(t, func(_ http.ResponseWriter, r *http.Request) { bodies <- r.Body }, func(t *testing.T, ts *httptest.Server, ended <-chan *seen) {
		resp, err := ts.Client().Post(ts.URL, "text/plain", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		o := <-ended
		ts.Close() // waits until the server is done with the request
		// HTTP/2 gives out what it had received; HTTP/1 has given its buffers back.
		if n, err := (<-bodies).Read(make([]byte, 9)); resp.ProtoMajor == 1 && (n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose)) {
			t.Errorf("read %d bytes, %v, after the handler returned, want ErrBodyReadAfterClose", n, err)
		}
		if len(o.request) != 0 {
			t.Errorf("observer saw %q after the end", o.request)
		}
		o.wantEnd(t, ErrClosed)
		o.wantDone(t, true)
	})
}

func TestFault_A24_ContinueIsSentOnlyWhenTheHandlerReads(t *testing.T) {
	ts, ended := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/read" {
			io.ReadAll(r.Body) //nolint:errcheck // the observer sees it
		}
	}), "h1")
	for path, want := range map[string]bool{"/read": true, "/leave": false} {
		wire := raw(t, ts, "POST "+path+" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody")
		if got := strings.HasPrefix(wire, "HTTP/1.1 100 Continue"); got != want {
			t.Errorf("%s: 100 Continue sent: got %v, want %v", path, got, want)
		}
		(<-ended).wantStatus(t, 200)
	}
}

func TestFault_A25_LimitOutsideIsTheOneThatCounts(t *testing.T) {
	// Request.ParseForm has a limit of 10 MB of its own, unless the body has one already.
	form := "a=" + strings.Repeat("x", 11<<20)
	for _, limit := range []int64{20 << 20, 1 << 10} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Body = http.MaxBytesReader(w, r.Body, limit)
				Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if err := r.ParseForm(); err != nil {
						http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
					}
				}), w, r, &seen{})
			}))
			defer ts.Close()
			resp, err := ts.Client().Post(ts.URL, "application/x-www-form-urlencoded", strings.NewReader(form))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			want := map[bool]int{true: 200, false: 413}[limit > int64(len(form))]
			if resp.StatusCode != want || resp.Close != (want == 413) {
				t.Errorf("got %d and close %v, want %d and close %v", resp.StatusCode, resp.Close, want, want == 413)
			}
		})
	}
}

func TestFault_A25_LimitInsideGivesTheSameAnswer(t *testing.T) {
	ts, ended := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 10)
		_, err := io.ReadAll(r.Body)
		if e := new(http.MaxBytesError); !errors.As(err, &e) || e.Limit != 10 {
			t.Errorf("got %v, want the error of the limit", err)
		}
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	}), "h1")
	for _, size := range []int{100, 1 << 20} {
		resp, err := ts.Client().Post(ts.URL, "text/plain", bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if large := size > 256<<10; resp.StatusCode != 413 || large && !resp.Close {
			t.Errorf("%d bytes: got %d and close %v, want 413, and close where much is left", size, resp.StatusCode, resp.Close)
		}
		o := <-ended
		o.wantStatus(t, 413)
		o.wantEnd(t, ErrClosed)
	}
}

func TestFault_A26_MultipartFilesAreRemoved(t *testing.T) {
	for _, how := range []string{"return", "panic", "own context"} {
		t.Run(how, func(t *testing.T) {
			var body bytes.Buffer
			form := multipart.NewWriter(&body)
			part, err := form.CreateFormFile("file", "audio.wav")
			if err != nil {
				t.Fatal(err)
			}
			part.Write(make([]byte, 1<<20)) //nolint:errcheck // a buffer takes all
			form.Close()
			var path string
			handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if err := r.ParseMultipartForm(1); err != nil {
					t.Error(err)
					return
				}
				f, err := r.MultipartForm.File["file"][0].Open()
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				path = f.(*os.File).Name()
				if how == "panic" {
					panic(http.ErrAbortHandler)
				}
			})
			ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx := r.Context()
				if how == "own context" {
					ctx = context.WithValue(ctx, http.LocalAddrContextKey, nil)
				}
				defer func() {
					if recover() != nil {
						w.WriteHeader(500)
					}
				}()
				ServeContext(ctx, handler, w, r, &seen{})
			}))
			resp, err := ts.Client().Post(ts.URL, form.FormDataContentType(), &body)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			ts.Close() // waits until the server is done with the request
			if path == "" {
				t.Fatal("the handler found no file on disk")
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is still there (%v)", path, err)
			}
		})
	}
}

func TestFault_A27_NoBodyStaysNoBody(t *testing.T) {
	for _, body := range []io.ReadCloser{nil, http.NoBody} {
		o, r := &seen{}, getRequest()
		r.Body = body
		direct(func(_ http.ResponseWriter, inner *http.Request) {
			if inner.Body != body {
				t.Errorf("got %T, want %T", inner.Body, body)
			}
			if inner != r {
				t.Error("the request was copied, but nothing in it had to change")
			}
		}, httptest.NewRecorder(), r, o)
		if len(o.ends) != 0 {
			t.Errorf("told the end %v of a body that is not there", o.ends)
		}
		if got := WatchBody(body, &bodySeen{}); got != body {
			t.Errorf("WatchBody: got %T, want %T", got, body)
		}
	}
}

func TestFault_A27_BodyIsWatchedOnACopyOnly(t *testing.T) {
	r := post("body")
	was := r.Body
	direct(func(_ http.ResponseWriter, inner *http.Request) {
		if inner == r || r.Body != was {
			t.Error("the outer request was changed while the handler ran")
		}
	}, httptest.NewRecorder(), r, &seen{})
	if r.Body != was {
		t.Errorf("the outer request has the body %T afterwards, want its own", r.Body)
	}
}

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

func TestRequestTrailersArriveWithTheBody(t *testing.T) {
	for _, announced := range []string{"Trailer: X-Sum\r\n", ""} {
		var got string
		ts, ended := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				t.Error(err)
			}
			got = r.Trailer.Get("X-Sum")
		}), "h1")
		raw(t, ts, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"+announced+
			"\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n")
		(<-ended).wantEnd(t, nil)
		if got != "1" {
			t.Errorf("announced %q: the handler saw the trailer %q, want 1", announced, got)
		}
	}
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// counter is an observer that keeps nothing but sizes.
type counter struct{ request, response int64 }

func (c *counter) RequestBody(p []byte)                 { c.request += int64(len(p)) }
func (c *counter) RequestEnd(error)                     {}
func (c *counter) ResponseHeader(int, http.Header) bool { return true }
func (c *counter) ResponseBody(p []byte, _ error)       { c.response += int64(len(p)) }
func (c *counter) ResponseFlush(error)                  {}
func (c *counter) Done(bool)                            {}

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
