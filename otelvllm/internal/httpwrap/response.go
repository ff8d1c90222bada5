package httpwrap

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"unsafe"
)

// Header returns the header of the real writer.
func (x *exchange) Header() http.Header { return x.w.Header() }

// Unwrap returns the real writer, for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.w }

// WriteHeader forwards every call: what a second one means is the real writer's to say. A code that
// net/http panics on is not a status and is not told.
func (x *exchange) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols || 200 <= status && status <= 999 {
		x.header(status)
	}
	x.w.WriteHeader(status)
}

// Write writes first and shows afterwards.
func (x *exchange) Write(p []byte) (int, error) {
	x.header(http.StatusOK)
	x.writeStarted()
	n, err := x.w.Write(p)
	x.writeEnded()
	x.show(p[:within(n, len(p))], err)
	return n, err
}

// writeString is Write for writers that have io.StringWriter: turned into a Write, the string would
// be cut into other chunks.
func (x *exchange) writeString(s string) (int, error) {
	x.header(http.StatusOK)
	x.writeStarted()
	n, err := x.w.(io.StringWriter).WriteString(s)
	x.writeEnded()
	// A view of the string spares a copy for each call. Observers must not change what they are shown.
	x.show(unsafe.Slice(unsafe.StringData(s), within(n, len(s))), err)
	return n, err
}

func (x *exchange) flush() {
	x.header(http.StatusOK)
	x.writeStarted()
	x.w.(http.Flusher).Flush()
	x.writeEnded()
	x.flushed(nil)
}

func (x *exchange) flushError() error {
	x.header(http.StatusOK)
	x.writeStarted()
	err := x.w.(flushErrorer).FlushError()
	x.writeEnded()
	x.flushed(err)
	return err
}

// hijack forwards and, where the handler got the connection, watches no more, as what is said on it is not HTTP, unless
// the observer knows that protocol.
func (x *exchange) hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := x.w.(http.Hijacker).Hijack()
	if err != nil {
		return conn, rw, err
	}
	upgrade := x.outer.Header.Get("Upgrade") != ""
	told := x.phase.Load() != unsent
	if switches, ok := x.o.(SwitchObserver); ok && upgrade && !x.done.Load() {
		if o := switches.Switched(); o != nil {
			x.phase.Store(hijacked)
			conn, rw = x.watchConn(o, conn, rw, told)
			return conn, rw, nil
		}
	}
	if upgrade {
		x.header(http.StatusSwitchingProtocols)
	}
	x.phase.Store(hijacked)
	return conn, rw, nil
}

// header tells the observer the final header, the first time it is called.
func (x *exchange) header(status int) {
	if x.phase.Load() != unsent || x.done.Load() || !x.phase.CompareAndSwap(unsent, telling) {
		return
	}
	next := uint32(unwatched)
	if x.o.ResponseHeader(status, x.w.Header()) && x.hasBody(status) {
		next = watched
	}
	x.phase.CompareAndSwap(telling, next) // not if the connection was hijacked meanwhile
}

// hasBody reports whether an answer with this status can have a body at all.
func (x *exchange) hasBody(status int) bool {
	return x.outer.Method != http.MethodHead && status >= 200 &&
		status != http.StatusNoContent && status != http.StatusNotModified
}

// show shows the observer what a write did.
func (x *exchange) show(p []byte, err error) {
	if x.done.Load() {
		return
	}
	switch x.phase.Load() {
	case telling, watched:
		if len(p) > 0 || err != nil {
			x.o.ResponseBody(p, err)
		}
	case unwatched:
		if err != nil {
			x.o.ResponseBody(nil, err)
		}
	}
}

func (x *exchange) writeStarted() {
	if x.writes != nil && !x.done.Load() {
		x.writes.WriteStarted()
	}
}

func (x *exchange) writeEnded() {
	if x.writes != nil && !x.done.Load() {
		x.writes.WriteEnded()
	}
}

func (x *exchange) flushed(err error) {
	if !x.done.Load() && x.phase.Load() != hijacked {
		x.o.ResponseFlush(err)
	}
}

// within bounds the count that a writer or reader returned, which may be a wrong one, to what a
// slice of length size has.
func within(n, size int) int { return max(0, min(n, size)) }
