package httpwrap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
