package gpus_test

import (
	"context"
	"fmt"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/gpumetrics/fake"
	"github.com/otelvllm/otelvllm-go/otelvllm/gpus"
	"github.com/otelvllm/otelvllm-go/otelvllm/health"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// A service whose health document, watchdog and spans know of its GPUs. A real one reads
// nvml.Source() of package gpumetrics/nvml instead of played cards.
func Example() {
	ctx, stop := context.WithCancel(context.Background()) // a service ends it when it is told to
	time.AfterFunc(10*time.Millisecond, stop)
	monitor, err := gpumetrics.New(fake.New(fake.H100s(8, fake.Serve)...))
	if err != nil {
		fmt.Println(err)
		return
	}
	registry := &inflight.Registry{}
	dog := &watchdog.Watchdog{Registry: registry}
	document := &health.Source{Registry: registry, Findings: dog.Findings}

	view := gpus.New(monitor)
	dog.GPUs, document.GPUs = view.Watchdog, view.Health
	view.Tell(registry, nil)

	fmt.Println(document.Stats(ctx).Summary())
	go func() { _ = monitor.Run(ctx) }()
	_ = dog.Run(ctx)
	// Output: The engine's state is not known. 0 requests in flight here, none stalled.
}
