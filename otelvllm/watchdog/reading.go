package watchdog

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// What the rules make of an engine's numbers.
const (
	// usualInterval is taken for the time between two readings where there is only one.
	usualInterval = 5 * time.Second
	// fullCache is the share of the KV cache in use from which it counts as full: vLLM keeps a few
	// blocks free, and frees some with each finished request.
	fullCache = 0.95
)

// reading is an engine's status with what follows from it.
type reading struct {
	*engine.Status
	local bool // its GPUs and its API server are on this host

	running, waiting, capacity, deferred, kv engine.Value // sums over ranks; kv is the worst rank
	// What was added between the last two readings.
	generated, prompted, iterated, preempted, rejected, remoteFailed engine.Value
	cached                                                           engine.Value // tokens by which the KV cache grew; unknown if its size is
	kvMoved, loraWaits                                               bool

	own     int             // our requests in flight on it
	due     int             // how many of its requests are silent for longer than the threshold
	longest time.Duration   // the longest silence of these
	waits   []time.Duration // see [look.waits]; nil until asked for
	frozen  bool            // its counters stand still beside one of these
	partly  bool            // some of its ranks do
	decodes bool            // one of these is in decode
	found   []*condition    // by the place of the rule in the table

	view       *View
	progressed time.Duration // how long ago it made progress, if it was seen to
	late       time.Duration // delay, if it was asked for
	asked      []int         // places in the table that can explain a request; nil until asked for
}

func read(s *engine.Status) *reading {
	e := &reading{Status: s}
	now := s.Snapshot
	if now == nil {
		return e
	}
	e.running = now.Sum(func(r *engine.Rank) engine.Value { return r.Running })
	e.waiting = now.Sum(func(r *engine.Rank) engine.Value { return r.Waiting })
	e.capacity = now.Sum(func(r *engine.Rank) engine.Value { return r.WaitingCapacity })
	e.deferred = now.Sum(func(r *engine.Rank) engine.Value { return r.WaitingDeferred })
	e.kv = now.Worst(func(r *engine.Rank) engine.Value { return r.KVCache })
	for i := range now.Ranks {
		e.loraWaits = e.loraWaits || now.Ranks[i].WaitingLoRA
	}
	if s.Before == nil || s.Mixed {
		return e
	}
	e.generated = added(s, func(r *engine.Rank) engine.Value { return r.GenerationTokens })
	e.prompted = added(s, func(r *engine.Rank) engine.Value { return r.PromptTokens })
	e.iterated = added(s, func(r *engine.Rank) engine.Value { return r.Iterations })
	e.preempted = added(s, func(r *engine.Rank) engine.Value { return r.Preemptions })
	e.remoteFailed = added(s, func(r *engine.Rank) engine.Value { return r.RemoteKVFailures })
	e.rejected = minus(now.AdmissionRejections, s.Before.AdmissionRejections)
	grown := added(s, func(r *engine.Rank) engine.Value { return r.KVCache })
	e.kvMoved = grown.Known && grown.V != 0
	if grown.Known && now.NumGPUBlocks.Known && now.BlockSize.Known {
		e.cached = engine.Value{V: grown.V * now.NumGPUBlocks.V * now.BlockSize.V, Known: true}
	}
	return e
}

// added returns by how much the sum over the ranks has grown since the reading before.
func added(s *engine.Status, value func(*engine.Rank) engine.Value) engine.Value {
	return minus(s.Snapshot.Sum(value), s.Before.Sum(value))
}

func minus(a, b engine.Value) engine.Value {
	if !a.Known || !b.Known {
		return engine.Value{}
	}
	return engine.Value{V: a.V - b.V, Known: true}
}

func positive(v engine.Value) bool { return v.Known && v.V > 0 }

func zero(v engine.Value) bool { return v.Known && v.V == 0 }

