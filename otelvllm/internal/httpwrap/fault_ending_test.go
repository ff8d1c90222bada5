package httpwrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestFault_A14_PanicsPassUnchanged(t *testing.T) {
	failure := errors.New("failure")
	for name, value := range map[string]any{"string": "boom", "error": failure, "nil": nil} {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, before the first byte %v", name, before), func(t *testing.T) {
				o := &seen{}
				got := direct(func(w http.ResponseWriter, _ *http.Request) {
					if !before {
						w.Write([]byte("half")) //nolint:errcheck // the observer sees it
					}
					panic(value)
				}, httptest.NewRecorder(), getRequest(), o)
				if e := new(runtime.PanicNilError); value == nil && !errors.As(got.(error), &e) || value != nil && got != value {
					t.Errorf("got panic %v, want %v", got, value)
				}
				o.wantDone(t, false)
				if before {
					o.wantStatus(t, 0)
				} else {
					o.wantStatus(t, 200)
					o.wantResponse(t, "half")
				}
			})
		}
	}
}

func TestFault_A14_StackOfAPanicNamesTheHandler(t *testing.T) {
	var stack string
	func() {
		defer func() {
			if recover() != nil {
				b := make([]byte, 1<<16)
				stack = string(b[:runtime.Stack(b, false)])
			}
		}()
		Serve(http.HandlerFunc(panicking), httptest.NewRecorder(), getRequest(), &seen{})
	}()
	if !strings.Contains(stack, "httpwrap.panicking") {
		t.Errorf("the handler is not in the stack of its panic:\n%s", stack)
	}
}

func panicking(http.ResponseWriter, *http.Request) { panic("boom") }

func TestFault_A15_AbortedStreamIsCutAndNotCaught(t *testing.T) {
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n") //nolint:errcheck // the proxy gets it
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer engine.Close()
	target, err := url.Parse(engine.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	each(t, proxy.ServeHTTP, func(t *testing.T, ts *httptest.Server, ended <-chan *seen) {
		resp, err := ts.Client().Get(ts.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err == nil || string(b) != "data: 1\n\n" {
			t.Errorf("client got %q, %v, want the event and then a broken stream", b, err)
		}
		o := <-ended
		o.wantStatus(t, 200)
		o.wantResponse(t, "data: 1\n\n")
		o.wantDone(t, false)
	})
}

func TestFault_A16_GoexitIsNoSuccess(t *testing.T) {
	o, exited := &seen{}, make(chan bool)
	go func() {
		exits := true
		defer func() { exited <- exits }()
		Serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runtime.Goexit() }), httptest.NewRecorder(), getRequest(), o)
		exits = false
	}()
	if !<-exited {
		t.Error("the goroutine went on after runtime.Goexit")
	}
	o.wantDone(t, false)
	o.wantStatus(t, 0)
}

func TestFault_A20_NothingIsLockedWhileAWriteBlocks(t *testing.T) {
	w := &stuckWriter{entered: make(chan struct{}), free: make(chan struct{})}
	o := &seen{}
	direct(func(w http.ResponseWriter, _ *http.Request) {
		go w.Write([]byte("x")) //nolint:errcheck // it is stuck
		<-inner(w).(*stuckWriter).entered
		w.Header().Set("A", "b")
		w.(http.Flusher).Flush() // would wait for the write if a lock were held
		o.wantStatus(t, 200)
		if len(o.flushes) != 1 {
			t.Error("the flush was not told while the write was stuck")
		}
	}, w, getRequest(), o)
	o.wantDone(t, true)
	close(w.free)
}

// stuckWriter is a writer whose client does not read.
type stuckWriter struct {
	bareWriter
	entered, free chan struct{}
}

func (w *stuckWriter) Flush() {}

func (w *stuckWriter) Write([]byte) (int, error) {
	close(w.entered)
	<-w.free
	return 0, io.ErrClosedPipe
}

func inner(w http.ResponseWriter) http.ResponseWriter {
	return w.(interface{ Unwrap() http.ResponseWriter }).Unwrap()
}

func TestFault_A31_TimeoutHandlerOnEitherSide(t *testing.T) {
	release := make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		io.WriteString(w, "late") //nolint:errcheck // it fails
	})
	t.Run("inside", func(t *testing.T) {
		each(t, http.TimeoutHandler(slow, time.Millisecond, "too slow").ServeHTTP, func(t *testing.T, ts *httptest.Server, ended <-chan *seen) {
			if status, body := get(t, ts, "/"); status != 503 || body != "too slow" {
				t.Errorf("client got %d %q", status, body)
			}
			o := <-ended
			o.wantStatus(t, 503)
			o.wantResponse(t, "too slow")
			o.wantDone(t, true)
		})
	})
	close(release)
	t.Run("outside", func(t *testing.T) {
		o := &seen{}
		ts := httptest.NewServer(http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if got := abilities(w); got != canPush {
					t.Errorf("got the interfaces %07b, want those of http.TimeoutHandler's writer", got)
				}
				w.WriteHeader(201)
			}), w, r, o)
		}), time.Hour, ""))
		defer ts.Close()
		if status, _ := get(t, ts, "/"); status != 201 {
			t.Errorf("client got %d, want 201", status)
		}
		o.wantStatus(t, 201)
	})
}

func TestFault_A33_OldClientsAndPipelining(t *testing.T) {
	ts, ended := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Path) //nolint:errcheck // the client gets it
	}), "h1")
	t.Run("HTTP/1.0", func(t *testing.T) {
		resp, body := exchangeOf(t, "GET", raw(t, ts, "GET /old HTTP/1.0\r\n\r\n"))
		if body != "/old" || !resp.Close {
			t.Errorf("got %q, close %v", body, resp.Close)
		}
		(<-ended).wantResponse(t, "/old")
	})
	t.Run("pipelined", func(t *testing.T) {
		wire := raw(t, ts, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2"+closing)
		if strings.Count(wire, "HTTP/1.1 200 OK") != 2 {
			t.Errorf("got %q, want two answers", wire)
		}
		(<-ended).wantResponse(t, "/1")
		(<-ended).wantResponse(t, "/2")
	})
}

func TestFault_A34_ResetStreamIsTold(t *testing.T) {
	ts, ended := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if err := c.Flush(); err != nil {
			t.Errorf("first flush: %v", err)
		}
		<-r.Context().Done()
		if _, err := w.Write(make([]byte, 1<<20)); err == nil {
			t.Error("a write to a stream that was reset did not fail")
		}
	}), "h2")
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ts.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := ts.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.ProtoMajor != 2 {
		t.Fatalf("got protocol %s, want HTTP/2", resp.Proto)
	}
	cancel()
	resp.Body.Close()
	o := <-ended
	if len(o.writeErrs) != 1 {
		t.Errorf("told %v, want the write's error", o.writeErrs)
	}
	o.wantStatus(t, 200)
	o.wantDone(t, true)
}
