package httpwrap

import (
	"errors"
	"net/http"
)

// ErrClosed is what an observer is told at the end of a body that was closed, or left behind by
// its handler, before its end.
var ErrClosed = errors.New("body closed before its end")

// Observer sees one exchange as it passes a handler.
//
// Its methods are called on the goroutines that move the bytes, never under a lock. They must not
// block. The slices are those of the handler or the writer: they are valid only during the call
// and must not be changed. A handler that writes from several goroutines at once makes calls at
// once; then bytes can be shown while ResponseHeader still runs. A goroutine that outlives its
// handler is not watched: no call begins after Done has begun, though one may still be under way.
type Observer interface {
	// RequestBody is shown the bytes that the handler has read.
	RequestBody(p []byte)
	// RequestEnd is called once: with nil at the end of the body, with the error that a read
	// returned, or with ErrClosed where the body was closed or left before its end. A request
	// without a body has no such call.
	RequestEnd(err error)
	// ResponseHeader is called at most once, just before the header of the final status goes to
	// the writer: 1xx are passed over, but for 101. The status is the 200 that net/http implies
	// where the handler wrote none. An upgrade request whose connection the handler has taken
	// over counts as 101; any other hijacked connection, and a handler that panicked before its
	// header, have no call: the status is not known. It must not change h.
	//
	// It returns whether the body is of interest. If not, ResponseBody is called for failed
	// writes alone, and files are still sent by sendfile. The body of an answer that has none
	// (to HEAD, or with status 101, 204 or 304) is never of interest.
	ResponseHeader(status int, h http.Header) (watch bool)
	// ResponseBody is shown what the real writer took, after it took it, and the error of that
	// write. Bytes that the writer itself fetches from a source (io.ReaderFrom) are shown as they
	// leave the source, with a nil error; if the writer then fails, one more call has no bytes and
	// the error. Errors of the source are not errors of the writer and are not shown.
	ResponseBody(p []byte, err error)
	// ResponseFlush is called after a flush, with the error it returned, nil for http.Flusher.
	ResponseFlush(err error)
	// Done is called exactly once, last. It is told false where the handler panicked or called
	// runtime.Goexit.
	Done(returned bool)
}

// WriteObserver is what an [Observer] can have beside its own methods, to know of writes while they
// last: a caller who does not read blocks them. The rules for an Observer's methods hold for them.
type WriteObserver interface {
	// WriteStarted is called just before the real writer is asked to write or to flush. Of what it
	// fetches from a source (io.ReaderFrom), each write lasts from the end of one read of the
	// source to the next; what goes by sendfile is not told.
	WriteStarted()
	// WriteEnded is called after it, before ResponseBody and ResponseFlush. It is not called if the
	// writer panicked.
	WriteEnded()
}

// SwitchObserver is what an [Observer] can have beside its own methods, to follow a connection that the handler takes
// over (http.Hijacker) to speak another protocol on it.
type SwitchObserver interface {
	// Switched is called when the handler has taken over the connection of a request with the header Upgrade. It
	// returns who watches the connection. With nil nobody does, and the handler gets the server's own connection. On a
	// connection that is watched, ResponseHeader is called just before the handler writes the head of the answer,
	// unless it has called WriteHeader before.
	Switched() ConnObserver
}

// ConnObserver sees a connection that a handler has taken over, also after the handler has returned. Its methods are
// called on the goroutines that move the bytes, so one that reads and one that writes can call at once. They must not
// block. The slices are valid only during the call and must not be changed.
type ConnObserver interface {
	// Received is shown what was read from the caller.
	Received(p []byte)
	// Sent is shown what is written to the caller after the head of the answer, just before it is. If it cannot be
	// written, Broken says so.
	Sent(p []byte)
	// Broken is called at most once, with the first error of a read or a write that is no timeout; io.EOF says that the
	// caller sends nothing more.
	Broken(err error)
	// Closed is called at most once, when the connection is closed on this side. Broken is not called after it.
	Closed()
}

// BodyObserver sees a body that a client sends or reads. Its methods are called on the goroutines
// that move the bytes, never under a lock, and must not block. The slice that Body gets is valid
// only during the call and must not be changed.
type BodyObserver interface {
	// Body is shown the bytes that were read.
	Body(p []byte)
	// End is called at most once: with nil at io.EOF, with the error that a read returned, or with
	// ErrClosed where the body was closed before its end. A body that nobody reads to its end or
	// closes never ends. No call of Body begins after End has begun, but where one goroutine
	// closes a body that another reads, one may still be under way.
	End(err error)
}

// BodyWriteObserver is what a [BodyObserver] can have beside its own methods, to see what is written to the body of an
// answer 101 Switching Protocols. The rules for a BodyObserver's methods hold for it; what is written after the End of
// what is read is not shown.
type BodyWriteObserver interface {
	// BodyWritten is shown what is written, just before it is. If it cannot be written, nothing says so.
	BodyWritten(p []byte)
	// BodyWriteClosed is called just before CloseWrite: nothing more will be written.
	BodyWriteClosed()
}
