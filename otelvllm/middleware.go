package otelvllm

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm/internal/httpwrap"
)

// Middleware returns a wrapper for the handlers of a server that answers inference requests, be it
// a proxy in front of vLLM or a handler of its own. Each request gets a SERVER span, unless its
// context already holds a span of this process, and each inference request a request span with its
// children, its metrics and its record. Bytes, headers, flushes, errors and panics are what they
// would be without it; nothing is read ahead and nothing is held back.
//
// A request whose path is not an inference endpoint gets the SERVER span alone; where its handler asks the engine, as
// one of a path of your own such as /ask does, [Transport] or [Request] makes the request span below it. A handler of an
// inference endpoint that calls the engine through [Transport] with the request's context shares its record.
//
// In a chain of middleware, what stands inside and refuses requests, such as a rate limit, has its refusals recorded as
// rejected requests. What stands outside has not, and what it puts into the context is there for [WithOnDone]. The
// handler finds the request span by [trace.SpanFromContext], to add attributes to it.
func Middleware(opts ...Option) func(http.Handler) http.Handler {
	c := newCore(opts)
	return func(next http.Handler) http.Handler {
		if next == nil {
			next = http.DefaultServeMux
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.serve(next, w, r) })
	}
}

func (c *core) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	if !c.keep(r) || nested(r) {
		next.ServeHTTP(w, r)
		return
	}
	start := time.Now()
	s := &serverCall{core: c, request: r}
	ctx := r.Context()
	if !trace.SpanContextFromContext(ctx).IsValid() || trace.SpanContextFromContext(ctx).IsRemote() {
		parent, links := c.callerContext(r)
		opts := []trace.SpanStartOption{
			trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(start), trace.WithAttributes(serverAttributes(r)...),
		}
		if links != nil {
			opts = append(opts, trace.WithNewRoot(), trace.WithLinks(links...))
		}
		ctx, s.span = c.tracer.Start(parent, method(r.Method), opts...)
	}
	endpoint := endpointOf(r)
	if endpoint != nil {
		ctx, s.live = c.begin(ctx, opening{
			operation: endpoint.Operation, route: r.URL.Path, endpoint: endpoint, kind: trace.SpanKindInternal,
			start: start, side: side{server: true},
		})
		if r.Body == nil || r.Body == http.NoBody {
			s.live.requestEnd()
		}
	} else {
		ctx = context.WithValue(ctx, coreKey{}, c)
	}
	httpwrap.ServeContext(ctx, next, w, r, s)
}

// nested tells whether an outer Middleware has opened a call for this very request: the inner one
// must not count it twice.
func nested(r *http.Request) bool {
	l := liveFrom(r.Context())
	return l != nil && l.side.server && l.call.Route == clean(r.URL.Path, maxText)
}

// callerContext reads the caller's trace context. For a public endpoint it becomes a link.
func (c *core) callerContext(r *http.Request) (ctx context.Context, links []trace.Link) {
	ctx = c.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	if c.public == nil || !c.public(r) {
		return ctx, nil
	}
	remote := trace.SpanContextFromContext(ctx)
	ctx = context.WithValue(r.Context(), strangerKey{}, true)
	if !remote.IsValid() {
		return ctx, nil
	}
	return ctx, []trace.Link{{SpanContext: remote}}
}

// strangerKey is the context key of requests that came to a public endpoint.
type strangerKey struct{}

// serverCall watches one request that a handler answers. It implements [httpwrap.Observer].
type serverCall struct {
	core    *core
	request *http.Request // as it came; the pattern of an inner ServeMux is given back to it
	span    trace.Span    // nil if the caller has one
	live    *live         // nil if it is not an inference request
	socket  *callerSocket // nil if no handler has taken over the connection of a WebSocket
	status  int
}

func (s *serverCall) RequestBody(p []byte) {
	if s.live != nil {
		s.live.requestBytes(p)
	}
}

func (s *serverCall) RequestEnd(error) {
	if s.live != nil {
		s.live.requestEnd()
	}
}

func (s *serverCall) ResponseHeader(status int, h http.Header) (watch bool) {
	s.status = status
	if s.live == nil {
		return false
	}
	return s.live.handlerHeader(status, h)
}

func (s *serverCall) ResponseBody(p []byte, err error) {
	if s.live != nil {
		s.live.handlerBytes(p, err)
	}
}

func (s *serverCall) ResponseFlush(err error) {
	if s.live != nil && err != nil {
		s.live.handlerBytes(nil, err)
	}
}

// WriteStarted implements [httpwrap.WriteObserver]: a caller who does not read blocks the write, and
// with it the reading of the engine's answer.
func (s *serverCall) WriteStarted() {
	if s.live != nil && s.live.item != nil {
		s.live.item.WriteStarted(s.live.at(s.live.now())) // one clock to read, not two as in time.Now
	}
}

// WriteEnded implements [httpwrap.WriteObserver].
func (s *serverCall) WriteEnded() {
	if s.live != nil && s.live.item != nil {
		s.live.item.WriteEnded(s.live.at(s.live.now()))
	}
}

func (s *serverCall) Done(returned bool) {
	if s.socket != nil && returned && s.socket.outlives() {
		return
	}
	s.end(s.request.Context(), returned)
}

// end ends the call and the SERVER span.
func (s *serverCall) end(caller context.Context, returned bool) {
	if s.live != nil {
		s.live.end(caller, func(e *evidence) {
			e.unwound = !returned
			s.leftOpen(e)
			if returned && s.live.call.Status == 0 && s.socket == nil {
				e.answered = true
				s.live.call.Status = http.StatusOK // net/http's own answer to a handler that wrote nothing
			}
		})
	}
	if s.span == nil {
		return
	}
	if s.status == 0 && returned {
		s.status = http.StatusOK
	}
	s.endServerSpan(returned)
}

// handlerHeader is header for a handler's answer: the engine's own, seen by a Transport, counts
// more.
func (l *live) handlerHeader(status int, h http.Header) (watch bool) {
	l.mu.Lock()
	engine := l.engine
	if engine && l.call.Status == 0 && !l.ended {
		l.call.Status = status
	}
	l.mu.Unlock()
	if !engine {
		l.header(status, h)
	}
	return true
}

// handlerBytes takes what the handler wrote, and the error of that write.
func (l *live) handlerBytes(p []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && l.evidence.writeErr == nil {
		l.evidence.writeErr = err
	}
	if !l.engine {
		l.read(p)
	}
}
