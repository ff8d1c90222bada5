package gpus

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/gpumetrics/fake"
	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

const address = "127.0.0.1:8000"

// Shapes of an engine that the GPUs' readings stand beside.
const (
	well    = "well"
	wedged  = "wedged"
	dead    = "dead"
	unknown = "without counters"
)

func known(v float64) engine.Value { return engine.Value{V: v, Known: true} }

// status is an engine in one of the shapes.
func status(shape string, now time.Time) engine.Status {
	rank := engine.Rank{
		Rank: "0", Running: known(4), Waiting: known(0), KVCache: known(0.4), GenerationTokens: known(5000), PromptTokens: known(900), Iterations: known(700),
	}
	before := rank
	s := engine.Status{
		Address: address, State: engine.Up, Since: now.Add(-time.Hour), EverUp: true, Age: time.Second, LastProgress: now.Add(-time.Second),
		Snapshot: &engine.Snapshot{Taken: now.Add(-time.Second), Ranks: []engine.Rank{rank}}, Before: &engine.Snapshot{Taken: now.Add(-6 * time.Second)},
	}
	switch shape {
	case well:
		before.GenerationTokens, before.Iterations = known(4500), known(600)
	case wedged:
		s.State, s.LastProgress, s.FrozenSince = engine.Wedged, now.Add(-40*time.Second), now.Add(-40*time.Second)
	case dead:
		return engine.Status{Address: address, State: engine.Down, Since: now.Add(-40 * time.Second), EverUp: true, Err: "connection_refused", Age: -1}
	case unknown:
		s.Snapshot, s.Before = nil, nil
		return s
	}
	s.Before.Ranks = []engine.Rank{before}
	return s
}

// streams are requests that have been silent for so long.
func streams(n int, now time.Time, silent time.Duration) []inflight.Status {
	list := make([]inflight.Status, n)
	for i := range list {
		list[i] = inflight.Status{
			Info:    inflight.Info{TraceID: fmt.Sprintf("%032x", i+1), Operation: "chat", Stream: true, Engine: address},
			Started: now.Add(-silent - time.Minute), LastProgress: now.Add(-silent), Phase: inflight.PhaseDecode, PhaseSince: now.Add(-silent - time.Second), OutputTokens: -1,
		}
	}
	return list
}

