package otelvllm

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/internal/wire"
)

// coreKey is the context key of what [NewContext] made.
type coreKey struct{}

// defaultCore serves contexts that NewContext has not seen. It uses the global providers, which may
// be set later.
var defaultCore = sync.OnceValue(func() *core { return newCore(nil) })

// NewContext returns a context whose [Request], [EngineInit] and [Generation] calls use opts. Make
// it once, for a worker or a server, not for each request. Without it they use the global providers.
func NewContext(ctx context.Context, opts ...Option) context.Context {
	return context.WithValue(ctx, coreKey{}, newCore(opts))
}

func coreFrom(ctx context.Context) *core {
	if c, ok := ctx.Value(coreKey{}).(*core); ok {
		return c
	}
	return defaultCore()
}

// Info describes a request that no HTTP handler or client shows: a job, a step of one.
type Info struct {
	// Operation is the GenAI operation; empty means "chat".
	Operation string
	// Model is the model that is asked for; empty means unknown.
	Model string
	// Route names where the request came in, such as "/run"; empty leaves it out.
	Route string
	// Stream tells that tokens are delivered as they come.
	Stream bool
	// Engine is the address of the engine that is to serve the request, as host:port, where no [Transport] sees it: it
	// tells a watchdog which of several engines to look at. Empty means unknown.
	Engine string
	// Links point from the request span to spans of other traces. A job that waited in a queue runs
	// in a trace of its own and links to the request that put it there, as the messaging
	// conventions v1.43 advise. Nil means none.
	Links []trace.Link
}

// Request runs fn as one inference request: with a request span around it, metrics, a record and an
// entry in the registry. It returns fn's error, which decides the outcome unless a [Transport] used
// with fn's context knows better. A panic passes through and is recorded. Within a request that is
// already being recorded, Request only fills in what info tells.
//
// Without a Transport, an error of fn makes the outcome Failed, or Deadline or CallerLeft where it says
// so ([context.DeadlineExceeded], a Timeout method, [context.Canceled]). Its error.type is "_OTHER",
// unless the error, or one that it wraps, has a method ErrorType() string: a word of few values.
func Request(ctx context.Context, info Info, fn func(context.Context) error) (err error) {
	if info.Operation == "" {
		info.Operation = operationUnclassified
	}
	info.Operation = clean(info.Operation, maxLabel)
	known := wire.Request{Model: info.Model, Stream: info.Stream, Complete: true}
	address, port := "", 0
	if info.Engine != "" {
		address, port = hostPort(info.Engine, "http")
	}
	if l := liveFrom(ctx); l != nil && l.annotate(known, address, port, info.Links) {
		return fn(ctx)
	}
	caller := ctx
	ctx, l := coreFrom(ctx).begin(ctx, opening{
		address: address, port: port,
		operation: info.Operation, route: info.Route, kind: trace.SpanKindInternal, request: known,
		stream: info.Stream, side: side{server: true}, links: info.Links,
	})
	returned := false
	defer func() {
		l.end(caller, func(e *evidence) { e.unwound, e.fnErr, e.answered = !returned, err, true })
	}()
	err = fn(ctx)
	returned = true
	return err
}

// annotate fills in what a wrapper knows of a call that is under way, and tells whether one is.
func (l *live) annotate(known wire.Request, address string, port int, links []trace.Link) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || !l.side.server {
		return false
	}
	if l.call.Model == "" && known.Model != "" {
		l.describe(known)
	}
	if l.call.ServerAddress == "" && address != "" {
		l.call.ServerAddress, l.call.ServerPort = address, port
		l.item.SentTo(l.engineAddress())
	}
	for _, link := range links {
		l.span.AddLink(link)
	}
	return true
}

