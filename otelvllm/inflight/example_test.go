package inflight_test

import (
	"fmt"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// A request that hangs is in view while it hangs.
func Example() {
	var registry inflight.Registry // registry.ServeHTTP answers with the same as JSON

	start := time.Now()
	q := registry.Begin(inflight.Info{
		Operation: "chat", Model: "llama", Stream: true, Start: start,
		OnStall: func(s inflight.Stall) { fmt.Println("stalled:", s.Cause) },
	})
	q.Enter(inflight.PhaseQueueOrPrefill, start)

	// What a watchdog does:
	for _, q := range registry.Requests() {
		if s := q.Status(start.Add(time.Minute)); s.Silent > 30*time.Second {
			q.Stalled(inflight.Stall{Cause: "engine_wedged", Phase: string(s.Phase), Since: s.LastProgress})
		}
	}
	for _, s := range registry.Running() {
		fmt.Println("running:", s.Model, s.Phase, s.Stall.Cause)
	}

	q.Progress(start.Add(61*time.Second), 1) // ends the stall
	q.End("completed", nil, start.Add(62*time.Second))
	for _, s := range registry.Recent() {
		fmt.Println("finished:", s.Outcome, s.Duration, s.Stall == nil)
	}
	// Output:
	// stalled: engine_wedged
	// running: llama queue_or_prefill engine_wedged
	// finished: completed 1m2s true
}
