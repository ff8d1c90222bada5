package otelvllm

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/internal/wire"
)

// core is what all calls of one middleware, transport or context share.
type core struct {
	config

	tracer trace.Tracer
	inst   instruments
	labels *labels
	flush  flusher
}

func newCore(opts []Option) *core {
	c := &core{config: newConfig(opts)}
	c.tracer = c.tracerProvider.Tracer(ScopeName, trace.WithInstrumentationVersion(Version), trace.WithSchemaURL(schemaURL))
	c.inst = newInstruments(c.meterProvider)
	c.labels = newLabels(c.models)
	c.flush.provider = c.tracerProvider
	if c.registry != nil {
		c.inst.observeStalled(c.registry)
	}
	return c
}

// live is a call that has not ended. Several goroutines may report to it: the handler's, the one
// that sends the request, the one that reads the answer. Its mutex is held for state only, never
// across I/O of the user.
type live struct {
	core *core
	ctx  context.Context // carries the request span; never cancelled
	span trace.Span
	item *inflight.Request

	caller context.Context // what hooks get before the end; nil without such

	mu        sync.Mutex
	ended     bool
	call      Call
	opened    string // the operation under which the call was counted as active
	side      side
	endpoint  *wire.Endpoint
	request   *wire.RequestReader
	described bool
	answer    *wire.ResponseReader
	engine    bool // a Transport sees the engine's own bytes; what the handler writes is not read
	inFlight  bool // an attempt is under way
	evidence  evidence
	asked     wire.Request
	content   *recording
	talk      talk // on a WebSocket

	generation generation
	// Offsets from call.Start; zero means it has not happened.
	attemptStart                                                     time.Duration
	sent, firstEvent, firstContent, lastContent, engineEnd, initDone time.Duration
	firstToken                                                       trace.Span // ended; the parent of queue and prefill
	gaps, chunkGaps                                                  []metric.RecordOption
	longestGap                                                       time.Duration
	metered                                                          int64 // tokens a Meter counted
	clientStart                                                      time.Duration
}

// generation is the span around sending the request and receiving its answer.
type generation struct {
	span  trace.Span
	ctx   context.Context // carries the span; never cancelled
	start time.Duration
}

// opening says how a call begins.
type opening struct {
	operation, route string
	endpoint         *wire.Endpoint
	kind             trace.SpanKind
	start            time.Time
	request          wire.Request // what is known already
	side             side
	address          string
	port             int
	stream           bool
	links            []trace.Link
}

// liveKey is the context key of the call that is under way.
type liveKey struct{}

func liveFrom(ctx context.Context) *live {
	l, _ := ctx.Value(liveKey{}).(*live)
	return l
}

// begin opens a call: its request span and its entry in the registry. The context it returns
// carries both and is cancelled as ctx is.
func (c *core) begin(ctx context.Context, o opening) (context.Context, *live) {
	l := &live{core: c, endpoint: o.endpoint, side: o.side, content: newRecording(c.capture)}
	l.call = Call{
		Operation: o.operation, Route: clean(o.route, maxText), Start: o.start, Stream: o.stream,
		ServerAddress: o.address, ServerPort: o.port, Model: clean(o.request.Model, maxText),
	}
	if l.call.Start.IsZero() {
		l.call.Start = time.Now()
	}
	attrs := make([]attribute.KeyValue, 0, 5)
	attrs = append(attrs, keyOperation.String(o.operation), keyProvider.String(providerVLLM))
	name := o.operation
	if l.call.Model != "" {
		name += " " + l.call.Model
		attrs = append(attrs, keyRequestModel.String(l.call.Model))
	}
	if o.address != "" {
		attrs = append(attrs, semconv.ServerAddress(o.address), semconv.ServerPort(o.port))
	}
	opts := append(make([]trace.SpanStartOption, 0, 4), trace.WithSpanKind(o.kind), trace.WithTimestamp(l.call.Start), trace.WithAttributes(attrs...))
	if len(o.links) > 0 {
		opts = append(opts, trace.WithLinks(o.links...)) // links at the start are those that a sampler sees
	}
	ctx, l.span = c.tracer.Start(ctx, name, opts...)
	l.ctx = detached(ctx, l.span)
	if len(c.onIdle) > 0 {
		l.caller = hookContext(ctx, l.span)
	}
	ctx = context.WithValue(ctx, liveKey{}, l)
	sc := l.span.SpanContext()
	l.call.TraceID, l.call.SpanID = sc.TraceID(), sc.SpanID()
	l.opened = o.operation
	c.inst.active.Add(l.ctx, 1, c.labels.operation(o.operation)...)
	l.register()
	switch {
	case o.request.Complete:
		l.describe(o.request)
		l.described = o.endpoint != nil // the request to the engine tells more than a wrapper knows
	case o.side.server && o.endpoint != nil:
		l.request = o.endpoint.NewRequestReader()
	}
	l.log("start")
	return ctx, l
}

