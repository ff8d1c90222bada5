package health

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// noHost is a host that tells nothing.
func noHost(context.Context) hostReading { return hostReading{} }

func known(v float64) engine.Value { return engine.Value{V: v, Known: true} }

// full is a source that knows everything.
func full() *Source {
	registry := &inflight.Registry{}
	registry.Begin(inflight.Info{TraceID: "0af7651916cd43dd8448eb211c80319c"})
	registry.Begin(inflight.Info{})
	s := &Source{
		Registry: registry,
		Engines: func() []engine.Status {
			return []engine.Status{{
				Address: "127.0.0.1:8000", State: "wedged", Age: 1500 * time.Millisecond, EverUp: true,
				Snapshot: &engine.Snapshot{Model: "Qwen/Qwen3-8B", Ranks: []engine.Rank{
					{Rank: "0", Running: known(3), Waiting: known(1), Swapped: known(0), KVCache: known(0.424), CPUCache: known(0)},
					{Rank: "1", Running: known(2), Waiting: known(0), Swapped: known(0), KVCache: known(0.975), CPUCache: known(0)},
				}},
			}}
		},
		Findings: func() []watchdog.Finding {
			return []watchdog.Finding{{
				Code: "engine_wedged", Since: time.Now().Add(-130 * time.Second), Summary: "the engine's counters stand still while 5 requests run",
				Remedy: "take py-spy dump of VLLM::EngineCore, then restart the engine; set NCCL_DEBUG=INFO before",
				Engine: ptr("127.0.0.1:8000"), Requests: []string{"0af7651916cd43dd8448eb211c80319c"},
				Evidence: map[string]any{"running": 5, "frozen_seconds": 130.0},
			}}
		},
		GPUs: func() []GPUStats {
			return []GPUStats{{
				ID: "0", UUID: ptr("GPU-5a1c2b3d"), Name: ptr("NVIDIA H100 80GB HBM3"), MemoryUsedMB: ptr(71234.5),
				MemoryTotalMB: ptr(81559.0), MemoryPercent: ptr(87.3), Utilization: ptr(100.0), Temperature: ptr(61.0),
				Power: ptr(121.5), PowerLimit: ptr(700.0), Throttled: ptr(false), XID: ptr(0),
			}}
		},
		readHost: func(context.Context) hostReading {
			return hostReading{used: ptr(51200.0), total: ptr(257024.0), percent: ptr(19.9), processRAM: ptr(31.4), threads: ptr(int64(14))}
		},
	}
	s.scanned.Store(&scan{time.Now(), []Process{
		{PID: 412, Role: "api_server", Name: "vllm", RAMMB: ptr(1432.1), Threads: ptr(int64(35))},
		{PID: 530, Role: "engine_core", Name: "VLLM::EngineCore", RAMMB: ptr(8123.0), Threads: ptr(int64(211))},
	}})
	return s
}

func TestTheDocumentIsTheGoldenOne(t *testing.T) {
	for name, source := range map[string]func() *Source{
		"unknown": func() *Source { return &Source{readHost: noHost} },
		"known":   full,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stats := source().Stats(t.Context())
				stats.Goroutines = 23
				got, err := json.MarshalIndent(map[string]any{"stats": stats, "summary": stats.Summary()}, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, '\n')
				path := filepath.Join("testdata", name+".golden.json")
				if *update {
					if err := os.WriteFile(path, got, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("got\n%s\nwant\n%s\n(run go test ./otelvllm/health -update where the change is meant)", got, want)
				}
			})
		})
	}
}

