package httpwrap

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

// bodySeen is an observer of a body that keeps what it was told.
type bodySeen struct {
	mu    sync.Mutex
	got   []byte
	calls []int // sizes
	ends  []error
}

func (s *bodySeen) Body(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, p...)
	s.calls = append(s.calls, len(p))
}

func (s *bodySeen) End(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, err)
}

func (s *bodySeen) want(t *testing.T, body string, end error) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(s.got) != body {
		t.Errorf("observer saw %.80q of %d bytes, want %.80q of %d", s.got, len(s.got), body, len(body))
	}
	if slices.Contains(s.calls, 0) {
		t.Errorf("calls of %v bytes, want none of 0", s.calls)
	}
	if len(s.ends) != 1 || s.ends[0] != end && !errors.Is(s.ends[0], end) { //nolint:errorlint // the error itself must pass
		t.Errorf("told the end %v, want [%v]", s.ends, end)
	}
}

func TestFault_D04_BodyThatIsNeverClosedNeverEnds(t *testing.T) {
	o := &bodySeen{}
	b := WatchBody(io.NopCloser(plain{strings.NewReader("body")}), o)
	b.Read(make([]byte, 4)) //nolint:errcheck // the observer sees it
	if len(o.ends) != 0 {
		t.Errorf("told the end %v of a body that was left open", o.ends)
	}
	// goleak, in TestMain, sees that nothing waits for it.
}

func TestFault_D05_CloseBeforeTheEnd(t *testing.T) {
	rc := &closeCounter{Reader: strings.NewReader("body")}
	o := &bodySeen{}
	b := WatchBody(rc, o)
	b.Read(make([]byte, 2)) //nolint:errcheck // the observer sees it
	for range 2 {
		if err := b.Close(); !errors.Is(err, errClose) {
			t.Errorf("Close: got %v, want the body's own error", err)
		}
	}
	if n, err := b.Read(make([]byte, 9)); n != 2 || err != nil {
		t.Errorf("Read after Close: got %d, %v, want what the body does", n, err)
	}
	if rc.closed != 2 {
		t.Errorf("the body was closed %d times, want 2", rc.closed)
	}
	o.want(t, "bo", ErrClosed)
}

func TestFault_D05_CloseInterruptsARead(t *testing.T) {
	reading := make(chan struct{})
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer ts.Close()
	for range 20 {
		resp, err := ts.Client().Get(ts.URL)
		if err != nil {
			t.Fatal(err)
		}
		o := &bodySeen{}
		b := WatchBody(resp.Body, o)
		failed := make(chan error)
		go func() {
			reading <- struct{}{}
			_, err := b.Read(make([]byte, 9))
			failed <- err
		}()
		<-reading
		b.Close()
		if err := <-failed; err == nil {
			t.Error("the interrupted read did not fail")
		}
		o.want(t, "", ErrClosed)
	}
}

func TestFault_D06_BytesThatComeWithTheEndCount(t *testing.T) {
	broken := errors.New("broken")
	for _, end := range []error{nil, broken} {
		o := &bodySeen{}
		r := io.Reader(strings.NewReader("body"))
		if end != nil {
			r = io.MultiReader(r, iotest.ErrReader(end))
		}
		b := WatchBody(io.NopCloser(iotest.DataErrReader(plain{r})), o)
		got, err := io.ReadAll(b)
		if string(got) != "body" || !errors.Is(err, end) {
			t.Errorf("got %q, %v, want body, %v", got, err, end)
		}
		if n, err := b.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("Read after the end: got %d, %v", n, err)
		}
		b.Close()
		o.want(t, "body", end)
	}
}

func TestFault_D06_WrappedEOFIsAnError(t *testing.T) {
	wrapped := errors.Join(io.EOF)
	o := &bodySeen{}
	if _, err := WatchBody(io.NopCloser(iotest.ErrReader(wrapped)), o).Read(make([]byte, 1)); err != wrapped { //nolint:errorlint // the very same error
		t.Errorf("got %v, want it unchanged", err)
	}
	if len(o.ends) != 1 || o.ends[0] == nil {
		t.Errorf("told the end %v, want the error", o.ends)
	}
}

func TestFault_D07_CancelledWhileReading(t *testing.T) {
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half") //nolint:errcheck // the client gets it
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer ts.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ts.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := ts.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	o := &bodySeen{}
	b := WatchBody(resp.Body, o)
	defer b.Close()
	if _, err := io.ReadFull(b, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	o.want(t, "half", context.Canceled) // told at the error, not at Close
}

func TestFault_D08_NoBodyAndNoObserver(t *testing.T) {
	if got := WatchBody(nil, &bodySeen{}); got != nil {
		t.Errorf("nil: got %T", got)
	}
	if got := WatchBody(http.NoBody, &bodySeen{}); got != http.NoBody {
		t.Errorf("NoBody: got %T", got)
	}
	rc := io.NopCloser(strings.NewReader(""))
	if got := WatchBody(rc, nil); got != rc {
		t.Errorf("without observer: got %T, want the body itself", got)
	}
}

func TestWatchingABodyTakesOneAllocation(t *testing.T) {
	rc, o := io.NopCloser(plain{strings.NewReader("")}), &bodySeen{}
	var sink io.ReadCloser
	if got := testing.AllocsPerRun(100, func() { sink = WatchBody(rc, o) }); got != 1 {
		t.Errorf("got %v allocations, want 1", got)
	}
	p := make([]byte, 9)
	b := WatchBody(io.NopCloser(readFunc(func(p []byte) (int, error) { return len(p), nil })), discard{})
	if got := testing.AllocsPerRun(100, func() { b.Read(p) }); got != 0 { //nolint:errcheck // it cannot fail
		t.Errorf("Read: got %v allocations, want 0", got)
	}
	_ = sink
}

type discard struct{}

func (discard) Body([]byte) {}
func (discard) End(error)   {}

var errClose = errors.New("error of Close")

type closeCounter struct {
	io.Reader
	closed int
}

func (c *closeCounter) Close() error { c.closed++; return errClose }
