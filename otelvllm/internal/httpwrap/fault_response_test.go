package httpwrap

import (
	"bufio"
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

func TestFault_A07_HijackOfAnUpgradeIs101(t *testing.T) {
	for _, upgrade := range []bool{true, false} {
		t.Run(fmt.Sprintf("upgrade %v", upgrade), func(t *testing.T) {
			ts, ended := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, rw, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				rw.WriteString("raw") //nolint:errcheck // Flush tells
				if err := rw.Flush(); err != nil {
					t.Error(err)
				}
				if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
					t.Errorf("Write after Hijack: got %v, want ErrHijacked", err)
				}
				w.WriteHeader(500)
			}), "h1")
			header, want := "", 0
			if upgrade {
				header, want = "Upgrade: websocket\r\n", 101
			}
			if got := raw(t, ts, "GET / HTTP/1.1\r\nHost: x\r\n"+header+"\r\n"); got != "raw" {
				t.Errorf("client got %q, want %q", got, "raw")
			}
			o := <-ended
			o.wantStatus(t, want)
			o.wantResponse(t, "")
			o.wantDone(t, true)
		})
	}
}

func TestFault_A07_FailedHijackLeavesTheAnswerWatched(t *testing.T) {
	w, o := &fullWriter{hijacked: true}, &seen{}
	direct(func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := w.(http.Hijacker).Hijack(); !errors.Is(err, http.ErrHijacked) {
			t.Errorf("got %v, want ErrHijacked", err)
		}
		w.Write([]byte("abc")) //nolint:errcheck // the observer sees it
	}, w, getRequest(), o)
	o.wantStatus(t, 200)
	o.wantResponse(t, "abc")
}

func TestFault_A08_InformationalStatusIsNotFinal(t *testing.T) {
	each(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		w.WriteHeader(http.StatusCreated)
	}, func(t *testing.T, ts *httptest.Server, ended <-chan *seen) {
		if status, _ := get(t, ts, "/"); status != 201 {
			t.Errorf("client got %d, want 201", status)
		}
		(<-ended).wantStatus(t, 201)
	})
}

func TestFault_A08_SwitchingProtocolsIsFinal(t *testing.T) {
	w, o := &bareWriter{}, &seen{}
	direct(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(101) }, w, getRequest(), o)
	o.wantStatus(t, 101)
}

func TestFault_A09_EachWriteHeaderIsForwardedAndTheFirstCounts(t *testing.T) {
	w, o := &fullWriter{}, &seen{}
	direct(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(404)
		w.WriteHeader(500)
		w.Write([]byte("x")) //nolint:errcheck // the real writer keeps it
		w.WriteHeader(200)
		w.(http.Hijacker).Hijack() //nolint:errcheck // it works once
		w.WriteHeader(400)
	}, w, getRequest(), o)
	if got := fmt.Sprint(w.status); got != "[404 500 200 400]" {
		t.Errorf("real writer got %s", got)
	}
	o.wantStatus(t, 404)
}

func TestFault_A09_InvalidStatusPanicsAsEverAndIsNotTold(t *testing.T) {
	for _, status := range []int{0, 99, 1000, -1} {
		o := &seen{}
		got := direct(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, httptest.NewRecorder(), getRequest(), o)
		want := direct(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, httptest.NewRecorder(), getRequest(), nil)
		if fmt.Sprint(got) != fmt.Sprint(want) || got == nil {
			t.Errorf("%d: got panic %v, want %v", status, got, want)
		}
		o.wantStatus(t, 0)
		o.wantDone(t, false)
	}
}

func TestFault_A10_StatusIs200WhereTheHandlerWroteNone(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"nothing":     func(http.ResponseWriter, *http.Request) {},
		"empty write": func(w http.ResponseWriter, _ *http.Request) { w.Write(nil) },         //nolint:errcheck // see below
		"write":       func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("x")) }, //nolint:errcheck // see below
		"flush":       func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"copy":        func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, plain{strings.NewReader("x")}) }, //nolint:errcheck // see below
	} {
		t.Run(name, func(t *testing.T) {
			each(t, h, func(t *testing.T, ts *httptest.Server, ended <-chan *seen) {
				if status, _ := get(t, ts, "/"); status != 200 {
					t.Errorf("client got %d", status)
				}
				o := <-ended
				o.wantStatus(t, 200)
				o.wantDone(t, true)
			})
		})
	}
}