// interval is the time between the last two readings.
func (e *reading) interval() time.Duration {
	if e.Snapshot != nil && e.Before != nil {
		if d := e.Snapshot.Taken.Sub(e.Before.Taken); d > 0 {
			return d
		}
	}
	return usualInterval
}

// delay is how long after it happened progress may be seen: counters are read now and then.
func (e *reading) delay() time.Duration { return e.interval() + e.interval()/4 + e.ScrapeTook }

// moved tells whether the engine has made progress in the time before the look, and whether that can
// be told. Progress from before that time may be seen in it.
func (e *reading) moved(within time.Duration) (moved, known bool) {
	if e.Snapshot == nil || e.Mixed {
		return false, false
	}
	if !e.LastProgress.IsZero() {
		if e.late == 0 {
			e.late = e.delay()
		}
		if e.progressed < within-e.late {
			return true, true
		}
		return false, e.view.Now.Sub(e.Snapshot.Taken) < within-e.late
	}
	// Never seen to move: that says something only if two readings were made since then.
	return false, e.Before != nil && e.view.Now.Sub(e.Before.Taken) < within
}

// still tells that the engine does nothing although it has work, by our requests or by its own
// counters.
func (e *reading) still() bool { return e.frozen || e.State == engine.Wedged }

// wasUp tells that the engine has been seen at work, or has left its metrics.
func (e *reading) wasUp() bool { return e.EverUp || e.Snapshot != nil }

// moving tells that the engine makes progress now, as far as that can be told.
func (e *reading) moving() bool {
	return positive(e.generated) || positive(e.iterated) || positive(e.prompted)
}

// queued returns how many wait for room: by reason where the engine tells it, which it does from
// 0.20 on.
func (e *reading) queued() engine.Value {
	if e.capacity.Known {
		return e.capacity
	}
	return e.waiting
}

// maybeWaiting tells whether a request without a token can be one of the n that wait. The queue is
// first come, first served: if it waits, so do all that came later.
func (x *look) maybeWaiting(e *reading, s *waiter, n engine.Value) bool {
	if s.phase != inflight.PhaseQueueOrPrefill || !positive(n) {
		return false
	}
	waits := x.waits(e)
	later, _ := slices.BinarySearch(waits, x.view.Now.Sub(s.since)+1) // that have waited for as long or less, itself among them
	if float64(later) > n.V {
		return false
	}
	// An answer that is not streamed may as well be computed now, and other callers' requests may
	// be the ones that wait. It is only sure to wait where all the engine's requests are ours.
	return s.stream || e.running.Known && e.running.V+e.waiting.V <= float64(e.own)
}

// missing tells that the engine's scheduler knows fewer requests than we have in flight.
func (e *reading) missing() bool {
	return e.running.Known && e.waiting.Known && e.running.V+e.waiting.V < float64(e.own)
}

// prefills tells that a prompt is being read in: the cache grows by more than the tokens that were
// generated and the prompts that were finished. vLLM counts a prompt only when its first token is
// there, and a step without output in no counter, but the cache fills as it goes.
func (e *reading) prefills() bool {
	if zero(e.running) || !e.generated.Known {
		return false
	}
	if e.cached.Known {
		return e.cached.V > 2*e.generated.V+max(0, e.prompted.V)+e.running.V*e.Snapshot.BlockSize.V
	}
	return e.kvMoved && e.generated.V == 0 && !positive(e.prompted)
}

// paused tells that nothing runs although requests wait for room that is there, and none starts:
// /pause?mode=keep looks like that, and so does a scheduler in a deadlock.
func (e *reading) paused() bool {
	return e.still() && zero(e.running) && positive(e.queued()) && (!e.kv.Known || e.kv.V < fullCache)
}

// deferredOnly tells that all that the engine has to do waits for something outside its scheduler,
// so that standing counters mean nothing.
func (e *reading) deferredOnly() bool {
	return zero(e.running) && zero(e.capacity) && positive(e.deferred)
}

// onThisHost tells whether an address is this host's own.
func onThisHost(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost"
}
