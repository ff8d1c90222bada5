package httpwrap

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var time0 = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// wire is the server's end of a connection in memory. It keeps what the server writes, write by write.
type wire struct {
	net.Conn
	mu     sync.Mutex
	writes []string
}

func (c *wire) add(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes = append(c.writes, s)
}

func (c *wire) Write(p []byte) (int, error) {
	c.add(string(p))
	return len(p), nil
}

// sendingWire is a wire with io.ReaderFrom, as TCP has. It tells in the transcript where it could use sendfile.
type sendingWire struct {
	*wire
	ignore bool // else a file may come watched
}

func (c sendingWire) ReadFrom(src io.Reader) (int64, error) {
	from := src
	if l, ok := src.(*io.LimitedReader); ok {
		from = l.R
	}
	if _, ok := from.(syscall.Conn); ok && c.ignore {
		c.add("[sendfile]")
	}
	b, err := io.ReadAll(src)
	if len(b) > 0 {
		c.add(string(b))
	}
	return int64(len(b)), err
}

// listener hands out one connection.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

// transcript is all that can be seen of a run, from the outside and by the handler.
type transcript struct {
	writes []string // of the server
	log    []string // of the handler, and of a middleware outside
	lines  []string // of the server's log
}

// The text of these lines names the caller, and the trace of a panic its stack.
var (
	callers = regexp.MustCompile(` from \S+ \(\S+\)`)
	stack   = regexp.MustCompile(`(?s)\ngoroutine .*`)
)

func (t transcript) String() string {
	var b strings.Builder
	for _, part := range []struct {
		name  string
		lines []string
	}{{"write", t.writes}, {"handler", t.log}, {"log", t.lines}} {
		for _, line := range part.lines {
			fmt.Fprintf(&b, "%s %d: %.300q\n", part.name, len(line), line)
		}
	}
	return b.String()
}

func (t transcript) equal(o transcript) bool {
	return fmt.Sprintf("%q", t) == fmt.Sprintf("%q", o)
}

type lineLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *lineLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := callers.ReplaceAllString(strings.TrimSpace(string(p)), "")
	l.lines = append(l.lines, stack.ReplaceAllString(line, ""))
	return len(p), nil
}

// behind returns a handler that runs the script behind Serve, or bare if o is nil, and notes what a middleware outside finds
// afterwards.
func (r *runner) behind(o *seen) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/s" {
			io.WriteString(w, "next") //nolint:errcheck // the transcript has it
			return
		}
		if r.settle != nil {
			r.settle()
		}
		defer func() {
			if r.over != nil {
				close(r.over)
			}
			r.note(op{kind: -3}, fmt.Sprintf("%T", req.Body), req.Trailer, req.MultipartForm == nil, req.Pattern)
		}()
		if o == nil {
			r.ServeHTTP(w, req)
		} else {
			Serve(r, w, req, o)
		}
	}
}

// play runs a script on a server of net/http, with an observer or, if o is nil, bare. It must run in a bubble of synctest: the
// server waits before it closes some connections, and dates its answers.
func play(t *testing.T, s script, file *os.File, o *seen) (transcript, *runner) {
	t.Helper()
	client, conn := net.Pipe()
	w := &wire{Conn: conn}
	var served net.Conn = w
	if s.sends {
		served = sendingWire{w, s.ignore}
	}
	l := &listener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conns <- served
	run, lines := &runner{script: s, file: file}, &lineLog{}
	server := &http.Server{ErrorLog: log.New(lines, "", 0), Handler: run.behind(o)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve(l) //nolint:errcheck // it ends when the listener closes
	}()
	// A second request shows what the server made of the connection. The write fails where it closed it before.
	io.WriteString(client, s.request)                                                    //nolint:errcheck // see above
	io.WriteString(client, "GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") //nolint:errcheck // see above
	io.Copy(io.Discard, client)                                                          //nolint:errcheck // until the server closes
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	<-ended
	client.Close()
	synctest.Wait() // until the handler that hijacked its connection has ended too
	return transcript{w.writes, run.log, lines.lines}, run
}

// status returns the status of the first answer that is final, 0 if there is none.
func (t transcript) status() (status int) {
	all := []byte(strings.Join(t.writes, ""))
	for {
		if n, err := fmt.Sscanf(string(all), "HTTP/1.%d %d", new(int), &status); n != 2 || err != nil {
			return 0
		}
		if status == 101 || status >= 200 {
			return status
		}
		_, rest, found := bytes.Cut(all, []byte("\r\n\r\n"))
		if !found {
			return 0
		}
		all = rest
	}
}
