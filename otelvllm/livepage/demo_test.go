package livepage

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/health"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// demo is where the pages of TestAQuarterOfAnHour are written, for a browser to show.
var demo = flag.String("demo", "", "a folder to write the demonstration pages to")

// world is a made-up service in virtual time.
type world struct {
	registry *inflight.Registry
	hangs    atomic.Pointer[time.Time] // since when the engine stands still; nil is never
	tokens   atomic.Int64

	mu       sync.Mutex
	engine   engine.Status
	findings []watchdog.Finding
	cleared  []watchdog.Finding
}

func (w *world) hung() bool { return w.hangs.Load() != nil }

func (w *world) engines() []engine.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []engine.Status{w.engine}
}

func (w *world) open() []watchdog.Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.findings
}

func value(v float64) engine.Value { return engine.Value{V: v, Known: true} }

// serve runs one request after another until ctx ends.
func (w *world) serve(ctx context.Context, slot int) {
	random := rand.New(rand.NewPCG(1, uint64(slot)))
	models := []string{"Qwen/Qwen3-8B", "Qwen/Qwen3-8B", "Qwen/Qwen3-8B", "qwen3-8b-legal-lora"}
	for ctx.Err() == nil {
		time.Sleep(time.Duration(random.ExpFloat64() * float64(2*time.Second)))
		start := time.Now()
		trace := fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64())
		info := inflight.Info{TraceID: trace, SpanID: trace[:16], Operation: "chat", Model: models[slot%len(models)], Stream: slot%9 != 8, Start: start}
		if !info.Stream {
			info.Operation = "text_completion"
		}
		q := w.registry.Begin(info)
		q.Describe(info.Operation, info.Model, info.Stream)
		q.Enter(inflight.PhaseConnect, start)
		time.Sleep(2 * time.Millisecond)
		sent := time.Now()
		q.Enter(inflight.PhaseQueueOrPrefill, sent)
		time.Sleep(time.Duration((0.12 + 0.25*random.ExpFloat64()) * float64(time.Second)))
		for w.hung() && ctx.Err() == nil {
			time.Sleep(time.Second)
		}
		first := time.Now()
		if info.Stream {
			q.Enter(inflight.PhaseDecode, first)
		}
		tokens := int64(0)
		for n := 20 + random.IntN(500); n > 0 && ctx.Err() == nil; n -= 10 {
			time.Sleep(time.Duration((0.25 + 0.1*random.Float64()) * float64(time.Second)))
			for w.hung() && ctx.Err() == nil {
				time.Sleep(time.Second)
			}
			if ctx.Err() != nil {
				return // it is still running when the page is drawn
			}
			w.tokens.Add(10)
			tokens += 10
			if info.Stream {
				q.Progress(time.Now(), 10)
			}
		}
		end := time.Now()
		q.OutputTokens(tokens)
		outcome := "completed"
		switch random.IntN(40) {
		case 0:
			outcome = "caller_left"
		case 1:
			outcome = "failed"
		}
		queue := first.Sub(sent) / 5
		q.End(outcome, []inflight.Span{
			{Name: info.Operation + " " + info.Model, Parent: -1, Start: start, Duration: end.Sub(start)},
			{Name: "generation", Parent: 0, Start: start.Add(time.Millisecond), Duration: end.Sub(start) - time.Millisecond},
			{Name: "first_token", Parent: 1, Start: sent, Duration: first.Sub(sent)},
			{Name: "queue", Parent: 2, Start: sent, Duration: queue},
			{Name: "prefill", Parent: 2, Start: sent.Add(queue), Duration: first.Sub(sent) - queue},
			{Name: "decode", Parent: 1, Start: first, Duration: end.Sub(first)},
		}, end)
	}
}

// scrape reads the made-up engine every five seconds.
func (w *world) scrape(ctx context.Context) {
	for ctx.Err() == nil {
		n := float64(len(w.registry.Running()))
		w.mu.Lock()
		w.engine.Before = w.engine.Snapshot
		w.engine.Snapshot = &engine.Snapshot{Taken: time.Now(), Model: "Qwen/Qwen3-8B", Ranks: []engine.Rank{{
			Rank: "0", Running: value(math.Min(n, 24)), Waiting: value(math.Max(0, n-24)), Swapped: value(0),
			KVCache: value(math.Min(1, 0.02+n/35)), GenerationTokens: value(float64(w.tokens.Load())),
		}}}
		w.mu.Unlock()
		time.Sleep(5 * time.Second)
	}
}

