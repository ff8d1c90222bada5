package gpumetrics

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Ledger shares the energy and the time of GPUs among the requests that used them.
//
// The share is by time: at each instant the power of the ledger's GPUs is divided equally among the
// requests that run then. With n(t) requests running, G GPUs and the power P(t) of all of them, the
// request that runs from a to b gets
//
//	energy    ∫ P(t)/n(t) dt   joules, from a to b
//	GPU time  ∫ G(t)/n(t) dt   seconds, from a to b
//	energy per token           its energy ÷ its output tokens
//
// so that all requests together get what the GPUs used while any ran; what an idle GPU uses is
// nobody's, and can be read as hw.energy less the sum of vllm.request.gpu.energy. Equal shares are a
// convention: an engine computes its requests in one batch, and no counter tells whose part of a
// kernel took which joule. Only requests that the ledger is told of count: those that reach the
// engine on another way make the shares of ours too large.
//
// Energy is known where a GPU's counter was read, every ten seconds by default. Between two readings
// of a GPU its power counts as constant. A request is settled, and recorded, when every GPU has been
// read after its end. A GPU without a counter of energy is taken at the mean of the power read at
// both ends. The share of a request in whose time a GPU stopped answering cannot be told, nor that of
// one that ended before any GPU was read: they are counted in vllm.request.gpu.unsettled.
//
// A request that has nothing to do for a while, such as a WebSocket whose caller is silent, is paused
// meanwhile: what the GPUs use then is not its. Its record is the sum of the times in which it ran.
//
// Begin and End take a lock for some nanoseconds and allocate nothing. Make a ledger with
// [Monitor.NewLedger]; its methods may be called from several goroutines.
type Ledger struct {
	in      *instruments
	devices []string // empty: all

	mu      sync.Mutex
	running int
	now     time.Duration // up to when the integrals go, as time after the monitor's birth
	clock   func() time.Duration
	virtual float64 // ∫ dt/n, s
	gpuTime float64 // ∫ G/n dt, s
	gpus    map[string]*meter

	segments []segment // time since the last settled moment, oldest first; the last one is open
	energy   float64   // ∫ P/n dt up to the first segment, J
	gaps     int       // segments before the first one in which a GPU's energy is not known
	base     int       // number of the first segment
	pending  []settlement
	ready    []settlement // to be recorded
	seen     bool         // a GPU was read once
	dropped  [len(unsettledReasons)]atomic.Int64
	exist    atomic.Bool // there are GPUs to read
}

// Bounds of what waits for a reading.
const (
	maxPending  = 4096
	maxSegments = 1024
)

// Reasons why a request's share could not be told, values of error.type.
var unsettledReasons = [...]string{"gpu_silent", "too_many_waiting", "gpu_unread"}

const (
	silent = iota
	tooMany
	unread
)

// segment is the time between two readings of any GPU.
type segment struct {
	began   time.Duration
	virtual float64 // at its beginning
	energy  float64 // J that the GPUs used in it, as far as they have been read
	gap     bool    // a GPU's energy in it will never be known
	first   *Use    // requests that began in it and run
}

// meter is what is known of the energy of one GPU.
type meter struct {
	energy  float64 // J since the monitor began
	power   float64 // W
	at      time.Duration
	segment int // number of the segment that began when it was read
	counter bool
}

// Use is one request in a ledger. The zero value is ready; it is used for one request at a time, and
// must not be copied while that runs.
type Use struct {
	running    bool
	settled    bool // energy and gaps are those at its beginning
	segment    int
	virtual    float64 // at its beginning
	gpuTime    float64
	energy     float64
	gaps       int
	turns      *turns // the times in which it ran before; nil as long as it was never paused
	next, prev *Use
}

// settlement is a request that has ended, or was paused, and waits for the reading that tells its energy.
type settlement struct {
	use     Use
	segment int // in which it ended
	virtual float64
	gpuTime float64
	outcome Outcome
	span    trace.SpanContext
}

