package httpwrap

import (
	"io"
	"net/http"
	"sync/atomic"
)

// WatchBody returns rc watched by o. The result has io.WriterTo where rc has it, and io.Writer and
// CloseWrite, which the body of an answer 101 Switching Protocols has; what is written is
// watched by a [BodyWriteObserver]. A nil rc and http.NoBody come back as they are, as does any rc if o is nil.
//
// The body of an outgoing request with GetBody is better read from what GetBody returns: net/http
// sends a body that it knows to be in memory together with the header, in one write.
func WatchBody(rc io.ReadCloser, o BodyObserver) io.ReadCloser {
	if rc == nil || rc == http.NoBody || o == nil {
		return rc
	}
	return (&body{rc: rc, o: o}).wrap()
}

// body is a watched body.
type body struct {
	rc    io.ReadCloser
	o     BodyObserver
	x     *exchange   // nil: not the body of a request that came in
	ended atomic.Bool // the observer has been told the end
}

// wrap returns b with the optional interfaces of what it watches.
func (b *body) wrap() io.ReadCloser {
	w, writes := b.rc.(io.Writer)
	_, copies := b.rc.(io.WriterTo)
	c, halves := b.rc.(closeWriter)
	if o, ok := b.o.(BodyWriteObserver); ok && writes {
		w = &writeTap{b, w, o}
		if halves {
			c = &closeTap{b, c, o}
		}
	}
	to := bodyTo{b}
	switch {
	case writes && copies && halves:
		return struct {
			bodyTo
			io.Writer
			closeWriter
		}{to, w, c}
	case writes && copies:
		return struct {
			bodyTo
			io.Writer
		}{to, w}
	case writes && halves:
		return struct {
			*body
			io.Writer
			closeWriter
		}{b, w, c}
	case writes:
		return struct {
			*body
			io.Writer
		}{b, w}
	case copies:
		return to
	}
	return b
}

type closeWriter interface{ CloseWrite() error }

// writeTap shows what is written to a body.
type writeTap struct {
	b *body
	w io.Writer
	o BodyWriteObserver
}

// Write shows first and writes afterwards: the answer to what is written may be read by another goroutine before this
// one goes on.
func (t *writeTap) Write(p []byte) (int, error) {
	if len(p) > 0 && !t.b.ended.Load() {
		t.o.BodyWritten(p)
	}
	return t.w.Write(p)
}

// closeTap tells that nothing more is written to a body.
type closeTap struct {
	b *body
	c closeWriter
	o BodyWriteObserver
}

func (t *closeTap) CloseWrite() error {
	if !t.b.ended.Load() {
		t.o.BodyWriteClosed()
	}
	return t.c.CloseWrite()
}

// Read reads and then shows what was read, be it with an error or not.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.rc.Read(p)
	if n > 0 {
		b.show(p[:within(n, len(p))])
	}
	if err != nil {
		b.settle()
		b.end(err)
	}
	return n, err
}

// Close tells the end first: a read that the close interrupts in another goroutine fails only
// because of it, and must not be told as the reason.
func (b *body) Close() error {
	b.end(ErrClosed)
	err := b.rc.Close()
	b.settle()
	return err
}

func (b *body) settle() {
	if b.x != nil {
		b.x.takeTrailers()
	}
}

func (b *body) show(p []byte) {
	if !b.ended.Load() {
		b.o.Body(p)
	}
}

// end tells the end, the first time it is called.
func (b *body) end(err error) {
	if b.ended.Load() || !b.ended.CompareAndSwap(false, true) {
		return
	}
	if err == io.EOF { //nolint:errorlint // io.EOF itself is what a Reader returns
		err = nil
	}
	b.o.End(err)
}

// bodyTo is a body that brings its own way to copy.
type bodyTo struct{ *body }

func (b bodyTo) WriteTo(w io.Writer) (int64, error) {
	t := &tee{w: w, after: b.show}
	n, err := b.rc.(io.WriterTo).WriteTo(t)
	b.settle()
	switch {
	case err == nil:
		b.end(io.EOF)
	case !t.failed: // else the writer broke, and the rest of the body can still be read
		b.end(err)
	}
	return n, err
}

// tee shows what its writer took. It hides other interfaces of the writer from the source, which
// costs a source that looks for them speed, but no bytes.
type tee struct {
	w      io.Writer
	before func() // nil: nothing
	after  func(p []byte)
	failed bool // a write failed
}

func (t *tee) Write(p []byte) (int, error) {
	if t.before != nil {
		t.before()
	}
	n, err := t.w.Write(p)
	if n > 0 {
		t.after(p[:within(n, len(p))])
	}
	if err != nil {
		t.failed = true
	}
	return n, err
}
