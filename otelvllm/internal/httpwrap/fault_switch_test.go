package httpwrap

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFault_D09_InterfacesOfTheBodyAreKept(t *testing.T) {
	to := bytes.NewBufferString("body")
	conn := &halfConn{}
	bodies := map[string]io.ReadCloser{
		"Reader":             io.NopCloser(plain{to}),
		"WriterTo":           struct{ bufferTo }{},
		"Writer":             struct{ net.Conn }{},
		"Writer, CloseWrite": conn,
		"Writer, WriterTo": struct {
			bufferTo
			io.Writer
		}{},
		"Writer, WriterTo, CloseWrite": struct {
			bufferTo
			io.Writer
			closeWriter
		}{},
	}
	for name, rc := range bodies {
		b := WatchBody(rc, &bodySeen{})
		_, writes := b.(io.Writer)
		_, copies := b.(io.WriterTo)
		_, halves := b.(interface{ CloseWrite() error })
		if writes != strings.Contains(name, "Writer,") && writes != (name == "Writer") ||
			copies != strings.Contains(name, "WriterTo") || halves != strings.Contains(name, "CloseWrite") {
			t.Errorf("%s: the watched body is io.Writer %v, io.WriterTo %v, CloseWrite %v", name, writes, copies, halves)
		}
	}
	b := WatchBody(conn, &bodySeen{}).(interface {
		io.Writer
		CloseWrite() error
	})
	b.Write([]byte("ping")) //nolint:errcheck // looked at below
	b.CloseWrite()          //nolint:errcheck // looked at below
	if conn.written != "ping" || !conn.half {
		t.Errorf("the connection got %q, half closed %v", conn.written, conn.half)
	}
}

func TestFault_D09_SwitchedProtocolWorksBothWays(t *testing.T) {
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n") //nolint:errcheck // the client gets it
		io.Copy(conn, rw)                                                                                        //nolint:errcheck // until the client half closes
	}))
	defer ts.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ts.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := ts.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	o := &bodySeen{}
	b := WatchBody(resp.Body, o).(io.ReadWriteCloser)
	defer b.Close()
	if _, err := io.WriteString(b, "ping"); err != nil {
		t.Fatal(err)
	}
	if err := b.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); string(got) != "ping" || err != nil {
		t.Errorf("got %q, %v, want the echo", got, err)
	}
	o.want(t, "ping", nil)
}

func TestFault_D09_WriterToIsSeen(t *testing.T) {
	broken := errors.New("broken")
	t.Run("to the end", func(t *testing.T) {
		o, dst := &bodySeen{}, &strings.Builder{}
		n, err := io.Copy(dst, WatchBody(io.NopCloser(strings.NewReader("body")), o))
		if n != 4 || err != nil || dst.String() != "body" {
			t.Errorf("got %d, %v, %q", n, err, dst)
		}
		o.want(t, "body", nil)
	})
	t.Run("source fails", func(t *testing.T) {
		o := &bodySeen{}
		b := WatchBody(bufferTo{before: "half", err: broken}, o)
		if n, err := io.Copy(io.Discard, b); n != 4 || !errors.Is(err, broken) {
			t.Errorf("got %d, %v", n, err)
		}
		o.want(t, "half", broken)
	})
	t.Run("destination fails", func(t *testing.T) {
		o := &bodySeen{}
		b := WatchBody(bufferTo{before: "half"}, o) // of which the writer takes nothing
		if _, err := io.Copy(&bareWriter{err: broken}, b); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		if len(o.ends) != 0 {
			t.Errorf("told the end %v, but the body can still be read", o.ends)
		}
		b.Close()
		o.want(t, "", ErrClosed)
	})
}

// bufferTo is a body that brings its own way to copy.
type bufferTo struct {
	before string
	err    error
}

func (b bufferTo) Read([]byte) (int, error) { return 0, io.EOF }
func (b bufferTo) Close() error             { return nil }
func (b bufferTo) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, b.before)
	if err == nil {
		err = b.err
	}
	return int64(n), err
}

// halfConn is a connection that can be half closed.
type halfConn struct {
	net.Conn
	written string
	half    bool
}

func (c *halfConn) Write(p []byte) (int, error) { c.written += string(p); return len(p), nil }
func (c *halfConn) CloseWrite() error           { c.half = true; return nil }