// EngineInit runs fn, which waits until the engine is ready, as the engine_init step of the request
// in ctx: a span of its own, the metric vllm.engine.init.duration, and a phase in which a stall is
// told apart from a stall of the generation. An error of fn means the engine could not be reached;
// a later attempt that succeeds makes up for it. Without a request in ctx only span and metric are
// made.
func EngineInit(ctx context.Context, fn func(context.Context) error) (err error) {
	l := liveFrom(ctx)
	c := coreFrom(ctx)
	if l != nil {
		c = l.core
		l.enterInit()
	}
	start := time.Now()
	inner, span := c.tracer.Start(ctx, "engine_init", trace.WithTimestamp(start))
	returned := false
	defer func() {
		took := time.Since(start)
		if err != nil {
			span.SetAttributes(semconv.ErrorTypeKey.String(connectionError(err)))
			span.SetStatus(codes.Error, "the engine did not become ready")
		} else if !returned {
			span.SetStatus(codes.Error, string(Panicked))
		}
		span.End(trace.WithTimestamp(start.Add(took)))
		if l != nil {
			l.initEnded(took, err)
		} else {
			c.inst.engineInit.Record(ctx, took.Seconds())
		}
	}()
	err = fn(inner)
	returned = true
	return err
}

func (l *live) enterInit() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.item.Enter(inflight.PhaseEngineInit, l.at(l.now()))
	}
}

func (l *live) initEnded(took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.call.EngineInit += took
	l.initDone = l.now()
	l.evidence.sendErr = err
	l.item.Enter(inflight.PhaseConnect, l.at(l.initDone))
	l.core.inst.engineInit.Record(l.ctx, took.Seconds(), l.core.labels.base(&l.call)...)
	if err == nil {
		l.log("engine ready")
	}
}

// Generation runs fn, which lets the engine generate, as the generation step of the request in ctx.
// The Meter tells what only fn can see; with a [Transport] inside there is nothing to tell. Without
// a request in ctx, Generation makes one.
func Generation(ctx context.Context, fn func(context.Context, *Meter) error) error {
	l := liveFrom(ctx)
	if l == nil || l.done() {
		return Request(ctx, Info{}, func(ctx context.Context) error { return Generation(ctx, fn) })
	}
	l.mu.Lock()
	at := l.now()
	l.openGeneration(trace.SpanKindInternal, at)
	l.sent = at
	l.item.Enter(inflight.PhaseQueueOrPrefill, l.at(at))
	ctx = trace.ContextWithSpan(ctx, l.generation.span)
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.engine {
			l.engineEnd = l.now()
		}
	}()
	return fn(ctx, &Meter{l})
}

func (l *live) done() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// Meter tells a call what happens in its generation. Its methods are safe for concurrent use, do
// not block, and do nothing on a nil Meter or after the call has ended.
type Meter struct{ live *live }

// with runs f on the call unless it has ended.
func (m *Meter) with(f func(l *live)) {
	if m == nil || m.live == nil {
		return
	}
	m.live.mu.Lock()
	defer m.live.mu.Unlock()
	if !m.live.ended {
		f(m.live)
	}
}

// Tokens notes that n more output tokens have arrived. The first call also marks the first token.
func (m *Meter) Tokens(n int) {
	if n <= 0 {
		return
	}
	m.with(func(l *live) {
		l.metered = min(l.metered+min(int64(n), maxTokens), maxTokens)
		l.call.Chunks++
		l.call.Stream = true
		l.contents(l.now(), 1)
		l.item.OutputTokens(l.metered)
	})
}

// FirstToken marks the first content, for callers that do not count tokens. Later calls do nothing.
func (m *Meter) FirstToken() {
	m.with(func(l *live) {
		if l.firstContent == 0 {
			l.call.Stream = true
			l.contents(l.now(), 1)
		}
	})
}

// Usage sets the token counts the engine reported. The last call wins. A count below zero or above 2^53 is none, and
// stays unknown.
func (m *Meter) Usage(u Usage) {
	for _, t := range []*Tokens{&u.Input, &u.Output, &u.Cached, &u.CacheWrite, &u.Reasoning} {
		if !t.Known || t.N < 0 || t.N > maxTokens {
			*t = Tokens{}
		}
	}
	m.with(func(l *live) { l.call.Usage = u })
}

// Finish adds the finish reason of one choice, in the engine's own words.
func (m *Meter) Finish(reason string) {
	m.with(func(l *live) {
		if len(l.call.FinishReasons) < maxChoices {
			l.call.FinishReasons = append(l.call.FinishReasons, clean(reason, maxText))
		}
	})
}

// maxTokens is the largest count that is believed: above it a float64 skips integers.
const maxTokens = 1 << 53

// maxChoices bounds the finish reasons of one call.
const maxChoices = 128