// TestRulesNameTheCauseFromPlayedGPUs plays GPUs whose trouble begins after a minute, reads them with
// a monitor, and asks the watchdog's rules two minutes later.
func TestRulesNameTheCauseFromPlayedGPUs(t *testing.T) {
	const fault = time.Minute
	idleFirst := func(load fake.Load) fake.Load { // a card is idle until its engine has loaded
		return func(after time.Duration) fake.Activity {
			if after < 10*time.Second {
				return fake.Idle(after)
			}
			return load(after)
		}
	}
	eight := func(change func(g fake.GPU) fake.GPU) []fake.GPU {
		gpus := fake.H100s(8, idleFirst(fake.Serve))
		gpus[3] = change(gpus[3])
		return gpus
	}
	all := func(load fake.Load) []fake.GPU {
		gpus := fake.H100s(8, idleFirst(fake.Serve))
		for i := range gpus {
			gpus[i] = gpus[i].Then(fault, load)
		}
		return gpus
	}
	for _, tt := range []struct {
		name   string
		gpus   []fake.GPU
		engine string
		want   string // of a stalled stream; "" for none
		held   bool   // a stream is stalled
	}{
		{"a card falls off the bus and the engine dies", eight(func(g fake.GPU) fake.GPU { return g.FallsOffTheBus(fault) }), dead, "gpu_lost", true},
		{"a card falls off the bus and nobody is stalled yet", eight(func(g fake.GPU) fake.GPU { return g.FallsOffTheBus(fault) }), well, "gpu_lost", false},
		{"a card's firmware dies (XID 119), other codes follow, and nobody is stalled yet", eight(func(g fake.GPU) fake.GPU {
			return g.Reports(fault, 119).Reports(fault+time.Second, 154).Reports(fault+2*time.Second, 45).Then(fault, fake.Idle)
		}), well, "gpu_lost", false},
		{"a program's error (XID 31) ends the engine", eight(func(g fake.GPU) fake.GPU { return g.Reports(fault, 31) }), dead, "gpu_lost", true},
		{"a program's error on a card that goes on", eight(func(g fake.GPU) fake.GPU { return g.Reports(fault, 31) }), well, "", false},
		{"an error to ignore", eight(func(g fake.GPU) fake.GPU { return g.Reports(fault, 43) }), well, "", false},
		{"the driver does not answer for a card and the engine hangs", eight(func(g fake.GPU) fake.GPU { return g.Hangs(fault, 0) }), wedged, "gpu_lost", true},
		{"the driver does not answer for a card and the engine goes on", eight(func(g fake.GPU) fake.GPU { return g.Hangs(fault, 0) }), well, "", false},
		{"all cards spin at idle power", all(fake.Spin), wedged, "gpu_stalled", true},
		{"all cards are idle and there are no counters", all(fake.Idle), unknown, "gpu_stalled", true},
		{"all cards are idle beside counters that stand still: a consequence", all(fake.Idle), wedged, "engine_wedged", true},
		{"one rank has left the collective", fake.LoseRank(fake.H100s(8, idleFirst(fake.Serve)), 5, fault), wedged, "collective_skew", true},
		{"a card is too hot", eight(func(g fake.GPU) fake.GPU { return g.Overheats(fault, time.Hour) }), well, "gpu_throttled", false},
		{"a card was too hot and has cooled down", eight(func(g fake.GPU) fake.GPU { return g.Overheats(10*time.Second, fault) }), well, "", false},
		{"a card's memory is full", eight(func(g fake.GPU) fake.GPU { return g.FillsUp(fault) }), well, "gpu_memory_exhausted", false},
		{"a desktop card's memory is full", []fake.GPU{fake.RTX4080(idleFirst(fake.Serve)).FillsUp(fault)}, well, "gpu_memory_exhausted", false},
		{"a divided card that works", []fake.GPU{fake.DividedH100(idleFirst(fake.Serve))}, well, "", false},
		{"eight cards that work, and 10,000 requests that do", eight(func(g fake.GPU) fake.GPU { return g }), well, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				view, release := watch(t, tt.gpus)
				defer release()
				look := func(shape string, requests []inflight.Status) []watchdog.Finding {
					now := time.Now()
					return watchdog.Diagnose(watchdog.View{
						Now: now, StallAfter: 30 * time.Second, Requests: requests, Engines: []engine.Status{status(shape, now)}, GPUs: view.Watchdog(),
					})
				}
				time.Sleep(fault - 2*time.Second)
				if got := look(well, streams(10_000, time.Now(), 100*time.Millisecond)); len(got) > 0 && !strings.Contains(tt.name, "was too hot") {
					t.Errorf("before: got %+v, want no finding", got)
				}
				time.Sleep(2 * time.Minute)
				requests := streams(10_000, time.Now(), 100*time.Millisecond)
				if tt.held {
					requests = streams(40, time.Now(), 35*time.Second)
				}
				got := look(tt.engine, requests)
				if tt.want == "" {
					if len(got) > 0 {
						t.Errorf("got %+v, want no finding", got)
					}
					return
				}
				if len(got) != 1 || string(got[0].Code) != tt.want {
					t.Fatalf("got %+v, want %s alone; GPUs %+v", got, tt.want, view.Watchdog())
				}
				if held := len(got[0].Requests) == 40; held != tt.held {
					t.Errorf("got %d requests held up, want 40: %t", len(got[0].Requests), tt.held)
				}
			})
		})
	}
}

// watch runs a monitor of the GPUs until release is called.
func watch(t *testing.T, gpus []fake.GPU) (view *View, release func()) {
	t.Helper()
	source := fake.New(gpus...)
	m, err := gpumetrics.New(source, gpumetrics.WithMeterProvider(noop.NewMeterProvider()))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = m.Run(t.Context()) }()
	return New(m), source.Release
}
