package health

import (
	"context"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// maxModels bounds the names in ModelName.
const maxModels = 8

// Source is where the health document comes from. A field that is nil makes null of what it would
// tell; the zero value knows this host and this process only. The functions are called by every
// reader and must not wait. Set the fields before first use; all methods are safe for concurrent
// use. A Source must not be copied.
type Source struct {
	// Registry holds the requests that run through this process.
	Registry *inflight.Registry
	// Engines returns the last readings of the engines, such as [engine.Monitor.Status].
	Engines func() []engine.Status
	// Findings returns what holds requests up, such as [watchdog.Watchdog.Findings].
	Findings func() []watchdog.Finding
	// GPUs returns the last sample of the GPUs: nil if it failed or is too old, empty if there are
	// none.
	GPUs func() []GPUStats

	host     atomic.Pointer[hostReading]
	reading  sync.Mutex // of one reader of the host; the others do not wait for it
	scanned  atomic.Pointer[scan]
	scanning atomic.Bool

	readHost func(context.Context) hostReading                // tests replace it; nil is readHost
	scanHost func(context.Context, map[uint32]bool) []Process // tests replace it; nil is scanProcesses
}

// Stats makes the document. It reads memory, and at most once a second the operating system's
// counters of this host and this process; it never waits for an engine, a GPU or another reader.
func (s *Source) Stats(ctx context.Context) Stats {
	stats := Stats{Timestamp: time.Now().UTC().Truncate(time.Millisecond), Goroutines: runtime.NumGoroutine()}
	if s.Registry != nil {
		stats.PendingTasks = ptr(int64(len(s.Registry.Requests())))
	}
	if s.Findings != nil {
		stats.Findings = encodable(s.Findings())
	}
	if s.GPUs != nil {
		stats.GPUs = finite(s.GPUs())
	}
	if s.Engines != nil {
		stats.Engines = s.Engines()
		stats.addEngines()
	}
	s.hostNow(ctx).addTo(&stats)
	if found := s.scanned.Load(); found != nil && time.Since(found.at) < scanMaxAge {
		stats.EngineProcesses = found.processes
	}
	return stats
}

// addEngines sums up the engines' readings.
func (s *Stats) addEngines() {
	sum := func(of func(*engine.Rank) engine.Value) *int64 {
		return count(over(s.Engines, func(snapshot *engine.Snapshot) engine.Value { return snapshot.Sum(of) },
			func(a, b float64) float64 { return a + b }))
	}
	worst := func(of func(*engine.Rank) engine.Value) *float64 {
		return percent(over(s.Engines, func(snapshot *engine.Snapshot) engine.Value { return snapshot.Worst(of) }, math.Max))
	}
	s.Running = sum(func(r *engine.Rank) engine.Value { return r.Running })
	s.Waiting = sum(func(r *engine.Rank) engine.Value { return r.Waiting })
	s.Swapped = sum(func(r *engine.Rank) engine.Value { return r.Swapped })
	s.GPUCachePercent = worst(func(r *engine.Rank) engine.Value { return r.KVCache })
	s.CPUCachePercent = worst(func(r *engine.Rank) engine.Value { return r.CPUCache })

	var models []string
	for i := range s.Engines {
		e := &s.Engines[i]
		if rate := outputRate(e); rate != nil {
			s.OutputRate = ptr(value(s.OutputRate) + *rate)
		}
		if e.Age >= 0 {
			s.EngineAgeSeconds = larger(s.EngineAgeSeconds, e.Age.Seconds())
		}
		if ready := initialized(e.State); ready != nil && (s.EngineInitialized == nil || *ready) {
			s.EngineInitialized = ready
		}
		models = append(models, served(e)...)
	}
	slices.Sort(models)
	models = slices.Compact(models)
	if len(models) > maxModels {
		models = append(models[:maxModels:maxModels], "…")
	}
	if len(models) > 0 {
		s.ModelName = ptr(strings.Join(models, ", "))
	}
}

// over joins one value of each engine's latest snapshot. Engines that do not tell are left out.
func over(engines []engine.Status, of func(*engine.Snapshot) engine.Value, join func(a, b float64) float64) (total engine.Value) {
	for i := range engines {
		if engines[i].Snapshot == nil {
			continue
		}
		v := of(engines[i].Snapshot)
		switch {
		case !v.Known:
		case total.Known:
			total.V = join(total.V, v.V)
		default:
			total = v
		}
	}
	return total
}

// outputRate returns the tokens per second that an engine generated between its last two readings;
// nil if it is not known, as after a restart of the engine, when the counter begins anew.
func outputRate(e *engine.Status) *float64 {
	if e.Snapshot == nil || e.Before == nil {
		return nil
	}
	generated := func(r *engine.Rank) engine.Value { return r.GenerationTokens }
	now, before := e.Snapshot.Sum(generated), e.Before.Sum(generated)
	tokens, seconds := now.V-before.V, e.Snapshot.Taken.Sub(e.Before.Taken).Seconds()
	if !now.Known || !before.Known || !(tokens >= 0 && tokens <= maxCount) || seconds <= 0 {
		return nil
	}
	return ptr(tokens / seconds)
}

// initialized tells whether an engine in that state has loaded its model; nil means not known.
func initialized(state engine.State) *bool {
	switch state {
	case "up", "wedged", "asleep":
		return ptr(true)
	case "loading", "down":
		return ptr(false)
	}
	return nil
}

// served returns the names of the models that an engine serves, as far as they are known.
func served(e *engine.Status) []string {
	switch {
	case e.Snapshot != nil && e.Snapshot.Model != "":
		return []string{e.Snapshot.Model}
	case len(e.Models) > 0:
		return e.Models[:1] // the base model; adapters follow it
	}
	return nil
}

// maxCount is the largest number of requests that is believed: above it a float64 skips integers.
const maxCount = 1 << 53

func count(v engine.Value) *int64 {
	if !v.Known || !(v.V >= 0 && v.V <= maxCount) { // NaN is no count either
		return nil
	}
	return ptr(int64(v.V))
}

// percent makes a percentage of a share from 0 to 1. Engines round, so a little more than 1 is 1.
func percent(v engine.Value) *float64 {
	if !v.Known || !(v.V >= 0 && v.V <= 1.01) {
		return nil
	}
	return ptr(tenth(min(v.V, 1) * 100))
}

// tenth rounds to a tenth, which is more than these readings are good for.
func tenth(v float64) float64 { return math.Round(v*10) / 10 }

func larger(p *float64, v float64) *float64 {
	if p != nil && *p > v {
		return p
	}
	return ptr(math.Round(v*1000) / 1000)
}

func ptr[T any](v T) *T { return &v }
