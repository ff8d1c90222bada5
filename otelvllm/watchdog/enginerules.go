package watchdog

import (
	"strings"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// errTimeout is the word of [engine.Status] for an engine that did not answer in time.
const errTimeout = "timeout"

func engineUnreachable(x *look, e *reading) *sign {
	if e.State != engine.Down || e.wasUp() {
		return nil
	}
	return &sign{since: e.Since, evidence: x.engineEvidence(e)}
}

// engineLoading looks for what shows a start: a 503 of /health. A vLLM that loads refuses connections,
// as one does that is not there.
func engineLoading(x *look, e *reading) *sign {
	if e.State != engine.Loading {
		return nil
	}
	return &sign{since: e.Since, evidence: x.engineEvidence(e)}
}

// engineDead looks for an engine that was up, or still gives its /metrics while its /health says that
// it is dead (VLLM_KEEP_ALIVE_ON_ENGINE_DEATH). One that lets connect and then says nothing is not
// gone, but stands still.
func engineDead(x *look, e *reading) *sign {
	if e.State != engine.Down || !e.wasUp() || e.Err == errTimeout {
		return nil
	}
	return &sign{since: e.Since, evidence: x.engineEvidence(e)}
}

func engineAsleep(x *look, e *reading) *sign {
	switch {
	case e.State == engine.Asleep:
		return &sign{since: e.Since, evidence: x.engineEvidence(e)}
	case e.paused():
		return &sign{
			since: e.LastProgress, evidence: x.engineEvidence(e),
			summary: "nothing runs on the engine at {engine}, yet it starts none of what waits ({waiting}): it is paused, or its scheduler is stuck",
		}
	}
	return nil
}

// frontendStarved looks for an API server that answers its own endpoints slowly or uses all of a
// core. Python's lock gives it one core however many threads it has.
func frontendStarved(x *look, e *reading) *sign {
	if !x.slowFrontend(e) {
		return nil
	}
	evidence := x.engineEvidence(e)
	evidence["answers_slowly"] = e.Slow
	if e.local && x.view.Host.CPUBusy.Known {
		evidence["cpu_percent"] = percent(x.view.Host.CPUBusy)
	}
	return &sign{evidence: evidence}
}

func (x *look) slowFrontend(e *reading) bool {
	cpu := x.view.Host.CPUBusy
	return e.Slow || e.local && cpu.Known && cpu.V >= 0.95
}

// beforeTheScheduler: the scheduler does not know of all our requests, so they wait before it.
func beforeTheScheduler(_ *look, e *reading, s *waiter) bool {
	if s.phase != inflight.PhaseQueueOrPrefill && s.phase != inflight.PhaseConnect || !e.missing() {
		return false
	}
	idle := e.running.V+e.waiting.V == 0
	return idle || s.stream && !e.frozen
}

func longPrefill(x *look, e *reading) *sign {
	if !e.prefills() && !x.computing(e) {
		return nil
	}
	evidence := x.engineEvidence(e)
	if e.cached.Known {
		evidence["cached_tokens_added"] = e.cached.V
	}
	evidence["generated_tokens_added"] = known(e.generated)
	return &sign{weak: true, evidence: evidence}
}

// untilNextToken: a prompt that is read in keeps back its own first token and the next tokens of
// streams beside it. Of an answer that is not streamed nothing is known; if nothing is generated,
// it cannot be among what is.
func untilNextToken(_ *look, e *reading, s *waiter) bool {
	switch s.phase {
	case inflight.PhaseQueueOrPrefill:
		return s.stream || zero(e.generated)
	case inflight.PhaseDecode:
		return true
	}
	return false
}

// remoteKVWait takes deferred requests for waits on another engine where the engine has a NIXL
// connector, as the counters of failed transfers show.
func remoteKVWait(x *look, e *reading) *sign {
	remote := e.Snapshot.Sum(func(r *engine.Rank) engine.Value { return r.RemoteKVFailures })
	if !positive(e.deferred) || !remote.Known || e.loraWaits {
		return nil
	}
	evidence := x.engineEvidence(e)
	evidence["failed_transfers"] = remote.V
	return &sign{weak: !positive(e.remoteFailed), evidence: evidence}
}

// grammarWait takes deferred requests for grammars that are compiled where nothing else that defers
// them is seen: no KV connector, and no adapter that waits.
func grammarWait(x *look, e *reading) *sign {
	remote := e.Snapshot.Sum(func(r *engine.Rank) engine.Value { return r.RemoteKVFailures })
	if !positive(e.deferred) || remote.Known || e.loraWaits {
		return nil
	}
	return &sign{weak: true, evidence: x.engineEvidence(e)}
}

func heldBack(_ *look, e *reading, s *waiter) bool {
	return s.phase == inflight.PhaseQueueOrPrefill && (s.stream || e.deferredOnly())
}

// engineWedged compares our own requests in flight with the engine's counters: /health is 200, and
// after a wedge new requests are in no gauge. Counters that stand still for a reason that is known
// do not count.
func engineWedged(x *look, e *reading) *sign {
	since := e.LastProgress
	switch {
	case e.State == engine.Down && e.wasUp() && e.Err == errTimeout:
		return &sign{
			since: e.Since, evidence: x.engineEvidence(e),
			summary: "the engine at {engine} takes connections but answers nothing, not even /health: its API server stands still, or its host is gone",
		}
	case e.State == engine.Down || e.deferredOnly() || e.prefills() || x.computing(e) || e.paused():
		return nil
	case x.slowFrontend(e) && zero(e.running) && zero(e.waiting):
		return nil // the requests have not reached the scheduler: frontend_starved
	case e.State == engine.Wedged:
		since = latest(e.LastProgress, e.FrozenSince)
	case e.frozen:
	case e.partly, len(e.FrozenRanks) > 0 && x.view.Now.Sub(e.FrozenSince) >= x.after:
		since = e.FrozenSince
	default:
		return nil
	}
	if since.IsZero() {
		since = e.oldestDue(x)
	}
	frozen := x.view.Now.Sub(since)
	s := &sign{since: since, evidence: x.engineEvidence(e), weak: frozen < x.after}
	s.evidence["frozen_seconds"] = seconds(frozen)
	switch {
	case !e.still():
		s.summary = "rank {frozen_ranks} of the engine at {engine} has stood still for {frozen_seconds} s with requests in flight; other ranks go on"
	case zero(e.running) && zero(e.waiting):
		s.summary = "the engine at {engine} has {our_requests} of our requests in flight and none in its scheduler, and its counters have not moved for {frozen_seconds} s: " +
			"it hangs, or its API server is still preparing them (images, long texts)"
	case e.own == 0:
		s.summary = "the engine at {engine} stands still with requests in its scheduler ({running} running): its counters have not moved for {frozen_seconds} s, though its /health may be 200"
	}
	return s
}

// oldestDue returns since when the request that is silent the longest waits, or since when the
// engine is in its state.
func (e *reading) oldestDue(x *look) time.Time {
	if e.due > 0 {
		return x.view.Now.Add(-e.longest)
	}
	return e.Since
}

// heldByWedge: everything on an engine that stands still. Where only a rank does, an answer that is
// not streamed may be on another.
func heldByWedge(_ *look, e *reading, s *waiter) bool {
	return !s.silentByNature() || e.still() || e.State == engine.Down
}

func kvCacheExhausted(x *look, e *reading) *sign {
	if !e.kv.Known || e.kv.V < fullCache || !positive(e.queued()) {
		return nil
	}
	before := e.Before.Worst(func(r *engine.Rank) engine.Value { return r.KVCache })
	return &sign{weak: before.V < fullCache, evidence: x.engineEvidence(e)}
}

// forRoom: a request that waits for its first blocks, or a stream that was thrown out of its own.
func forRoom(x *look, e *reading, s *waiter) bool {
	return x.maybeWaiting(e, s, e.queued()) || inDecode(x, e, s)
}

// preemptionThrash does not wait for the engine's count: vLLM counts a preemption only when its
// victim runs again. What shows it in time is a stream that got tokens, gets none, and others that
// do while some wait.
func preemptionThrash(x *look, e *reading) *sign {
	counted := positive(e.preempted)
	if !counted && (!e.decodes || !positive(e.queued()) || !e.moving()) {
		return nil
	}
	evidence := x.engineEvidence(e)
	evidence["preemptions_added"] = known(e.preempted)
	return &sign{weak: !counted, evidence: evidence}
}

func inDecode(_ *look, _ *reading, s *waiter) bool { return s.phase == inflight.PhaseDecode }

// queueSaturated is of interest by itself only where as many wait as run, or the engine turns
// requests away; a short queue is how a busy engine works.
func queueSaturated(x *look, e *reading) *sign {
	rejected := positive(e.rejected)
	queued := e.queued()
	if e.loraWaits && e.deferred.Known {
		queued.V += e.deferred.V
	}
	if !rejected && (!positive(queued) || !positive(e.running) || e.frozen) {
		return nil
	}
	evidence := x.engineEvidence(e)
	evidence["rejected_added"], evidence["waiting_for_adapter"] = known(e.rejected), e.loraWaits
	return &sign{weak: !rejected && queued.V < max(1, e.running.V), evidence: evidence}
}

func inQueue(x *look, e *reading, s *waiter) bool {
	queued := e.queued()
	if e.loraWaits && e.deferred.Known {
		queued.V += e.deferred.V
	}
	return x.maybeWaiting(e, s, queued)
}

// engineEvidence lists an engine's readings. What is not known is null.
func (x *look) engineEvidence(e *reading) map[string]any {
	m := map[string]any{
		"engine": e.Address, "state": string(e.State), "our_requests": e.own,
		"running": known(e.running), "waiting": known(e.waiting), "waiting_capacity": known(e.capacity),
		"waiting_deferred": known(e.deferred), "kv_cache_percent": nil,
	}
	if e.kv.Known {
		m["kv_cache_percent"] = percent(e.kv)
	}
	if e.Err != "" {
		m["error"] = e.Err
	} else if e.State == engine.Down {
		m["error"] = "no_answer"
	}
	if e.Mixed {
		m["several_engines_behind_one_address"] = true
	}
	if e.Age >= 0 {
		m["readings_age_seconds"] = seconds(e.Age)
	}
	if !e.LastProgress.IsZero() {
		m["last_progress_seconds"] = seconds(x.view.Now.Sub(e.LastProgress))
	}
	if len(e.FrozenRanks) > 0 {
		m["frozen_ranks"] = strings.Join(e.FrozenRanks[:min(len(e.FrozenRanks), 16)], ", ")
	}
	return m
}
