package httpwrap

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// connSeen is an observer that follows connections that handlers take over.
type connSeen struct {
	seen
	refuse bool

	connMu         sync.Mutex
	received, sent string
	broken         []error
	closed         int
}

func (s *connSeen) Switched() ConnObserver {
	if s.refuse {
		return nil
	}
	return s
}

func (s *connSeen) with(f func()) {
	s.connMu.Lock()
	defer s.connMu.Unlock()
	f()
}

func (s *connSeen) Received(p []byte) { s.with(func() { s.received += string(p) }) }
func (s *connSeen) Sent(p []byte)     { s.with(func() { s.sent += string(p) }) }
func (s *connSeen) Broken(err error)  { s.with(func() { s.broken = append(s.broken, err) }) }
func (s *connSeen) Closed()           { s.with(func() { s.closed++ }) }

// hijackWriter gives away one end of a pipe, with what the server had read ahead.
type hijackWriter struct {
	fullWriter
	conn  net.Conn
	ahead string
}

func (w *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r := bufio.NewReaderSize(io.MultiReader(strings.NewReader(w.ahead), w.conn), 64)
	_, _ = r.Peek(len(w.ahead))
	return w.conn, bufio.NewReadWriter(r, bufio.NewWriter(w.conn)), nil
}

func upgrade(ws string) *http.Request {
	r := getRequest()
	r.Header.Set("Upgrade", ws)
	return r
}

const switchHead = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-Websocket-Extensions: permessage-deflate\r\n\r\n"

func TestFault_D09_ConnectionTakenOverIsSeenBothWays(t *testing.T) {
	for _, how := range []string{"head written by the handler", "head in pieces", "WriteHeader before"} {
		t.Run(how, func(t *testing.T) {
			mine, peer := net.Pipe()
			o := &connSeen{}
			heard := make(chan string, 1)
			go func() {
				defer peer.Close()
				var b strings.Builder
				want := len(switchHead) + len("pong")
				if how == "WriteHeader before" {
					want = len("pong")
				}
				_, err := io.CopyN(&b, peer, int64(want))
				if err == nil {
					_, err = io.WriteString(peer, "later")
				}
				if err != nil {
					b.WriteString(err.Error())
				}
				heard <- b.String()
			}()
			direct(func(w http.ResponseWriter, _ *http.Request) {
				if how == "WriteHeader before" {
					w.WriteHeader(http.StatusSwitchingProtocols)
				}
				conn, rw, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				if got := rw.Reader.Buffered(); got != len("ping") {
					t.Errorf("the buffer holds %d bytes, want the 4 that the server had read", got)
				}
				ahead := make([]byte, 4)
				io.ReadFull(rw, ahead) //nolint:errcheck // looked at below
				switch how {
				case "head in pieces":
					io.WriteString(conn, switchHead[:20])      //nolint:errcheck // the peer tells
					io.WriteString(conn, switchHead[20:]+"po") //nolint:errcheck // the peer tells
					io.WriteString(conn, "ng")                 //nolint:errcheck // the peer tells
				case "WriteHeader before":
					io.WriteString(conn, "pong") //nolint:errcheck // the peer tells
				default:
					rw.WriteString(switchHead + "pong") //nolint:errcheck // the peer tells
					rw.Flush()                          //nolint:errcheck // the peer tells
				}
				rest, err := io.ReadAll(conn)
				if string(ahead)+string(rest) != "pinglater" || err != nil {
					t.Errorf("the handler read %q, %q, %v", ahead, rest, err)
				}
				if inner := conn.(interface{ NetConn() net.Conn }).NetConn(); inner != mine {
					t.Errorf("NetConn is %v, want the server's own connection", inner)
				}
				conn.Close()
				conn.Close()
			}, &hijackWriter{conn: mine, ahead: "ping"}, upgrade("websocket"), o)
			o.wantStatus(t, 101)
			o.wantDone(t, true)
			if o.received != "pinglater" || o.sent != "pong" || o.closed != 1 || len(o.broken) != 1 || !errors.Is(o.broken[0], io.EOF) {
				t.Errorf("seen: received %q, sent %q, broken %v, closed %d times", o.received, o.sent, o.broken, o.closed)
			}
			if how != "WriteHeader before" && o.header.Get("Sec-Websocket-Extensions") == "" {
				t.Errorf("told the header %v, want that of the answer", o.header)
			}
			want := switchHead + "pong"
			if how == "WriteHeader before" {
				want = "pong"
			}
			if got := <-heard; got != want {
				t.Errorf("the peer got %q, want %q", got, want)
			}
		})
	}
}

func TestFault_D09_ConnectionThatNobodyWatchesIsTheServersOwn(t *testing.T) {
	for name, c := range map[string]struct {
		o Observer
		r *http.Request
	}{
		"the observer does not care": {&connSeen{refuse: true}, upgrade("websocket")},
		"no upgrade":                 {&connSeen{}, getRequest()},
		"another observer":           {&seen{}, upgrade("websocket")},
	} {
		mine, peer := net.Pipe()
		direct(func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := w.(http.Hijacker).Hijack(); err != nil || conn != mine {
				t.Errorf("%s: got %v, %v, want the server's own connection", name, conn, err)
			}
		}, &hijackWriter{conn: mine}, c.r, c.o)
		mine.Close()
		peer.Close()
	}
}

func TestFault_D09_TimeoutOfAConnectionIsNotItsEnd(t *testing.T) {
	mine, peer := net.Pipe()
	defer peer.Close()
	o := &connSeen{}
	direct(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if err := conn.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Error(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("the read did not time out")
		}
	}, &hijackWriter{conn: mine}, upgrade("websocket"), o)
	if len(o.broken) != 0 || o.closed != 1 {
		t.Errorf("told broken %v, closed %d times; want only that it was closed", o.broken, o.closed)
	}
}

func TestFault_D09_RefusedUpgradeTellsItsStatus(t *testing.T) {
	mine, peer := net.Pipe()
	go io.Copy(io.Discard, peer) //nolint:errcheck // until it is closed
	o := &connSeen{}
	direct(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno") //nolint:errcheck // the peer reads
		conn.Close()
	}, &hijackWriter{conn: mine}, upgrade("websocket"), o)
	peer.Close()
	o.wantStatus(t, 403)
	if o.sent != "" {
		t.Errorf("told %q as another protocol", o.sent)
	}
}

// bodyWriteSeen sees what is written to an upgraded body, too.
type bodyWriteSeen struct {
	bodySeen
	written string
	half    int
}

func (o *bodyWriteSeen) BodyWritten(p []byte) { o.written += string(p) }
func (o *bodyWriteSeen) BodyWriteClosed()     { o.half++ }

func TestFault_D09_WritesToAnUpgradedBodyAreSeen(t *testing.T) {
	conn, o := &halfConn{}, &bodyWriteSeen{}
	b := WatchBody(conn, o).(interface {
		io.Writer
		CloseWrite() error
	})
	if _, err := b.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if err := b.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if conn.written != "ping" || !conn.half || o.written != "ping" || o.half != 1 {
		t.Errorf("the connection got %q, half closed %v; seen %q, %d times", conn.written, conn.half, o.written, o.half)
	}
	if _, writes := WatchBody(io.NopCloser(strings.NewReader("")), o).(io.Writer); writes {
		t.Error("a body that cannot be written to has become an io.Writer")
	}
}
