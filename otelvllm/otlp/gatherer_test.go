package otlp

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestWhatAGathererGathersLeavesByOTLP is the way of an engine's own metrics, histograms included.
func TestWhatAGathererGathersLeavesByOTLP(t *testing.T) {
	c := newCollector(t)
	registry := prometheus.NewRegistry()
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "vllm:e2e_request_latency_seconds", Buckets: []float64{1, 2}})
	h.Observe(1.5)
	registry.MustRegister(h)
	telemetry, err := Setup(t.Context(), WithoutGlobals(), WithGatherer(registry), WithGatherer(nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := telemetry.ForceFlush(ctx); err != nil {
		t.Error(err)
	}
	if !c.hasMetric("vllm:e2e_request_latency_seconds") {
		t.Error("the gathered histogram did not arrive")
	}
	if err := telemetry.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}
