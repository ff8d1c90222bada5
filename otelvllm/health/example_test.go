package health_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/health"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// A service knows of its engine what a monitor told last. What nobody told is null in the document, and left out of the
// summary.
func ExampleSource() {
	source := &health.Source{
		Registry: &inflight.Registry{},
		Engines: func() []engine.Status { // monitor.Status of an engine.Monitor
			told := func(v float64) engine.Value { return engine.Value{V: v, Known: true} }
			rank := engine.Rank{Rank: "0", Model: "Qwen/Qwen3-8B", Running: told(9), Waiting: told(4), KVCache: told(0.94)}
			return []engine.Status{{
				Address: "127.0.0.1:8000", State: engine.Up, EverUp: true,
				Snapshot: &engine.Snapshot{Taken: time.Now(), Model: rank.Model, Ranks: []engine.Rank{rank}},
			}}
		},
	}
	stats := source.Stats(context.Background())
	fmt.Println(*stats.Running, *stats.Waiting, stats.Swapped == nil)
	fmt.Println(stats.Summary())
	// Output:
	// 9 4 true
	// The engine is up and serves Qwen/Qwen3-8B: 9 running, 4 waiting, KV cache 94 % full. 0 requests in flight here.
}

// Background logging where ENABLE_VLLM_MONITOR asks for it.
func ExampleLogger() {
	logger := &health.Logger{Source: &health.Source{}, Log: slog.New(slog.NewJSONHandler(os.Stderr, nil))}
	enabled, err := logger.FromEnv(os.Getenv)
	if err != nil {
		fmt.Println(err)
		return
	}
	if enabled {
		logger.Start(context.Background())
		defer logger.Stop()
	}
	// The service runs here.
}
