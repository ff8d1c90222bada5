package inflight

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Phase says what a request is waiting for.
type Phase string

// The phases of a request.
const (
	// PhaseEngineInit is the wait until the engine is ready.
	PhaseEngineInit Phase = "engine_init"
	// PhaseConnect lasts until the request is sent.
	PhaseConnect Phase = "connect"
	// PhaseQueueOrPrefill lasts from then to the first content of a stream, or to the headers of
	// an answer that is not streamed. Only the engine can tell queue and prefill apart.
	PhaseQueueOrPrefill Phase = "queue_or_prefill"
	// PhaseDecode lasts from the first content of a stream to its end.
	PhaseDecode Phase = "decode"
	// PhaseBody lasts from the headers of an answer that is not streamed to its end.
	PhaseBody Phase = "body"
	// PhaseIdle is the caller's turn on a WebSocket: the engine owes nothing, and its silence is none.
	PhaseIdle Phase = "idle"
)

// Info is what is known about a request when it begins. Empty strings mean unknown.
type Info struct {
	// TraceID and SpanID identify the request's span, as hexadecimal digits.
	TraceID, SpanID string
	// Operation is the GenAI operation, such as "chat".
	Operation string
	// Model is the model that was asked for. It is kept as valid UTF-8 of at most 256 bytes.
	Model string
	// Route is the path of the request. It is kept as valid UTF-8 of at most 256 bytes.
	Route string
	// Engine is the address of the engine that serves the request, as host:port. It is kept as valid
	// UTF-8 of at most 256 bytes.
	Engine string
	// Stream tells that a stream was asked for.
	Stream bool
	// Start is when the request began; zero means now.
	Start time.Time
	// OnStall is called by [Request.Stalled], on its goroutine and under no lock. It may run
	// while [Request.End] does, or just after it. Nil means nobody wants to know.
	OnStall func(Stall)
	// OnGPUError is called by [Registry.GPUError] under the same rules.
	OnGPUError func(GPUError)
}

// Stall says that a request is silent for too long, and why.
type Stall struct {
	// Cause is the code of the finding, such as "engine_wedged".
	Cause string
	// Phase is the phase in which the request hangs.
	Phase string
	// Summary and Remedy are texts for people.
	Summary, Remedy string
	// Since is when the silence began: the request's last progress. Zero means just that.
	Since time.Time
	// Silence is how long it had lasted at the time of the report.
	Silence time.Duration
	// Evidence holds the readings behind the cause. It must not change once it is reported.
	Evidence map[string]any
	// Repeat counts the earlier reports of this stall: zero for the first.
	Repeat int
}

// Span is a part of a finished request, for a waterfall.
type Span struct {
	Name string
	// Parent is the index of the span around this one, or -1.
	Parent   int
	Start    time.Time
	Duration time.Duration
}

// Request is one request of a [Registry]. All methods are safe for concurrent use, do nothing on a
// nil *Request, and change nothing after [Request.End]. Times that are given to it should come
// from time.Now, whose monotonic clock a step of the wall clock does not move.
type Request struct {
	registry *Registry
	number   uint64 // in the order of Begin
	place    int    // in the registry's list; guarded by its mutex
	start    time.Time

	progress  atomic.Int64 // when the engine last sent something, in ns since start
	keepAlive atomic.Int64 // the same for comments, plus one; 0 means none
	writing   atomic.Int64 // when the write to the caller began that is under way, in ns since start, plus one; 0 means none
	unblocked atomic.Int64 // when the last write to the caller ended that had been blocked, in ns since start; 0 means never
	contents  atomic.Int64
	output    atomic.Int64 // output tokens; -1 means unknown
	stall     atomic.Pointer[Stall]
	final     atomic.Pointer[Status] // set once, by End
	gpuErrors errorCount
	version   atomic.Uint32 // counts changes of what mu guards

	mu         sync.Mutex // never held while anything is called
	info       Info
	phase      Phase
	phaseSince time.Time
	described  bool
}

func newRequest(info Info) *Request {
	if info.Start.IsZero() {
		info.Start = time.Now()
	}
	info.TraceID, info.SpanID, info.Operation = clean(info.TraceID), clean(info.SpanID), clean(info.Operation)
	// Names and paths are often cut from something large, which a copy does not keep alive.
	info.Model, info.Route = strings.Clone(clean(info.Model)), strings.Clone(clean(info.Route))
	info.Engine = strings.Clone(clean(info.Engine))
	q := &Request{
		start: info.Start, info: info, phaseSince: info.Start,
		described: info.Stream || info.Model != "",
	}
	q.output.Store(-1)
	return q
}