func (w *world) gpus() []health.GPUStats {
	p := func(v float64) *float64 { return &v }
	busy, watts := 3.0, 71.0
	if n := len(w.registry.Running()); n > 0 {
		busy, watts = math.Min(100, 55+float64(n)*1.4), math.Min(690, 300+float64(n)*11)
	}
	if w.hung() {
		busy, watts = 100, 118
	}
	name, no, id := "NVIDIA H100 80GB HBM3", false, 0
	return []health.GPUStats{{
		ID: "0", Name: &name, MemoryUsedMB: p(71822), MemoryTotalMB: p(81559), MemoryPercent: p(88), Utilization: p(busy),
		Temperature: p(58), Power: p(watts), PowerLimit: p(700), Throttled: &no, XID: &id,
	}}
}

// stall reports what hangs as a watchdog would.
func (w *world) stall(silence time.Duration) {
	address := "10.12.0.7:8000"
	f := watchdog.Finding{
		Code: "engine_wedged", Since: *w.hangs.Load(), Engine: &address,
		Summary: "the engine's counters stand still while 24 requests run: it is wedged, and its /health still answers 200",
		Remedy: "take a stack of the engine now, since a restart loses it: py-spy dump --native --pid $(pgrep -f VLLM::EngineCore); restart the engine; " +
			"if it happens again start it with NCCL_DEBUG=INFO and VLLM_LOGGING_LEVEL=DEBUG, and with CUDA_LAUNCH_BLOCKING=1 to find the kernel",
		Evidence: map[string]any{
			"generation_tokens": w.tokens.Load(), "running": 24, "waiting": 6, "frozen_seconds": silence.Seconds(),
			"gpu_utilization": 1.0, "gpu_power_ratio": 0.17, "kv_cache": 0.88, "health_status": 200,
		},
	}
	for _, q := range w.registry.Requests() {
		s := q.Status(time.Now())
		if s.Ended || s.Silent < 20*time.Second {
			continue
		}
		f.Requests = append(f.Requests, s.TraceID)
		q.KeepAlive(time.Now().Add(-3 * time.Second))
		q.Stalled(inflight.Stall{
			Cause: "engine_wedged", Phase: string(s.Phase), Summary: "the engine's counters stand still", Remedy: "restart the engine",
			Since: s.LastProgress, Silence: s.Silent,
		})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.findings = []watchdog.Finding{f}
	w.engine.State = "wedged"
}

// TestAQuarterOfAnHour fills a page from virtual time: idle, under load, and while the engine hangs.
func TestAQuarterOfAnHour(t *testing.T) {
	for _, c := range []struct {
		name    string
		streams int
		hang    bool
		want    []string
	}{
		{"idle", 0, false, []string{"No request is running", "Nothing hangs"}},
		{"load", 30, false, []string{"Nothing hangs", "1 cleared recently", `class="line b"`}},
		{"stall", 30, true, []string{`stalled: </span>engine_wedged`, `class="band"`, "What to do", "<ol><li>take a stack"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				html := quarter(t, c.streams, c.hang)
				for _, text := range c.want {
					if !strings.Contains(html, text) {
						t.Errorf("the page lacks %q", text)
					}
				}
				if *demo != "" {
					if err := os.WriteFile(filepath.Join(*demo, c.name+".html"), []byte(html), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// quarter runs a world for a quarter of an hour and returns the page at its end.
func quarter(t *testing.T, streams int, hang bool) string {
	w := &world{registry: &inflight.Registry{}}
	w.engine = engine.Status{Address: "10.12.0.7:8000", State: "up", EverUp: true, Version: "0.11.2", Age: 1200 * time.Millisecond}
	if streams > 0 {
		at, ended := time.Now().Add(4*time.Minute), time.Now().Add(5*time.Minute)
		w.cleared = []watchdog.Finding{{
			Code: "long_prefill", Since: at, Cleared: &ended, Requests: []string{},
			Summary: "a prompt of 31,000 tokens was computed in one piece, and the streams beside it waited",
		}}
	}
	p := New(Source{
		Registry: w.registry, Findings: w.open, Cleared: func() []watchdog.Finding { return w.cleared },
		Health: &health.Source{
			Registry: w.registry, Engines: w.engines,
			Findings: w.open, GPUs: w.gpus,
		},
	}, WithLinks(Link{"health", "health"}, Link{"requests", "requests"}, Link{"findings", "findings"}))
	ctx, cancel := context.WithCancel(t.Context())
	defer func() { cancel(); time.Sleep(time.Minute) }() // what sleeps wakes up and ends
	go func() { _ = p.Run(ctx) }()
	go w.scrape(ctx)
	for slot := range streams {
		go func() {
			time.Sleep(time.Duration(slot) * 11 * time.Second)
			w.serve(ctx, slot)
		}()
	}
	time.Sleep(13 * time.Minute)
	if hang {
		now := time.Now()
		w.hangs.Store(&now)
		time.Sleep(30 * time.Second)
		w.stall(30 * time.Second)
		time.Sleep(58 * time.Second)
		w.stall(88 * time.Second)
	}
	time.Sleep(1700 * time.Millisecond)
	f, err := p.frame(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.page(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
