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
)

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

// copyingWriter lets a source that can copy itself do so, as net/http does.
type copyingWriter struct{ bareWriter }

func (w *copyingWriter) ReadFrom(src io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{&w.bareWriter}, src)
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

type errWriterTo struct{ errReader }

func (r errWriterTo) WriteTo(io.Writer) (int64, error) { return 0, r.err }