// Describe adds what the request's body told. Empty strings leave what is known.
func (q *Request) Describe(operation, model string, stream bool) {
	if q == nil {
		return
	}
	operation, model = clean(operation), strings.Clone(clean(model))
	q.mu.Lock()
	defer q.mu.Unlock()
	if operation != "" {
		q.info.Operation = operation
	}
	if model != "" {
		q.info.Model = model
	}
	q.info.Stream, q.described = stream, true
	q.version.Add(1)
}

// Enter begins a phase at the given time. That is progress too.
func (q *Request) Enter(p Phase, at time.Time) {
	if q == nil || q.final.Load() != nil {
		return
	}
	q.mu.Lock()
	q.phase, q.phaseSince = p, at
	q.version.Add(1)
	q.mu.Unlock()
	q.Progress(at, 0)
}

// Progress notes that the engine sent data at the given time, in which contents events with
// content ended. It ends a stall. It takes no lock and is cheap enough for every read.
func (q *Request) Progress(at time.Time, contents int) {
	if q == nil || q.final.Load() != nil {
		return
	}
	raise(&q.progress, int64(at.Sub(q.start)))
	if contents > 0 {
		q.contents.Add(int64(contents))
	}
	// The order counts: Stalled first sets the stall and then looks for progress, so that of two
	// calls at the same time one sees the other.
	if s := q.stall.Load(); s != nil {
		q.stall.CompareAndSwap(s, nil)
	}
}

// KeepAlive notes that the engine sent a comment, which shows that the connection lives. That is
// not progress.
func (q *Request) KeepAlive(at time.Time) {
	if q == nil || q.final.Load() != nil {
		return
	}
	raise(&q.keepAlive, max(0, int64(at.Sub(q.start)))+1)
}

// OutputTokens notes how many tokens the engine says it has generated so far. A number that cannot
// be one, below zero or above 2^53, is ignored.
func (q *Request) OutputTokens(n int64) {
	if q == nil || n < 0 || n > 1<<53 || q.final.Load() != nil {
		return
	}
	q.output.Store(n)
}

// Stalled notes that the request hangs and calls OnStall. Another report replaces the one before.
// A report is ignored if there was progress after its Since: the stall was over before it was
// noted.
func (q *Request) Stalled(s Stall) {
	if q == nil || q.final.Load() != nil {
		return
	}
	since := q.progress.Load()
	if s.Since.IsZero() {
		s.Since = q.start.Add(time.Duration(since))
	} else {
		since = int64(s.Since.Sub(q.start))
	}
	q.stall.Store(&s)
	if q.progress.Load() > since || q.final.Load() != nil {
		q.stall.CompareAndSwap(&s, nil)
		return
	}
	q.mu.Lock()
	onStall := q.info.OnStall
	q.mu.Unlock()
	if onStall != nil {
		onStall(s)
	}
}

// Resumed notes that the request no longer hangs. Progress says so by itself.
func (q *Request) Resumed() {
	if q == nil || q.final.Load() != nil {
		return
	}
	q.stall.Store(nil)
}

// End moves the request to the registry's history. Outcome says how it ended; spans are its
// parts, of which at most 64 are kept. Only the first call counts.
func (q *Request) End(outcome string, spans []Span, at time.Time) {
	if q == nil {
		return
	}
	spans = cleanSpans(spans)
	outcome = clean(outcome)
	q.mu.Lock()
	if q.final.Load() != nil {
		q.mu.Unlock()
		return
	}
	final := q.statusLocked(at)
	final.Ended, final.Outcome, final.Duration, final.Spans = true, outcome, final.Age, spans
	q.final.Store(&final)
	q.info.OnStall, q.info.OnGPUError = nil, nil // they may hold all of the request's memory, and the handle may be kept
	q.mu.Unlock()
	q.registry.end(q, &final)
}

// raise sets v to n unless it is larger already.
func raise(v *atomic.Int64, n int64) {
	for {
		old := v.Load()
		if n <= old || v.CompareAndSwap(old, n) {
			return
		}
	}
}