// TestEveryUnknownValueIsNull looks at every member of the document, also at those added later.
func TestEveryUnknownValueIsNull(t *testing.T) {
	body, err := json.Marshal((&Source{readHost: noHost}).Stats(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	if n := reflect.TypeFor[Stats]().NumField() - 2; len(document) != n {
		t.Errorf("got %d members, want %d: none is left out", len(document), n)
	}
	for name, v := range document {
		if name != "timestamp" && name != "goroutines" && v != nil {
			t.Errorf("%s: got %v, want null", name, v)
		}
	}
}

func TestNoFindingIsAnEmptyListWhereSomebodyWatches(t *testing.T) {
	s := Source{Findings: func() []watchdog.Finding { return nil }, Registry: &inflight.Registry{}, readHost: noHost}
	stats := s.Stats(t.Context())
	if got := show(stats.Findings); got != "[]" {
		t.Errorf("got %s, want []", got)
	}
	if got := stats.Summary(); !strings.HasSuffix(got, "none stalled.") {
		t.Errorf("got %q, want that none is stalled", got)
	}
}

func TestTheRealHostIsKnown(t *testing.T) {
	stats := new(Source).Stats(t.Context())
	if stats.SystemRAMTotalMB == nil || *stats.SystemRAMTotalMB < 64 {
		t.Errorf("system_ram_total_mb: got %v, want this host's", stats.SystemRAMTotalMB)
	}
	if stats.ProcessRAMMB == nil || *stats.ProcessRAMMB <= 1 || *stats.ProcessRAMMB > *stats.SystemRAMTotalMB {
		t.Errorf("process_ram_mb: got %v, want more than 1 and less than the host has", stats.ProcessRAMMB)
	}
	if stats.ActiveThreads == nil || *stats.ActiveThreads < 1 {
		t.Errorf("active_threads: got %v, want at least 1", stats.ActiveThreads)
	}
}

func TestEngineReadingsAreSummedOrWorst(t *testing.T) {
	snapshot := func(running, cache engine.Value) *engine.Snapshot {
		return &engine.Snapshot{Ranks: []engine.Rank{{Running: running, KVCache: cache}}}
	}
	for _, c := range []struct {
		name        string
		engines     []engine.Status
		running     *int64
		cache       *float64
		age         *float64
		initialized *bool
	}{
		{name: "no engine says nothing", engines: nil},
		{name: "an engine that was never read says nothing", engines: []engine.Status{{State: "unknown", Age: -1}}},
		{
			name:    "an engine that is down is not initialized",
			engines: []engine.Status{{State: "down", Age: -1}}, initialized: ptr(false),
		},
		{
			name:    "a told zero is a zero",
			engines: []engine.Status{{State: "up", Snapshot: snapshot(known(0), known(0))}},
			running: ptr(int64(0)), cache: ptr(0.0), age: ptr(0.0), initialized: ptr(true),
		},
		{
			name: "two engines are summed, the fuller cache and the older reading count",
			engines: []engine.Status{
				{State: "up", Age: time.Second, Snapshot: snapshot(known(3), known(0.25))},
				{State: "asleep", Age: 3 * time.Second, Snapshot: snapshot(known(4), known(0.5))},
			},
			running: ptr(int64(7)), cache: ptr(50.0), age: ptr(3.0), initialized: ptr(true),
		},
		{
			name: "an engine whose readings are too old keeps its age and loses its counts",
			engines: []engine.Status{
				{State: "up", Age: time.Second, Snapshot: snapshot(known(3), engine.Value{})},
				{State: "down", Age: time.Minute},
			},
			running: ptr(int64(3)), age: ptr(60.0), initialized: ptr(true),
		},
		{
			name:    "absurd readings are unknown",
			engines: []engine.Status{{State: "wedged", Age: -1, Snapshot: snapshot(known(-1), known(math.NaN()))}}, initialized: ptr(true),
		},
		{
			name:    "a cache of a hair more than full is full",
			engines: []engine.Status{{State: "loading", Age: -1, Snapshot: snapshot(known(math.Inf(1)), known(1.0000001))}},
			cache:   ptr(100.0), initialized: ptr(false),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Source{Engines: func() []engine.Status { return c.engines }, readHost: noHost}
			got := s.Stats(t.Context())
			for name, pair := range map[string][2]any{
				"running": {got.Running, c.running}, "cache": {got.GPUCachePercent, c.cache},
				"age": {got.EngineAgeSeconds, c.age}, "initialized": {got.EngineInitialized, c.initialized},
			} {
				if !reflect.DeepEqual(pair[0], pair[1]) {
					t.Errorf("%s: got %s, want %s", name, show(pair[0]), show(pair[1]))
				}
			}
		})
	}
}

func TestModelsAreNamedOnceAndBounded(t *testing.T) {
	var engines []engine.Status
	for _, model := range strings.Split("a a b c d e f g h i j", " ") {
		engines = append(engines, engine.Status{Models: []string{model, "adapter"}})
	}
	s := Source{Engines: func() []engine.Status { return engines }, readHost: noHost}
	if got, want := value(s.Stats(t.Context()).ModelName), "a, b, c, d, e, f, g, h, …"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOneOddReadingDoesNotCostTheDocument(t *testing.T) {
	given := []GPUStats{{ID: "0", Power: ptr(math.NaN()), Utilization: ptr(7.0)}}
	s := Source{
		Findings: func() []watchdog.Finding {
			return []watchdog.Finding{{Code: "no_progress", Evidence: map[string]any{"x": math.NaN()}}}
		},
		GPUs: func() []GPUStats { return given },
	}
	stats := s.Stats(t.Context())
	if _, err := json.Marshal(stats); err != nil {
		t.Errorf("got %v, want a document", err)
	}
	if stats.GPUs[0].Power != nil || value(stats.GPUs[0].Utilization) != 7 {
		t.Errorf("got %s, want the good reading alone", show(stats.GPUs[0]))
	}
	if given[0].Power == nil {
		t.Error("the caller's own list was changed")
	}
}

func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestTheOutputRateIsThatBetweenTwoReadings(t *testing.T) {
	at := time.Now()
	reading := func(after time.Duration, tokens ...float64) *engine.Snapshot {
		s := &engine.Snapshot{Taken: at.Add(after)}
		for _, n := range tokens {
			s.Ranks = append(s.Ranks, engine.Rank{GenerationTokens: known(n)})
		}
		return s
	}
	for _, c := range []struct {
		name    string
		engines []engine.Status
		want    *float64
	}{
		{"no reading", []engine.Status{{}}, nil},
		{"one reading", []engine.Status{{Snapshot: reading(0, 5)}}, nil},
		{"two readings of two ranks", []engine.Status{{Before: reading(0, 5, 10), Snapshot: reading(5*time.Second, 105, 410)}}, ptr(100.0)},
		{"nothing generated is zero", []engine.Status{{Before: reading(0, 5), Snapshot: reading(time.Second, 5)}}, ptr(0.0)},
		{"a restarted engine is unknown", []engine.Status{{Before: reading(0, 500), Snapshot: reading(time.Second, 5)}}, nil},
		{"readings at one time are unknown", []engine.Status{{Before: reading(0, 5), Snapshot: reading(0, 9)}}, nil},
		{"a counter that appears is unknown", []engine.Status{{Before: reading(0), Snapshot: reading(time.Second, 9)}}, nil},
		{
			"engines are summed", []engine.Status{
				{Before: reading(0, 0), Snapshot: reading(2*time.Second, 10)}, {}, {Before: reading(0, 0), Snapshot: reading(time.Second, 7)},
			}, ptr(12.0),
		},
	} {
		s := Source{Engines: func() []engine.Status { return c.engines }, readHost: noHost}
		if got := s.Stats(t.Context()).OutputRate; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.name, show(got), show(c.want))
		}
	}
}
