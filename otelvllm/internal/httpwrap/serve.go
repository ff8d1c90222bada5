package httpwrap

import (
	"context"
	"math"
	"net/http"
	"reflect"
	"sync/atomic"
)

// Serve runs next with w and the body of r watched by o. Panics, http.ErrAbortHandler and
// runtime.Goexit pass unchanged. A nil next is http.DefaultServeMux, as in net/http; with a nil o,
// next gets w and r as they are.
func Serve(next http.Handler, w http.ResponseWriter, r *http.Request, o Observer) {
	ServeContext(r.Context(), next, w, r, o)
}

// ServeContext is Serve with ctx as the context of the request that next sees. Giving the context
// here rather than by r.WithContext keeps one copy of the request instead of two, and keeps the
// way back to r for what next leaves on its copy.
func ServeContext(ctx context.Context, next http.Handler, w http.ResponseWriter, r *http.Request, o Observer) {
	if next == nil {
		next = http.DefaultServeMux
	}
	if o == nil {
		if ctx != r.Context() {
			outer := r
			r = r.WithContext(ctx)
			defer giveBack(outer, r)
		}
		next.ServeHTTP(w, r)
		return
	}
	x := &exchange{w: w, o: o, outer: r, inner: r}
	x.writes, _ = o.(WriteObserver)
	x.watchRequest(ctx)
	returned := false
	defer func() { x.finish(returned) }()
	next.ServeHTTP(writers[abilities(w)](x), x.inner)
	returned = true
}

// exchange is one request and its answer. It is also the least capable of the writers that a
// handler can get: see interfaces.go.
type exchange struct {
	w      http.ResponseWriter
	o      Observer
	writes WriteObserver // o, if it is one
	outer  *http.Request // as it came
	inner  *http.Request // as the handler sees it; the same where nothing had to differ
	body   body          // the body of inner, if it is watched
	phase  atomic.Uint32 // of the answer, below
	done   atomic.Bool   // the handler has ended, so what still comes is from goroutines it left
}

// Phases of the answer.
const (
	unsent    = iota // no final header yet
	telling          // the observer is being told the header
	watched          // the body is of interest
	unwatched        // it is not
	hijacked         // the connection is the handler's own
)

// watchRequest makes the request that the handler sees. The copy is shallow: r.Clone would cut the
// handler off from the trailers, which the server fills in when the body ends. Changing the
// request in place is not possible: net/http looks at its body's type while the handler runs.
func (x *exchange) watchRequest(ctx context.Context) {
	r := x.outer
	hasBody := r.Body != nil && r.Body != http.NoBody
	if !hasBody && ctx == r.Context() {
		return
	}
	x.inner = r.WithContext(ctx)
	if !hasBody {
		return
	}
	x.body.rc, x.body.o, x.body.x = r.Body, (*requestSide)(x), x
	x.inner.Body = x.body.wrap()
	if reflect.TypeOf(r.Body) == maxBytesReader {
		// Request.ParseForm applies no limit of its own to a body that has one already, and tells
		// by this type. The limit of the one outside is the one that counts.
		x.inner.Body = http.MaxBytesReader(nil, x.inner.Body, math.MaxInt64)
	}
}

// takeTrailers gives the handler the trailers that were not announced. The server makes their map only
// when it meets the end of the body, in a Read or Close, and on its own request.
func (x *exchange) takeTrailers() {
	if x.inner.Trailer == nil && x.outer.Trailer != nil && !x.done.Load() {
		x.inner.Trailer = x.outer.Trailer
	}
}

var maxBytesReader = reflect.TypeOf(http.MaxBytesReader(nil, nil, 0))

// finish ends the exchange. It runs in a deferred call, so it sees every way a handler can end.
func (x *exchange) finish(returned bool) {
	giveBack(x.outer, x.inner)
	if x.body.o != nil {
		x.body.end(ErrClosed)
	}
	if returned {
		x.header(http.StatusOK)
	}
	x.done.Store(true)
	x.o.Done(returned)
}

// requestSide observes the request's body for the exchange.
type requestSide exchange

func (s *requestSide) Body(p []byte) { s.o.RequestBody(p) }
func (s *requestSide) End(err error) { s.o.RequestEnd(err) }
