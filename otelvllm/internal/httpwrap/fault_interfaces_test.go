package httpwrap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFault_A01_FlusherWhereTheRealWriterHasIt(t *testing.T) {
	next := make(chan struct{})
	each(t, func(w http.ResponseWriter, _ *http.Request) {
		f, ok := w.(http.Flusher)
		if !ok {
			t.Error("the writer is no http.Flusher")
			return
		}
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			f.Flush()
			<-next
		}
	}, func(t *testing.T, ts *httptest.Server, ended <-chan *seen) {
		resp, err := ts.Client().Get(ts.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for i := range 3 {
			// The handler goes on only when this event is here: a flush that is held back would hang.
			event := make([]byte, len("data: 0\n\n"))
			if _, err := io.ReadFull(resp.Body, event); err != nil || string(event) != fmt.Sprintf("data: %d\n\n", i) {
				t.Fatalf("got %q, %v", event, err)
			}
			next <- struct{}{}
		}
		if _, err := io.ReadAll(resp.Body); err != nil {
			t.Error(err)
		}
		o := <-ended
		o.wantStatus(t, 200)
		o.wantResponse(t, "data: 0\n\ndata: 1\n\ndata: 2\n\n")
		o.wantDone(t, true)
		if len(o.flushes) != 3 {
			t.Errorf("told %d flushes, want 3", len(o.flushes))
		}
	})
}

func TestFault_A02_ResponseControllerFindsEverything(t *testing.T) {
	each(t, func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		for name, err := range map[string]error{
			"SetReadDeadline":  c.SetReadDeadline(time.Time{}),
			"SetWriteDeadline": c.SetWriteDeadline(time.Now().Add(time.Hour)),
			"EnableFullDuplex": c.EnableFullDuplex(),
			"Flush":            c.Flush(),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if r.ProtoMajor == 1 {
			conn, _, err := c.Hijack()
			if err != nil {
				t.Errorf("Hijack: %v", err)
				return
			}
			conn.Close()
		}
	}, func(t *testing.T, ts *httptest.Server, ended <-chan *seen) {
		resp, err := ts.Client().Get(ts.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		o := <-ended
		o.wantStatus(t, 200) // of the flush; what the hijacker says is not known
		o.wantDone(t, true)
	})
}

func TestFault_A03_FlushReturnsTheErrorOfTheRealOne(t *testing.T) {
	broken := errors.New("broken pipe")
	w, o := &fullWriter{flushErr: broken}, &seen{}
	direct(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	}, w, getRequest(), o)
	if len(o.flushes) != 1 || !errors.Is(o.flushes[0], broken) {
		t.Errorf("observer was told %v, want [%v]", o.flushes, broken)
	}
}

func TestFault_A03_FlushFailsAfterTheClientLeft(t *testing.T) {
	each(t, func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if err := c.Flush(); err != nil {
			t.Errorf("first flush: %v", err)
		}
		<-r.Context().Done()
		// The system may take some writes before it knows that nobody reads.
		for range 1000 {
			if _, err := io.WriteString(w, "data: x\n\n"); err != nil {
				return
			}
			if c.Flush() != nil {
				return
			}
		}
		t.Error("no write and no flush failed after the client left")
	}, func(t *testing.T, ts *httptest.Server, ended <-chan *seen) {
		resp, err := ts.Client().Get(ts.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		o := <-ended
		failed := len(o.writeErrs) > 0
		for _, err := range o.flushes {
			failed = failed || err != nil
		}
		if !failed {
			t.Error("the observer was told no error")
		}
	})
}

func TestFault_A04_NoInterfaceThatTheRealWriterLacks(t *testing.T) {
	w, o := &bareWriter{}, &seen{}
	direct(func(w http.ResponseWriter, _ *http.Request) {
		if got := abilities(w); got != 0 {
			t.Errorf("got the interfaces %07b, want none", got)
		}
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Flush: got %v, want ErrNotSupported", err)
		}
	}, w, getRequest(), o)
}

func TestFault_A05_CopiedBytesAreSeen(t *testing.T) {
	body := strings.Repeat("data: {}\n\n", 5000)
	each(t, func(w http.ResponseWriter, _ *http.Request) {
		if n, err := io.Copy(w, plain{strings.NewReader(body)}); n != int64(len(body)) || err != nil {
			t.Errorf("io.Copy: %d, %v", n, err)
		}
	}, func(t *testing.T, ts *httptest.Server, ended <-chan *seen) {
		if _, got := get(t, ts, "/"); got != body {
			t.Errorf("client got %d bytes, want %d", len(got), len(body))
		}
		(<-ended).wantResponse(t, body)
	})
}

