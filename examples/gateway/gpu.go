package main

import (
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/otelvllm/otelvllm-go/examples/internal/demo"
	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/gpumetrics/nvml"
)

// Values of -gpu.
const (
	gpuAuto     = "auto"
	gpuOff      = "off"
	gpuRequired = "required"
	gpuDemo     = "demo"
)

// demoInterval is how often GPUs that are played are read: that costs nothing.
const demoInterval = time.Second

// gpuMonitor returns what reads the GPUs, nil for off. It opens nothing yet. load tells how busy GPUs
// that are played seem to be.
func gpuMonitor(mode string, mp metric.MeterProvider, load func() float64) *gpumetrics.Monitor {
	source, opts := gpumetrics.Source(nil), []gpumetrics.Option{gpumetrics.WithMeterProvider(mp)}
	switch mode {
	case gpuOff:
		return nil
	case gpuDemo:
		source, opts = demo.GPUs(load), append(opts, gpumetrics.WithInterval(demoInterval))
	default:
		source = nvml.Source()
	}
	m, err := gpumetrics.New(source, opts...)
	if err != nil { // it has a source
		return nil
	}
	return m
}
