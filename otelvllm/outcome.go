package otelvllm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/otelvllm/otelvllm-go/otelvllm/internal/httpwrap"
	"github.com/otelvllm/otelvllm-go/otelvllm/internal/wire"
)

// evidence is what was seen of how a call went. From it alone follows the outcome.
type evidence struct {
	unwound  bool  // the handler panicked or ended its goroutine
	ctxErr   error // the caller's context, and why it ended
	ctxCause error
	writeErr error // the caller's connection refused a write
	source   error // what a read of the request's body that streams through returned
	unread   error // nothing could be sent, since the caller's request could not be read
	sendErr  error // the last attempt got no answer
	bodyErr  error // how the engine's answer ended; nil for its proper end
	fnErr    error // what a wrapped function returned

	answered bool // an answer began
	status   int
	streamed bool // it was a stream of events, or a WebSocket
	opaque   bool // it could not be read
	ended    bool // the stream told its end: [DONE], a reason for every choice, or a WebSocket's close
	engine   *wire.Error
}

// Words of error.type for calls whose connection failed.
const (
	errRefused = "connection_refused"
	errTimeout = "connect_timeout"
	errReset   = "connection_reset"
	errTLS     = "tls"
	errDNS     = "dns"
)

// decide returns the outcome and the error type. The order matters: what the engine said comes
// before what the connection did, and that before what the caller did with the answer.
func (e *evidence) decide() (Outcome, string) {
	switch {
	case e.streamed && e.engine != nil:
		return Failed, clean(e.engine.Code, maxLabel)
	case e.unread != nil:
		return e.decideUnread()
	case e.sendErr != nil:
		return e.decideUnanswered()
	case e.status >= 500:
		return Failed, strconv.Itoa(e.status)
	case e.status >= 400:
		return Rejected, strconv.Itoa(e.status)
	}
	whole := e.answered && e.writeErr == nil && (e.streamed && e.ended || !e.streamed && e.bodyErr == nil)
	switch {
	case whole && e.fnErr == nil && (!e.unwound || e.ctxErr != nil):
		// A caller may close as soon as the stream has told its end. Then a proxy that still waits for the end of the
		// body aborts, after everything has arrived.
		return Completed, ""
	case isDeadline(e.ctxErr) || isDeadline(e.ctxCause) || isDeadline(e.bodyErr):
		return Deadline, string(Deadline)
	case e.ctxErr != nil || e.writeErr != nil || errors.Is(e.bodyErr, context.Canceled):
		return CallerLeft, string(CallerLeft)
	case e.unwound && (e.bodyErr == nil || errors.Is(e.bodyErr, httpwrap.ErrClosed)):
		return Panicked, string(Panicked)
	case errors.Is(e.bodyErr, httpwrap.ErrClosed) && e.fnErr == nil:
		return CallerLeft, string(CallerLeft)
	case e.bodyErr != nil && !errors.Is(e.bodyErr, httpwrap.ErrClosed), e.streamed && !e.ended:
		return Truncated, string(Truncated)
	case e.fnErr != nil:
		return decideError(e.fnErr)
	}
	return Completed, ""
}

// decideUnanswered is for a call whose last attempt got no answer.
func (e *evidence) decideUnanswered() (Outcome, string) {
	switch {
	case isDeadline(e.ctxErr) || isDeadline(e.ctxCause) || errors.Is(e.sendErr, context.DeadlineExceeded):
		return Deadline, string(Deadline)
	case e.ctxErr != nil || errors.Is(e.sendErr, context.Canceled):
		return CallerLeft, string(CallerLeft)
	}
	word := connectionError(e.sendErr)
	if word == string(Deadline) {
		return Deadline, word
	}
	return Unreachable, word
}

// decideUnread is for a call whose request did not arrive whole: that says nothing of the engine.
func (e *evidence) decideUnread() (Outcome, string) {
	var broken *net.OpError
	switch {
	case isDeadline(e.ctxErr) || isDeadline(e.ctxCause) || isDeadline(e.unread):
		return Deadline, string(Deadline)
	case e.ctxErr != nil || errors.Is(e.unread, io.ErrUnexpectedEOF) || errors.As(e.unread, &broken):
		return CallerLeft, string(CallerLeft)
	case e.status >= 500:
		return Failed, strconv.Itoa(e.status)
	case e.status >= 400:
		return Rejected, strconv.Itoa(e.status)
	}
	return CallerLeft, string(CallerLeft)
}

// decideError is for a wrapped function that returned an error of its own.
func decideError(err error) (Outcome, string) {
	var typed interface{ ErrorType() string }
	switch {
	case isDeadline(err):
		return Deadline, string(Deadline)
	case errors.Is(err, context.Canceled):
		return CallerLeft, string(CallerLeft)
	case errors.As(err, &typed):
		return Failed, clean(typed.ErrorType(), maxLabel)
	}
	return Failed, errorOther
}

// isDeadline tells whether err says that a deadline on our side passed: a context's, or that of an
// http.Client or a connection.
func isDeadline(err error) bool {
	if err == nil {
		return false
	}
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// connectionError puts the error of a RoundTrip into a few words without an address in it.
func connectionError(err error) string {
	var (
		dns    *net.DNSError
		op     *net.OpError
		record tls.RecordHeaderError
		alert  tls.AlertError
		verify *tls.CertificateVerificationError
		name   x509.HostnameError
		ca     x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &dns):
		return errDNS
	case errors.As(err, &record), errors.As(err, &alert), errors.As(err, &verify), errors.As(err, &name), errors.As(err, &ca):
		return errTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return errRefused
	case errors.As(err, &op) && op.Op == "dial" && op.Timeout():
		return errTimeout
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return errReset
	case isDeadline(err):
		return string(Deadline)
	}
	return string(Unreachable)
}
