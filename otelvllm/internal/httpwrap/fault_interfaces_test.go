package httpwrap

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
