package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
)

const metrics = `# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen3-8B"} 9.0
vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen3-8B"} 4.0
vllm:kv_cache_usage_perc{engine="0",model_name="Qwen/Qwen3-8B"} 0.9418
`

func newEngine() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, metrics) })
	return httptest.NewServer(mux)
}

func ExampleClient() {
	vllm := newEngine()
	defer vllm.Close()

	client := engine.Client{URL: vllm.URL}
	snapshot, err := client.Scrape(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	running := snapshot.Sum(func(r *engine.Rank) engine.Value { return r.Running })
	cache := snapshot.Worst(func(r *engine.Rank) engine.Value { return r.KVCache })
	swapped := snapshot.Sum(func(r *engine.Rank) engine.Value { return r.Swapped })
	fmt.Printf("%s: %v running, cache %v, swapped %v\n", snapshot.Model, running, cache, swapped)
	// Output: Qwen/Qwen3-8B: 9 running, cache 0.9418, swapped unknown
}

func ExampleMonitor() {
	vllm := newEngine()
	defer vllm.Close()

	monitor := engine.NewMonitor([]string{vllm.URL}, engine.WithInterval(20*time.Millisecond))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	go func() {
		for monitor.Status()[0].State == engine.Unknown {
			select {
			case <-ctx.Done():
			case <-time.After(time.Millisecond):
			}
		}
		cancel()
	}()
	if err := monitor.Run(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(monitor.Status()[0].State)
	// Output: up
}
