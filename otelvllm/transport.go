package otelvllm

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm/internal/httpwrap"
	"github.com/otelvllm/otelvllm-go/otelvllm/internal/wire"
)

// Transport is an [http.RoundTripper] that talks to vLLM. Each request carries the trace context,
// so that vLLM's own span joins the trace; each inference request is recorded from the moment it
// is sent until its answer has been read to the end or closed, so that the duration of a stream is
// that of the stream. A Transport is safe for concurrent use if its base is.
//
// Where the caller of a stream did not ask for token counts, Transport does and takes the extra
// event out again ([WithUsageInjection]): the caller reads the bytes it would have got.
//
// A Transport sees one try. Where a client tries again by itself, as OpenAI's SDKs do after a 429 or a 5xx, each try is
// a call of its own, unless all belong to one request: that of a [Middleware], or of a [Request] around the client's
// method.
type Transport struct {
	core *core
	base http.RoundTripper
}

// NewTransport returns a Transport that sends requests with base, or with [http.DefaultTransport]
// if base is nil.
func NewTransport(base http.RoundTripper, opts ...Option) *Transport {
	if base == nil {
		base = http.DefaultTransport
	}
	return &Transport{core: newCore(opts), base: base}
}

// CloseIdleConnections closes the idle connections of the base, if it can.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip sends r with the base. It changes nothing of r itself; errors are the base's own.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL == nil || !t.core.keep(r) { // of the former the base has its own to say
		return t.base.RoundTrip(r)
	}
	start := time.Now()
	a := &attempt{core: t.core, caller: r.Context(), ctx: r.Context()}
	out := new(http.Request)
	*out = *r // shallow: Clone would copy the trailers, which the caller fills in while the body is read
	out.Header = r.Header.Clone()
	if out.Header == nil {
		out.Header = make(http.Header)
	}
	if endpoint := endpointOf(r); endpoint != nil {
		if err := a.open(out, endpoint, start); err != nil {
			return nil, err
		}
	}
	return a.send(t.base, out)
}

// attempt is one request on its way to the engine. It observes the request's body and the answer's.
type attempt struct {
	core     *core
	caller   context.Context // the caller's, for how it ended
	ctx      context.Context // with the spans above the attempt
	live     *live           // nil if it is not an inference request
	owned    bool            // the call ends with this attempt: no handler closes it
	span     trace.Span      // the CLIENT span of the attempt
	injected bool
}

// open joins the call of the request's context, or begins one, and prepares the body.
func (a *attempt) open(out *http.Request, endpoint *wire.Endpoint, start time.Time) error {
	body, request, err := a.readBody(out, endpoint)
	if err != nil {
		return err
	}
	address, port := hostPort(out.URL.Host, out.URL.Scheme)
	if l := liveFrom(a.caller); l != nil && l.join(endpoint, address, port, start, request) {
		a.live = l
	} else {
		a.owned = true
		a.ctx, a.live = a.core.begin(a.caller, opening{
			operation: endpoint.Operation, route: out.URL.Path, endpoint: endpoint, kind: trace.SpanKindClient, start: start,
			request: request, side: side{client: true}, address: address, port: port,
		})
		a.live.join(endpoint, address, port, start, request)
	}
	if a.owned {
		a.live.content.request(body)
	}
	a.ctx = trace.ContextWithSpan(a.ctx, a.live.generation.span)
	a.setBody(out, endpoint, body)
	return nil
}

// send makes the attempt's span, sends the request and wraps the answer.
func (a *attempt) send(base http.RoundTripper, out *http.Request) (*http.Response, error) {
	ctx, span := a.core.tracer.Start(a.ctx, method(out.Method), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(clientAttributes(out)...))
	a.span = span
	if ctx.Value(strangerKey{}) != nil { // what a stranger said of its trace, or put into its baggage, ends here
		for _, name := range a.core.propagator.Fields() {
			out.Header.Del(name)
		}
	}
	a.core.propagator.Inject(ctx, propagation.HeaderCarrier(out.Header))
	if a.live != nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { a.live.wroteRequest() }})
	}
	*out = *out.WithContext(ctx)
	sent := false
	defer func() { // the base panicked or ended the goroutine: nothing is caught, and nothing is left open
		if !sent {
			a.finish(time.Now(), func(e *evidence) { e.unwound = true })
		}
	}()
	resp, err := base.RoundTrip(out)
	sent = true
	if err != nil || resp == nil {
		a.failed(err)
		return resp, err
	}
	a.answered(resp)
	return resp, nil
}

// failed is for an attempt without an answer.
func (a *attempt) failed(err error) {
	at := time.Now()
	if a.live != nil {
		at = a.live.sendFailed(err)
	}
	if err != nil && a.live.notRead() == nil {
		word := connectionError(err)
		if a.caller.Err() == nil || isDeadline(a.caller.Err()) {
			a.span.SetAttributes(semconv.ErrorTypeKey.String(word))
			a.span.SetStatus(codes.Error, word)
		}
	}
	a.finish(at, nil)
}

// answered looks at the headers of the answer and watches its body.
func (a *attempt) answered(resp *http.Response) {
	a.span.SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode))
	if resp.StatusCode >= 400 {
		a.span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(resp.StatusCode)))
		a.span.SetStatus(codes.Error, "")
	}
	if a.live != nil {
		a.live.header(resp.StatusCode, resp.Header)
	}
	unknown := resp.StatusCode == http.StatusSwitchingProtocols && (a.live == nil || !a.live.onSocket())
	if unknown || resp.Body == nil || resp.Body == http.NoBody {
		a.End(nil)
		return
	}
	resp.Body = httpwrap.WatchBody(resp.Body, a)
	if a.injected && a.live.readable() {
		resp.Body = newRestoredBody(resp.Body)
		resp.ContentLength = -1
		resp.Header.Del("Content-Length")
	}
}

// Body implements [httpwrap.BodyObserver] for the answer.
func (a *attempt) Body(p []byte) {
	if a.live != nil {
		a.live.answerBytes(p)
	}
}

// End implements [httpwrap.BodyObserver] for the answer.
func (a *attempt) End(err error) {
	at := time.Now()
	if a.live != nil {
		at = a.live.answerEnd(err)
	}
	if err != nil && err != httpwrap.ErrClosed && a.caller.Err() == nil { //nolint:errorlint // the sentinel is passed as it is
		a.span.SetAttributes(semconv.ErrorTypeKey.String(string(Truncated)))
		a.span.SetStatus(codes.Error, string(Truncated))
	}
	a.finish(at, nil)
}

// finish ends the attempt's span, and the call if no handler or wrapper will. The span ends with the generation above it:
// a child that ends after its parent looks like a clock that is wrong.
func (a *attempt) finish(at time.Time, add func(*evidence)) {
	a.span.End(trace.WithTimestamp(at))
	if a.live == nil {
		return
	}
	a.live.attemptDone()
	if a.owned {
		a.live.end(a.caller, add)
	}
}

// clientAttributes describes an attempt by the HTTP conventions v1.43, without user name, password
// and query, which can hold secrets.
func clientAttributes(r *http.Request) []attribute.KeyValue {
	host, port := hostPort(r.URL.Host, r.URL.Scheme)
	full := url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path}
	return []attribute.KeyValue{
		semconv.HTTPRequestMethodKey.String(method(r.Method)), semconv.ServerAddress(host), semconv.ServerPort(port),
		semconv.URLFull(clean(full.String(), maxText)),
	}
}