// detached returns a context with the span and the baggage of ctx that is never cancelled.
// context.WithoutCancel would do, but costs an allocation for each look into it.
func detached(ctx context.Context, span trace.Span) context.Context {
	fresh := trace.ContextWithSpan(context.Background(), span)
	if b := baggage.FromContext(ctx); b.Len() > 0 {
		fresh = baggage.ContextWithBaggage(fresh, b)
	}
	return fresh
}

// register lists the call in the registry, if there is one.
func (l *live) register() {
	if l.core.registry == nil {
		return
	}
	info := inflight.Info{
		Operation: l.call.Operation, Model: l.call.Model, Route: l.call.Route, Stream: l.call.Stream,
		Start: l.call.Start, OnStall: l.stalled, OnGPUError: l.gpuError,
	}
	if l.call.TraceID.IsValid() {
		info.TraceID, info.SpanID = l.call.TraceID.String(), l.call.SpanID.String()
	}
	if l.call.ServerAddress != "" {
		info.Engine = l.engineAddress()
	}
	l.item = l.core.registry.Begin(info)
	l.item.Enter(inflight.PhaseConnect, l.call.Start)
}

// now returns the time since the call began.
func (l *live) now() time.Duration { return time.Since(l.call.Start) }

// at turns an offset into a time.
func (l *live) at(d time.Duration) time.Time { return l.call.Start.Add(d) }

// engineAddress is the engine's address as the registry has it.
func (l *live) engineAddress() string {
	return net.JoinHostPort(l.call.ServerAddress, strconv.Itoa(l.call.ServerPort))
}

// requestBytes takes the bytes of the request's body as they are read.
func (l *live) requestBytes(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.item != nil && l.sent == 0 {
		l.item.Progress(l.at(l.now()), 0) // it is the caller who is slow, not the engine
	}
	if l.request != nil && !l.described && !l.ended {
		l.request.Write(p)
		l.content.request(p)
	}
}

// requestEnd notes that the request's body has been read, and that the request is on its way
// unless a Transport says so more exactly.
func (l *live) requestEnd() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended { // a handler may leave the body to a goroutine that outlives it
		return
	}
	if l.request != nil && !l.described {
		l.request.End()
		l.describe(l.request.Request())
	}
	if !l.engine && l.sent == 0 {
		l.sent = l.now()
		l.item.Enter(inflight.PhaseQueueOrPrefill, l.at(l.sent))
	}
}

// describe tells span and registry what the request's body told. The caller holds l.mu, or is the
// only one who knows l.
func (l *live) describe(r wire.Request) {
	if l.described {
		return
	}
	l.described, l.asked = true, r
	if r.Operation != "" { // the path did not tell it
		l.call.Operation = r.Operation
		l.span.SetAttributes(keyOperation.String(r.Operation))
	}
	if model := clean(r.Model, maxText); model != "" {
		l.call.Model = model
		l.span.SetName(l.call.Operation + " " + model)
		l.span.SetAttributes(keyRequestModel.String(model))
	}
	l.call.Stream = l.call.Stream || r.Stream
	if l.span.IsRecording() {
		l.span.SetAttributes(requestAttributes(r)...)
	}
	l.item.Describe(l.call.Operation, l.call.Model, l.call.Stream)
}

// openGeneration starts the generation span, once. Without a start of its own it began when the
// call did, or when the engine was ready. The caller holds l.mu.
func (l *live) openGeneration(kind trace.SpanKind, start time.Duration) {
	if l.generation.span != nil || l.ended {
		return
	}
	l.generation.start = start
	ctx, span := l.core.tracer.Start(l.ctx, "generation", trace.WithSpanKind(kind), trace.WithTimestamp(l.at(start)))
	l.generation.span, l.generation.ctx = span, ctx
	l.log("generation start")
}
