//go:build linux && cgo && (amd64 || arm64) && !nonvml

package nvml_test

import (
	"context"
	"fmt"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/gpumetrics/nvml"
)

// A monitor runs on machines without a GPU as well, and says why there is nothing to read.
func Example() {
	source := nvml.Source(nvml.WithLibraryPath("/no/such/libnvidia-ml.so.1")) // no option finds the driver's own
	monitor, err := gpumetrics.New(source)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- monitor.Run(ctx) }()

	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for monitor.Latest().State == gpumetrics.DriverOpening {
		<-tick.C
	}
	fmt.Println(monitor.Latest().State)
	cancel()
	fmt.Println(<-done)
	// Output:
	// library_not_found
	// <nil>
}
