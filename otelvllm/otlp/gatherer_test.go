package otlp

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestWhatAGathererGathersLeavesByOTLP is the way of an engine's own metrics, histograms included.
func TestWhatAGathererGathersLeavesByOTLP(t *testing.T) {
	c := &collector{}
	server := httptest.NewServer(c)
	defer server.Close()
	for _, signal := range []string{"TRACES", "LOGS"} {
		t.Setenv("OTEL_"+signal+"_EXPORTER", "none")
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
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
	if err := telemetry.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.metrics {
		if m.GetName() == "vllm:e2e_request_latency_seconds" && m.GetHistogram().GetDataPoints()[0].GetCount() == 1 {
			return
		}
	}
	t.Errorf("the gathered histogram did not arrive: got %v", c.metrics)
}