func TestFault_A05_FileOfNoInterestReachesTheRealReadFrom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	ways := map[string]http.HandlerFunc{
		"ServeFile": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) },
		"io.Copy before a header": func(w http.ResponseWriter, _ *http.Request) {
			f, err := os.Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			io.Copy(w, f) //nolint:errcheck // the writer says what it got
		},
	}
	for name, h := range ways {
		for _, ignore := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, ignored %v", name, ignore), func(t *testing.T) {
				w, o := &fullWriter{}, &seen{ignore: ignore}
				direct(h, w, getRequest(), o)
				from := w.source
				if l, ok := from.(*io.LimitedReader); ok {
					from = l.R
				}
				// Sendfile needs a source with a file descriptor.
				if _, ok := from.(interface{ Fd() uintptr }); ok != ignore {
					t.Errorf("the real writer got %T", from)
				}
				o.wantStatus(t, 200)
				if want := map[bool]string{true: "", false: "content"}[ignore]; string(o.response) != want {
					t.Errorf("observer saw %q, want %q", o.response, want)
				}
			})
		}
	}
}

func TestFault_A05_SourceWithoutBytesBringsNoHeader(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sources := map[string]func() io.Reader{
		"empty reader": func() io.Reader { return plain{strings.NewReader("")} },
		"empty file": func() io.Reader {
			f, err := os.Open(empty)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			return f
		},
		"failed reader":  func() io.Reader { return plain{errReader{io.ErrUnexpectedEOF}} },
		"limit of zero":  func() io.Reader { return &io.LimitedReader{R: strings.NewReader("x")} },
		"folder":         func() io.Reader { f, _ := os.Open("."); t.Cleanup(func() { f.Close() }); return f },
		"failed copying": func() io.Reader { return errWriterTo{errReader{io.ErrUnexpectedEOF}} },
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			w, o := &fullWriter{}, &seen{}
			direct(func(w http.ResponseWriter, _ *http.Request) {
				w.(io.ReaderFrom).ReadFrom(source()) //nolint:errcheck // some must fail
				http.Error(w, "gone", http.StatusBadGateway)
			}, w, getRequest(), o)
			o.wantStatus(t, http.StatusBadGateway)
			if len(o.writeErrs) != 0 {
				t.Errorf("told write errors %v, but only the source failed", o.writeErrs)
			}
		})
	}
}

func TestFault_A05_ReadFromTellsTheWritersError(t *testing.T) {
	broken := errors.New("broken pipe")
	w, o := &fullWriter{bareWriter: bareWriter{err: broken}}, &seen{}
	direct(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := io.Copy(w, plain{strings.NewReader("abc")}); !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	}, w, getRequest(), o)
	if len(o.writeErrs) != 1 || !errors.Is(o.writeErrs[0], broken) {
		t.Errorf("observer was told %v, want [%v]", o.writeErrs, broken)
	}
}

func TestFault_A05_SourceThatCopiesItselfStillDoes(t *testing.T) {
	w, o := &copyingWriter{}, &seen{}
	direct(func(w http.ResponseWriter, _ *http.Request) {
		if n, err := w.(io.ReaderFrom).ReadFrom(bytes.NewReader([]byte("abc"))); n != 3 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	}, w, getRequest(), o)
	if len(w.writes) != 1 || w.writes[0] != "Write abc" {
		t.Errorf("real writer got %q, want one write of the whole", w.writes)
	}
	o.wantStatus(t, 200)
	o.wantResponse(t, "abc")
}

func TestFault_A05_SourceThatCopiesItselfAndFails(t *testing.T) {
	w, o := &copyingWriter{}, &seen{}
	direct(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.(io.ReaderFrom).ReadFrom(bufferTo{"half", io.ErrUnexpectedEOF}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v, want the source's error", err)
		}
	}, w, getRequest(), o)
	o.wantResponse(t, "half")
	if len(o.writeErrs) != 0 {
		t.Errorf("told write errors %v, but only the source failed", o.writeErrs)
	}
	broken := errors.New("broken pipe")
	w, o = &copyingWriter{bareWriter{err: broken}}, &seen{}
	direct(func(w http.ResponseWriter, _ *http.Request) {
		w.(io.ReaderFrom).ReadFrom(bytes.NewReader([]byte("abc"))) //nolint:errcheck // the observer is told
	}, w, getRequest(), o)
	if len(o.writeErrs) != 1 || !errors.Is(o.writeErrs[0], broken) {
		t.Errorf("told write errors %v, want [%v]", o.writeErrs, broken)
	}
}

func TestFault_A06_WriteStringStaysWriteString(t *testing.T) {
	w, o := &fullWriter{}, &seen{}
	direct(func(w http.ResponseWriter, _ *http.Request) {
		if n, err := io.WriteString(w, "abc"); n != 3 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		if n, err := io.WriteString(w, ""); n != 0 || err != nil {
			t.Errorf("empty string: got %d, %v", n, err)
		}
	}, w, getRequest(), o)
	if got := strings.Join(w.writes, "|"); got != "WriteString abc|WriteString " {
		t.Errorf("real writer got %q", got)
	}
	o.wantResponse(t, "abc")
}

// copyingWriter lets a source that can copy itself do so, as net/http does.
type copyingWriter struct{ bareWriter }

func (w *copyingWriter) ReadFrom(src io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{&w.bareWriter}, src)
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

type errWriterTo struct{ errReader }

func (r errWriterTo) WriteTo(io.Writer) (int64, error) { return 0, r.err }
