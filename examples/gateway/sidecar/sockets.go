package sidecar

import (
	"context"
	"slices"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// socketTick is how often a drain looks at the WebSockets that are left.
const socketTick = 20 * time.Millisecond

// settled waits for the WebSockets, which http.Server.Shutdown leaves alone, and tells whether all have ended before ctx
// did. As soon as the engine owes nothing on any of them they are cut: a caller may keep one open for ever.
func (s *Sidecar) settled(ctx context.Context) bool {
	tick := time.NewTicker(socketTick)
	defer tick.Stop()
	for {
		running := s.Registry.Running()
		if len(running) == 0 {
			return true
		}
		if !slices.ContainsFunc(running, working) {
			s.cut(errDrained)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// working tells whether a request is one that the engine works on.
func working(r inflight.Status) bool {
	return r.Phase != inflight.PhaseEngineInit && r.Phase != inflight.PhaseConnect && r.Phase != inflight.PhaseIdle
}
