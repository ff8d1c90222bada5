package engine

import "time"

// State is what an engine can do now.
type State string

// The states of an engine.
const (
	// Unknown: not asked yet, or not asked for a while because the monitor does not run.
	Unknown State = "unknown"
	// Loading: it answers that it is not ready yet, with status 503. A vLLM that loads does not
	// answer at all: its port refuses, as it does when there is none.
	Loading State = "loading"
	// Up: it answers, and nothing says that it cannot serve.
	Up State = "up"
	// Wedged: it answers, has work, and nothing that it counts has moved for a while.
	Wedged State = "wedged"
	// Down: it cannot be reached, does not answer, or says that it is dead.
	Down State = "down"
	// Asleep: it answers, but has been put to sleep: requests wait until it is woken.
	Asleep State = "asleep"
)

// Status is what is known of one engine.
type Status struct {
	// Address is host:port.
	Address string `json:"address"`
	// State is what the engine can do now, Since when it has been in that state.
	State State     `json:"state"`
	Since time.Time `json:"since,omitzero"`
	// EverUp tells that this engine has been up since the monitor watches it.
	EverUp bool `json:"ever_up"`
	// Err says in one word why the last attempt to read the engine failed: connection_refused,
	// connection_reset, timeout, dns, tls, redirect, status_503, html, malformed, truncated,
	// too_large, too_many_samples, encoding, no_samples, unreachable. A word of /metrics alone begins
	// with "metrics_". Empty if nothing failed.
	Err string `json:"err,omitempty"`
	// Snapshot is the latest good reading and Before the one before it, both since the same start of
	// the engine. Both are nil after three missed readings: old is not new.
	Snapshot *Snapshot `json:"snapshot"`
	Before   *Snapshot `json:"before"`
	// Age is how old the last good reading is, also when Snapshot is nil; below zero if there never
	// was one.
	Age time.Duration `json:"age_ns"`
	// LastProgress is the last reading at which something the engine counts had moved; zero if that
	// was never seen.
	LastProgress time.Time `json:"last_progress,omitzero"`
	// FrozenRanks are the ranks that have running requests although nothing they count has moved
	// since FrozenSince, for two readings and the minimum time of [WithWedgedAfter]. If others move,
	// the engine is up. An engine is wedged without frozen ranks when work is known to wait that its
	// own gauges do not show as running; FrozenSince is then since when. Zero if nothing is frozen.
	FrozenRanks []string  `json:"frozen_ranks,omitempty"`
	FrozenSince time.Time `json:"frozen_since,omitzero"`
	// Version is vLLM's version and Models the names it serves, as it last told; empty if it did not.
	Version string   `json:"version,omitempty"`
	Models  []string `json:"models,omitempty"`
	// Resets counts the restarts of the engine that were seen.
	Resets int `json:"resets"`
	// Mixed tells that the address leads to several engines in turn, as a load balancer does: their
	// counters cannot be compared, so progress, rates and totals are not known.
	Mixed bool `json:"mixed,omitempty"`
	// ScrapeTook is how long the last good reading of /metrics took. Slow tells that the engine's
	// front end has answered late at least twice in succession, or not in time.
	ScrapeTook time.Duration `json:"scrape_took_ns"`
	Slow       bool          `json:"slow,omitempty"`
}
