package httpwrap

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seen is an observer that keeps what it was told.
type seen struct {
	ignore bool             // the body of the answer is of no interest
	onByte func(p []byte)   // called with the bytes of the answer, if set
	onHead func(status int) // called with the status, if set

	mu        sync.Mutex
	request   []byte
	ends      []error
	status    []int
	header    http.Header // as it was at the time
	response  []byte
	writeErrs []error
	flushes   []error
	done      []bool
	late      int // calls after Done
	empty     int // calls that told nothing
}

func (s *seen) lock() func() {
	s.mu.Lock()
	if len(s.done) > 0 {
		s.late++
	}
	return s.mu.Unlock
}

func (s *seen) RequestBody(p []byte) {
	defer s.lock()()
	s.request = append(s.request, p...)
	if len(p) == 0 {
		s.empty++
	}
}

func (s *seen) RequestEnd(err error) {
	defer s.lock()()
	s.ends = append(s.ends, err)
}

func (s *seen) ResponseHeader(status int, h http.Header) bool {
	defer s.lock()()
	s.status = append(s.status, status)
	s.header = h.Clone()
	if s.onHead != nil {
		s.onHead(status)
	}
	return !s.ignore
}

func (s *seen) ResponseBody(p []byte, err error) {
	defer s.lock()()
	s.response = append(s.response, p...)
	if err != nil {
		s.writeErrs = append(s.writeErrs, err)
	} else if len(p) == 0 {
		s.empty++
	}
	if s.onByte != nil {
		s.onByte(p)
	}
}

func (s *seen) ResponseFlush(err error) {
	defer s.lock()()
	s.flushes = append(s.flushes, err)
}

func (s *seen) Done(returned bool) {
	defer s.lock()()
	s.done = append(s.done, returned)
}

// wantStatus fails the test unless status was told once, 0 meaning not at all.
func (s *seen) wantStatus(t *testing.T, want int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case want == 0 && len(s.status) != 0:
		t.Errorf("told status %v, want none", s.status)
	case want != 0 && (len(s.status) != 1 || s.status[0] != want):
		t.Errorf("told status %v, want %d once", s.status, want)
	}
}

// wantDone fails the test unless Done was the last call, once, with returned.
func (s *seen) wantDone(t *testing.T, returned bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty != 0 {
		t.Errorf("%d calls told neither bytes nor an error", s.empty)
	}
	if len(s.done) != 1 || s.done[0] != returned || s.late != 0 {
		t.Errorf("Done was told %v with %d calls after it, want [%v] with none", s.done, s.late, returned)
	}
}

func (s *seen) wantResponse(t *testing.T, want string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := string(s.response); got != want {
		t.Errorf("observer saw the answer %.80q of %d bytes, want %.80q of %d", got, len(got), want, len(want))
	}
}

func (s *seen) wantEnd(t *testing.T, want error) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ends) != 1 || !errors.Is(s.ends[0], want) && s.ends[0] != want { //nolint:errorlint // the error itself must pass
		t.Errorf("told the request's end %v, want [%v]", s.ends, want)
	}
}

// plain is a source without any other interface.
type plain struct{ io.Reader }

// bareWriter is a writer with no optional interface, which keeps what it gets.
type bareWriter struct {
	header http.Header
	status []int
	writes []string
	err    error // that writes return
}

func (w *bareWriter) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}

func (w *bareWriter) WriteHeader(status int) { w.status = append(w.status, status) }

func (w *bareWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.writes = append(w.writes, "Write "+string(p))
	return len(p), nil
}

// fullWriter is a writer with all optional interfaces, which keeps which were used.
type fullWriter struct {
	bareWriter
	source   io.Reader // the last that ReadFrom got
	flushErr error
	hijacked bool
}

func (w *fullWriter) WriteString(s string) (int, error) {
	w.writes = append(w.writes, "WriteString "+s)
	return len(s), w.err
}

func (w *fullWriter) ReadFrom(src io.Reader) (int64, error) {
	w.source = src
	b, err := io.ReadAll(src)
	w.writes = append(w.writes, "ReadFrom "+string(b))
	if err == nil {
		err = w.err
	}
	return int64(len(b)), err
}

func (w *fullWriter) Flush()            { w.writes = append(w.writes, "Flush") }
func (w *fullWriter) FlushError() error { w.writes = append(w.writes, "FlushError"); return w.flushErr }

func (w *fullWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.hijacked {
		return nil, nil, http.ErrHijacked
	}
	w.hijacked = true
	w.writes = append(w.writes, "Hijack")
	return nil, nil, nil
}

func (w *fullWriter) CloseNotify() <-chan bool {
	w.writes = append(w.writes, "CloseNotify")
	return nil
}

func (w *fullWriter) Push(target string, _ *http.PushOptions) error {
	w.writes = append(w.writes, "Push "+target)
	return nil
}
