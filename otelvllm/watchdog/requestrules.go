package watchdog

import (
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// unstreamedFactor stretches the threshold for an answer that is not streamed, before its headers:
// such a request is silent by nature until it is done.
const unstreamedFactor = 10

func slowClient(_ *look, _ *reading, s *waiter) bool { return s.blocked }

func tellBlocked(x *look, _ *reading, s *inflight.Status) *sign {
	evidence := x.requestEvidence(s)
	evidence["blocked_seconds"] = seconds(x.view.Now.Sub(s.BlockedSince))
	return &sign{since: s.BlockedSince, evidence: evidence}
}

// requestStarved needs an engine that is known to have made progress since the request last did.
func requestStarved(x *look, e *reading, s *waiter) bool {
	if e == nil || x.mayBeSilent(s) {
		return false
	}
	moved, known := e.moved(s.quiet)
	return moved && known
}

func noProgress(x *look, _ *reading, s *waiter) bool { return !x.mayBeSilent(s) }

// mayBeSilent tells that nothing is wrong with the silence of a request whose answer comes whole.
func (x *look) mayBeSilent(s *waiter) bool {
	return s.silentByNature() && s.quiet < unstreamedFactor*x.after
}

func tellSilent(x *look, e *reading, s *inflight.Status) *sign {
	evidence := x.requestEvidence(s)
	if e != nil {
		maps.Copy(evidence, x.engineEvidence(e))
	}
	return &sign{since: quietSince(s), evidence: evidence}
}

func tellNoProgress(x *look, e *reading, s *inflight.Status) *sign {
	sign := tellSilent(x, e, s)
	sign.summary = fmt.Sprintf("%s: the engine has sent nothing for %s", phaseText(s.Phase), x.quiet(s).Round(100*time.Millisecond))
	return sign
}

func phaseText(p inflight.Phase) string {
	switch p {
	case inflight.PhaseEngineInit:
		return "waiting for the engine to be ready"
	case inflight.PhaseConnect:
		return "sending the request"
	case inflight.PhaseQueueOrPrefill:
		return "waiting for the first token (queue or prefill)"
	case inflight.PhaseDecode:
		return "waiting for the next token (decode)"
	case inflight.PhaseBody:
		return "waiting for the rest of the answer"
	}
	return "waiting"
}

// requestEvidence lists what was seen of a stalled request, without any of its text.
func (x *look) requestEvidence(s *inflight.Status) map[string]any {
	m := map[string]any{
		"phase": string(s.Phase), "age_seconds": seconds(x.view.Now.Sub(s.Started)), "silent_seconds": seconds(x.quiet(s)),
		"contents": s.Contents, "stream": s.Stream, "running_requests": x.running, "moving_requests": x.running - len(x.due),
	}
	if !s.LastKeepAlive.IsZero() {
		m["keep_alive_age_seconds"] = seconds(x.view.Now.Sub(s.LastKeepAlive))
	}
	return m
}

// quiet is for how long a request waits for one thing; zero on a WebSocket whose engine owes nothing.
func (x *look) quiet(s *inflight.Status) time.Duration {
	if s.Phase == inflight.PhaseIdle {
		return 0
	}
	return max(0, x.view.Now.Sub(quietSince(s)))
}

// known returns the value, or nil if it is not known, for JSON.
func known(v engine.Value) any {
	if !v.Known || math.IsNaN(v.V) || math.IsInf(v.V, 0) {
		return nil
	}
	return v.V
}

// percent returns a ratio as a whole percentage.
func percent(v engine.Value) float64 { return math.Round(v.V * 100) }

// seconds rounds to milliseconds. It divides once, as [time.Duration.Seconds] adds two numbers, which makes
// 4.5120000000000005 of 4.512.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
}