func TestFault_A11_AnswersThatHaveNoBody(t *testing.T) {
	each(t, func(w http.ResponseWriter, r *http.Request) {
		var status int
		fmt.Sscan(r.URL.Query().Get("status"), &status) //nolint:errcheck // the tests send numbers
		w.WriteHeader(status)
		_, err := io.WriteString(w, "body")
		if want := r.Method != http.MethodHead; (err != nil) != want && status != 200 {
			t.Errorf("write to %s %d: %v", r.Method, status, err)
		}
	}, func(t *testing.T, ts *httptest.Server, ended <-chan *seen) {
		for _, c := range []struct {
			method string
			status int
		}{{http.MethodHead, 200}, {http.MethodGet, 204}, {http.MethodGet, 304}} {
			req, err := http.NewRequestWithContext(t.Context(), c.method, fmt.Sprintf("%s/?status=%d", ts.URL, c.status), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := ts.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			o := <-ended
			o.wantStatus(t, c.status)
			o.wantResponse(t, "")
			o.wantDone(t, true)
		}
	})
}

func TestFault_A12_TrailersArrive(t *testing.T) {
	each(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Declared")
		io.WriteString(w, "body") //nolint:errcheck // the client gets it
		w.Header().Set("X-Declared", "a")
		w.Header().Set(http.TrailerPrefix+"X-Late", "b")
	}, func(t *testing.T, ts *httptest.Server, ended <-chan *seen) {
		resp, err := ts.Client().Get(ts.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
		if a, b := resp.Trailer.Get("X-Declared"), resp.Trailer.Get("X-Late"); a != "a" || b != "b" {
			t.Errorf("client got the trailers %v", resp.Trailer)
		}
		(<-ended).wantResponse(t, "body")
	})
}

func TestFault_A13_WrongContentLengthFailsAsEver(t *testing.T) {
	each(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3")
		body := strings.TrimPrefix(r.URL.Path, "/")
		n, err := io.WriteString(w, body)
		// HTTP/2 looks at the length only when its buffer goes out.
		if tooLong := len(body) > 3 && r.ProtoMajor == 1; tooLong && (n != 0 || !errors.Is(err, http.ErrContentLength)) || !tooLong && err != nil {
			t.Errorf("%q: got %d, %v", body, n, err)
		}
	}, func(t *testing.T, ts *httptest.Server, ended <-chan *seen) {
		for _, body := range []string{"abcd", "a"} {
			resp, err := ts.Client().Get(ts.URL + "/" + body)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("%q: the client took it for a whole answer", body)
			}
			resp.Body.Close()
			o := <-ended
			if tooLong := len(body) > 3 && resp.ProtoMajor == 1; tooLong != (len(o.writeErrs) == 1) {
				t.Errorf("%q: told %v", body, o.writeErrs)
			}
		}
	})
}

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

func TestBodyOfNoInterestTellsItsErrorsAlone(t *testing.T) {
	broken := errors.New("broken pipe")
	w, o := &bareWriter{}, &seen{ignore: true}
	direct(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Write([]byte("abc")) //nolint:errcheck // it cannot fail yet
		w.err = broken
		rw.Write([]byte("abc")) //nolint:errcheck // the observer is told
	}, w, getRequest(), o)
	o.wantResponse(t, "")
	o.wantDone(t, true)
	if len(o.writeErrs) != 1 || !errors.Is(o.writeErrs[0], broken) {
		t.Errorf("told write errors %v, want [%v]", o.writeErrs, broken)
	}
}

func TestWrongCountsOfAWriterDoNoHarm(t *testing.T) {
	for _, n := range []int{-1, 4, 1 << 40} {
		o := &seen{}
		direct(func(w http.ResponseWriter, _ *http.Request) {
			if got, _ := w.Write([]byte("abc")); got != n {
				t.Errorf("got %d, want the writer's %d", got, n)
			}
		}, &lyingWriter{n: n}, getRequest(), o)
		o.wantDone(t, true)
		if len(o.response) > 3 {
			t.Errorf("observer saw %d bytes of 3", len(o.response))
		}
	}
}

type lyingWriter struct {
	bareWriter
	n int
}

func (w *lyingWriter) Write([]byte) (int, error) { return w.n, nil }

func TestHeaderIsToldAsItIsSent(t *testing.T) {
	ts, ended := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-A", "before")
		w.WriteHeader(202)
		w.Header().Set("X-A", "after")
	}), "h1")
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw(t, ts, "GET /"+closing))), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if o := <-ended; o.header.Get("X-A") != resp.Header.Get("X-A") || o.header.Get("X-A") != "before" {
		t.Errorf("told %q, sent %q, want before", o.header.Get("X-A"), resp.Header.Get("X-A"))
	}
}
