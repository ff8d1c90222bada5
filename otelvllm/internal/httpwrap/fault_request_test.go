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
