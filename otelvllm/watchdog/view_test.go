package watchdog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// The parts of which the tests build their views: an engine that is read every 5 s, and requests
// that are stalled after 30 s.

const (
	address = "10.0.0.1:8000"
	second  = "10.0.0.2:8000"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return now.Add(d) }

func value(v float64) engine.Value { return engine.Value{V: v, Known: true} }

// request is a running stream that has been silent for so long.
func request(id string, phase inflight.Phase, silent time.Duration, change ...func(*inflight.Status)) inflight.Status {
	s := inflight.Status{
		Info:    inflight.Info{TraceID: id, Operation: "chat", Stream: true, Engine: address},
		Started: at(-silent - time.Second), LastProgress: at(-silent), Phase: phase, PhaseSince: at(-silent), OutputTokens: -1,
		Age: silent + time.Second, Silent: silent,
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

func decoding(id string, silent time.Duration, change ...func(*inflight.Status)) inflight.Status {
	return request(id, inflight.PhaseDecode, silent, change...)
}

func waiting(id string, silent time.Duration, change ...func(*inflight.Status)) inflight.Status {
	return request(id, inflight.PhaseQueueOrPrefill, silent, change...)
}

func unstreamed(s *inflight.Status) { s.Stream = false }

func on(address string) func(*inflight.Status) {
	return func(s *inflight.Status) { s.Engine = address }
}

func blockedFor(d time.Duration) func(*inflight.Status) {
	return func(s *inflight.Status) { s.BlockedSince = at(-d) }
}

// moving is an engine that makes progress: the numbers of a rank at the last reading, with 500
// tokens generated since the one before.
func moving(rank engine.Rank, change ...func(*engine.Status)) engine.Status {
	rank.Rank = "0"
	rank.GenerationTokens, rank.Iterations = value(5000), value(700)
	setUnless(&rank.PromptTokens, 900)
	setUnless(&rank.Running, 4)
	setUnless(&rank.Waiting, rank.WaitingCapacity.V+rank.WaitingDeferred.V)
	setUnless(&rank.WaitingCapacity, 0)
	setUnless(&rank.WaitingDeferred, 0)
	setUnless(&rank.KVCache, 0.4)
	setUnless(&rank.Preemptions, 0)
	setUnless(&rank.Asleep, 0)
	before := rank
	before.GenerationTokens, before.Iterations = value(4500), value(600)
	s := engine.Status{
		Address: address, State: engine.Up, Since: at(-time.Hour), EverUp: true, Age: 2 * time.Second, LastProgress: at(-2 * time.Second),
		ScrapeTook: 5 * time.Millisecond,
		Snapshot:   &engine.Snapshot{Taken: at(-2 * time.Second), Ranks: []engine.Rank{rank}, NumGPUBlocks: value(1000), BlockSize: value(16)},
		Before:     &engine.Snapshot{Taken: at(-7 * time.Second), Ranks: []engine.Rank{before}, NumGPUBlocks: value(1000), BlockSize: value(16)},
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

func setUnless(v *engine.Value, to float64) {
	if !v.Known {
		*v = value(to)
	}
}

// still stops the engine's counters so long ago.
func still(ago time.Duration) func(*engine.Status) {
	return func(s *engine.Status) {
		s.LastProgress = at(-ago)
		s.Before.Ranks = slices.Clone(s.Snapshot.Ranks)
	}
}

func state(state engine.State, since time.Duration, err string) func(*engine.Status) {
	return func(s *engine.Status) { s.State, s.Since, s.Err = state, at(-since), err }
}

// before changes the rank as it was at the reading before the last.
func before(change func(*engine.Rank)) func(*engine.Status) {
	return func(s *engine.Status) { change(&s.Before.Ranks[0]) }
}

func address2(s *engine.Status) { s.Address = second }

// gone is an engine of which nothing is read.
func gone(everUp bool, since time.Duration, err string) engine.Status {
	return engine.Status{Address: address, State: engine.Down, Since: at(-since), EverUp: everUp, Err: err, Age: -1}
}

func busy() engine.Status { return moving(engine.Rank{}) }

func wedged() engine.Status { return moving(engine.Rank{}, still(40*time.Second)) }

// view is a look at now.
func view(engines []engine.Status, requests ...inflight.Status) View {
	return View{Now: now, StallAfter: 30 * time.Second, Engines: engines, Requests: requests}
}

func engines(list ...engine.Status) []engine.Status { return list }

// outline writes findings as "code@engine[requests]", one a word.
func outline(list []Finding) string {
	words := make([]string, 0, len(list))
	for _, f := range list {
		word := string(f.Code)
		if f.Engine != nil {
			word += "@" + *f.Engine
		}
		if len(f.Requests) > 0 {
			word += fmt.Sprint(f.Requests)
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}
