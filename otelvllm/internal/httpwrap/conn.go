package httpwrap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// maxSwitchHead is the most bytes of an answer's head that are looked at on a connection taken over.
const maxSwitchHead = 16 << 10

// watchConn returns what the handler gets in place of conn and rw, which it has taken over. told says that the head of
// the answer has gone out before.
func (x *exchange) watchConn(o ConnObserver, conn net.Conn, rw *bufio.ReadWriter, told bool) (net.Conn, *bufio.ReadWriter) {
	c := &switched{Conn: conn, o: o, x: x, told: told}
	from := bufio.NewReaderSize(&receiver{rw.Reader, c}, rw.Reader.Size())
	// A handler may ask how much has come already. What the server has read is there without waiting for more.
	_, _ = from.Peek(rw.Reader.Buffered())
	var watched net.Conn = c
	if half, ok := conn.(closeWriter); ok {
		watched = switchedHalf{c, half}
	}
	return watched, bufio.NewReadWriter(from, bufio.NewWriterSize(c, rw.Writer.Size()))
}

// switched is a connection that a handler has taken over.
type switched struct {
	net.Conn
	o      ConnObserver
	x      *exchange
	told   bool   // the head of the answer has gone out; what is written are the bytes of another protocol
	head   []byte // of the answer, as far as it has come
	broken atomic.Bool
	closed atomic.Bool
}

type switchedHalf struct {
	*switched
	closeWriter
}

// NetConn returns the server's own connection, as a tls.Conn does.
func (c *switched) NetConn() net.Conn { return c.Conn }

func (c *switched) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received(p[:within(n, len(p))], err)
	return n, err
}

func (c *switched) received(p []byte, err error) {
	if len(p) > 0 {
		c.o.Received(p)
	}
	c.fault(err)
}

// Write shows first and writes afterwards, unlike elsewhere: what the caller answers may be read by another goroutine
// before this one goes on, and what was said must be known before the answer to it.
func (c *switched) Write(p []byte) (int, error) {
	shown := p
	if !c.told {
		shown = c.readHead(shown)
	}
	if len(shown) > 0 && !c.closed.Load() {
		c.o.Sent(shown)
	}
	n, err := c.Conn.Write(p)
	c.fault(err)
	return n, err
}

// Close tells the end first: a read that the close interrupts fails only because of it.
func (c *switched) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.broken.Store(true)
		c.o.Closed()
	}
	return c.Conn.Close()
}

// fault tells of an error other than a timeout, the first time there is one.
func (c *switched) fault(err error) {
	if err == nil {
		return
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || !c.broken.CompareAndSwap(false, true) {
		return
	}
	c.o.Broken(err)
}

// readHead reads on in the head of the answer, which a handler that has not called WriteHeader writes by itself, and
// returns what comes after it.
func (c *switched) readHead(p []byte) []byte {
	c.head = append(c.head, p...)
	end := bytes.Index(c.head, []byte("\r\n\r\n"))
	switch {
	case end >= 0:
		end += 4
	case len(c.head) < maxSwitchHead:
		return nil
	default:
		end = len(c.head)
	}
	rest := c.head[end:]
	status, header := http.StatusSwitchingProtocols, http.Header{}
	if answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.head[:end])), nil); err == nil {
		status, header = answer.StatusCode, answer.Header
		answer.Body.Close()
	}
	c.told, c.head = true, nil
	if !c.x.done.Load() {
		c.x.o.ResponseHeader(status, header)
	}
	if status != http.StatusSwitchingProtocols {
		return nil
	}
	return rest
}

// receiver shows what comes out of the buffer that the server had read into.
type receiver struct {
	from io.Reader
	c    *switched
}

func (r *receiver) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.c.received(p[:within(n, len(p))], err)
	return n, err
}