// Outcome is what is known of a request when it ends.
type Outcome struct {
	// OutputTokens are those that the engine generated; 0 where none, or where they are not known.
	OutputTokens int64
	// Attributes are given to the data points. They must be of few values.
	Attributes attribute.Set
}

// NewLedger makes a ledger of the GPUs with the given identities, of all GPUs if none is given. It is
// fed as long as the monitor runs.
func (m *Monitor) NewLedger(gpus ...string) *Ledger {
	l := &Ledger{in: m.instruments, devices: slices.Clone(gpus), clock: m.clock, gpus: map[string]*meter{}}
	l.now = m.clock()
	l.segments = make([]segment, 1, 64)
	l.segments[0].began = l.now
	l.pending = make([]settlement, 0, 64)
	m.ledgers.add(l)
	return l
}

// Begin notes that a request begins to use the GPUs, or uses them again after a pause. A Use that runs already is left
// as it is.
func (l *Ledger) Begin(u *Use) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u.running {
		return
	}
	l.advance()
	l.running++
	last := &l.segments[len(l.segments)-1]
	*u = Use{
		running: true, segment: l.base + len(l.segments) - 1,
		virtual: l.virtual, gpuTime: l.gpuTime, turns: u.turns, next: last.first,
	}
	if u.next != nil {
		u.next.prev = u
	}
	last.first = u
}

// End notes that a request has ended. Its share is recorded when it is known, with an exemplar of the
// span in ctx. A Use that neither runs nor is paused is left alone.
func (l *Ledger) End(ctx context.Context, u *Use, o Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u.running {
		l.stop(u)
		if u.turns == nil {
			l.wait(settlement{use: *u, outcome: o, span: trace.SpanContextFromContext(ctx)})
			return
		}
		l.turn(u)
	}
	if u.turns != nil {
		l.endTurns(u, o, trace.SpanContextFromContext(ctx))
	}
}

// stop takes a request out of those that run.
func (l *Ledger) stop(u *Use) {
	l.advance()
	l.running--
	l.unlink(u)
	u.running = false
}

// wait keeps what has just ended until it can be settled. Where it never can be, it is counted instead.
func (l *Ledger) wait(s settlement) {
	switch {
	case len(l.gpus) == 0 && l.seen:
		l.miss(&s, silent)
	case len(l.gpus) == 0:
		l.miss(&s, unread)
	case len(l.pending) == maxPending:
		l.miss(&s, tooMany)
	default:
		s.segment, s.virtual, s.gpuTime = l.base+len(l.segments)-1, l.virtual, l.gpuTime
		l.pending = append(l.pending, s)
	}
}

// unlink takes a request out of the list of those that began in its segment.
func (l *Ledger) unlink(u *Use) {
	switch {
	case u.settled:
	case u.prev != nil:
		u.prev.next = u.next
	default:
		l.segments[u.segment-l.base].first = u.next
	}
	if u.next != nil && !u.settled {
		u.next.prev = u.prev
	}
	u.next, u.prev = nil, nil
}

// advance brings the integrals up to now.
func (l *Ledger) advance() {
	now := l.clock()
	if now <= l.now {
		return
	}
	if l.running > 0 {
		share := (now - l.now).Seconds() / float64(l.running)
		l.virtual += share
		l.gpuTime += share * float64(len(l.gpus))
	}
	l.now = now
}

// record tells the share of a request that has been settled.
func (l *Ledger) record(s *settlement) {
	energy := s.use.energy
	ctx := context.Background()
	if s.span.IsValid() {
		ctx = trace.ContextWithSpanContext(ctx, s.span)
	}
	with := metric.WithAttributeSet(s.outcome.Attributes)
	l.in.energyShare.Record(ctx, energy, with)
	l.in.timeShare.Record(ctx, max(0, s.gpuTime-s.use.gpuTime), with)
	if s.outcome.OutputTokens > 0 {
		l.in.energyToken.Record(ctx, energy/float64(s.outcome.OutputTokens), with)
	}
}
