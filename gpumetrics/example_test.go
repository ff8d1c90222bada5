package gpumetrics_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/gpumetrics/fake"
)

// A monitor samples in the background; what it knows is there at once. With NVIDIA's driver the
// source is nvml.Source().
func Example() {
	monitor, err := gpumetrics.New(fake.New(fake.H100s(2, fake.Idle)...))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- monitor.Run(ctx) }()
	await(monitor)
	for _, gpu := range monitor.Latest().Devices {
		used, known := gpu.Value(gpumetrics.UtilizationGeneral)
		fmt.Println(gpu.Info.Model, gpu.Status, known && used < 0.5)
	}
	cancel()
	fmt.Println(<-done)
	// Output:
	// NVIDIA H100 80GB HBM3 ok true
	// NVIDIA H100 80GB HBM3 ok true
	// <nil>
}

// A ledger shares the energy of the GPUs among the requests that run at the same time.
func ExampleLedger() {
	monitor, err := gpumetrics.New(fake.New(fake.H100s(1, fake.Serve)...))
	if err != nil {
		fmt.Println(err)
		return
	}
	ledger := monitor.NewLedger()

	var use gpumetrics.Use // beside the request, one for each
	ledger.Begin(&use)
	// … the engine answers …
	ledger.End(context.Background(), &use, gpumetrics.Outcome{OutputTokens: 128})
}

// await returns when every GPU has told all that it tells.
func await(m *gpumetrics.Monitor) {
	for {
		known := 0
		devices := m.Latest().Devices
		for i := range devices {
			if _, ok := devices[i].Value(gpumetrics.PCIeLinkWidth); ok {
				known++
			}
		}
		if known > 0 && known == len(devices) {
			return
		}
		<-time.After(time.Millisecond)
	}
}

// BenchmarkCollectH100 measures a collection of eight GPUs that tell what an H100 tells.
func BenchmarkCollectH100(b *testing.B) {
	reader := sdkmetric.NewManualReader()
	m, err := gpumetrics.New(fake.New(fake.H100s(8, fake.Idle)...),
		gpumetrics.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { _ = m.Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	await(m)
	var rm metricdata.ResourceMetrics
	b.ReportAllocs()
	for b.Loop() {
		if err := reader.Collect(b.Context(), &rm); err != nil {
			b.Fatal(err)
		}
	}
	points := 0
	for _, metric := range rm.ScopeMetrics[0].Metrics {
		switch d := metric.Data.(type) {
		case metricdata.Gauge[float64]:
			points += len(d.DataPoints)
		case metricdata.Gauge[int64]:
			points += len(d.DataPoints)
		case metricdata.Sum[float64]:
			points += len(d.DataPoints)
		case metricdata.Sum[int64]:
			points += len(d.DataPoints)
		}
	}
	b.ReportMetric(float64(points), "points")
}
