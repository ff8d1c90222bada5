package watchdog

import (
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// TestCallersTurnOnAWebSocketIsNoStall has a caller who says nothing for an hour, which the engine cannot help.
func TestCallersTurnOnAWebSocketIsNoStall(t *testing.T) {
	idle := request("talks", inflight.PhaseIdle, time.Hour)
	check(t, []viewRow{
		{"beside an engine that moves", view(engines(moving(engine.Rank{})), idle), ""},
		{"with no engine known", view(nil, idle), ""},
		{"the engine's turn", view(nil, request("talks", inflight.PhaseDecode, time.Hour)), "no_progress[talks]"},
	})
}
