package httpwrap

import (
	"io"
	"net/http"
)

//go:generate go run gen.go

// What a writer can do beyond http.ResponseWriter is part of its type, so each of the 128 sets of
// these seven needs a type of its own. Claiming one that the real writer lacks makes a handler
// take a way that fails; hiding one breaks streams (Flusher), WebSockets (Hijacker) or sendfile
// (ReaderFrom). interfaces_gen.go has the types, two lines each: one embeds the type with one
// interface less and adds one method. All of them are a single pointer, so making one costs no
// allocation, however many interfaces it has. Together they add less than half a megabyte to a program.
const (
	canFlush = 1 << iota
	canFlushError
	canWriteString
	canReadFrom
	canHijack
	canNotify
	canPush
)

type flushErrorer interface{ FlushError() error }

// writer is what the handler gets.
type writer = http.ResponseWriter

// abilities returns the set of optional interfaces of w.
func abilities(w http.ResponseWriter) (set int) {
	if _, ok := w.(http.Flusher); ok {
		set |= canFlush
	}
	if _, ok := w.(flushErrorer); ok {
		set |= canFlushError
	}
	if _, ok := w.(io.StringWriter); ok {
		set |= canWriteString
	}
	if _, ok := w.(io.ReaderFrom); ok {
		set |= canReadFrom
	}
	if _, ok := w.(http.Hijacker); ok {
		set |= canHijack
	}
	if _, ok := w.(http.CloseNotifier); ok { //nolint:staticcheck // deprecated, and still looked for
		set |= canNotify
	}
	if _, ok := w.(http.Pusher); ok {
		set |= canPush
	}
	return set
}
