// Package httpwrap lets an observer see an HTTP exchange as it passes, without changing it: the
// bytes, headers, status, trailers, flush boundaries, errors and panics are those of the handler
// and of the real writer. It imports the standard library alone, so that Go's own net/http tests
// can run with it in front of every handler (see test/overlay).
//
// # What stays as it was
//
// The writer that the handler gets has exactly those optional interfaces that the real one has, of
// http.Flusher, FlushError() error, http.Hijacker, io.ReaderFrom, io.StringWriter,
// http.CloseNotifier and http.Pusher. It always has Unwrap, so http.ResponseController finds
// deadlines and full duplex. Each call goes to the same method of the real writer, since
// net/http cuts chunks differently for Write, WriteString and ReadFrom.
//
// The handler gets a shallow copy of the request where the body or the context must differ. What a
// handler or a mux inside leaves on its copy and the outside needs (the multipart form, which
// net/http removes from disk; the pattern and its path values) is brought back, after a panic too.
//
// Nothing is recovered, no lock is held, no goroutine is started.
//
// # What cannot stay
//
// An http.MaxBytesReader that a handler puts on the body tells the server through an unexported
// method of its writer that the limit was passed, so that the connection closes. No type outside
// net/http can have that method. Behind Serve such a request fails in the same way, but the server
// reads up to 256 KiB of what is left and, if that was all, keeps the connection. A limit that was
// put on the body before Serve works as ever. The text of net/http's log line about a second
// WriteHeader names this package as the caller.
//
// Trailers that were not announced reach the handler with the end or the close of the body. Where the
// handler does neither and the server drains the body before it writes a header, they are on the
// server's own request alone.
//
// A connection that the handler takes over is the server's own, unless the observer follows its protocol
// ([SwitchObserver]). Then it is a net.Conn with CloseWrite where the server's has it, with the server's own behind
// NetConn, and without what else a *net.TCPConn or *tls.Conn can do.
//
// A writer may lack an interface that a writer it unwraps to has. http.ResponseController then
// reaches the latter through Unwrap, and a flush or a hijack passes unseen.
package httpwrap
