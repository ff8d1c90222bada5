package test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelvllm/otelvllm-go/otelvllm/otlp"
)

// drop loses a span at a collector that refuses it, and returns the metrics that tell of it: those of otlp, which has
// providers of its own.
func drop(t *testing.T) metricdata.ResourceMetrics {
	t.Helper()
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/traces") {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(refuses.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", refuses.URL)
	reader := sdkmetric.NewManualReader()
	telemetry, err := otlp.Setup(t.Context(), otlp.WithoutGlobals(), otlp.WithErrorHandler(func(error) {}), otlp.WithMetricReader(reader))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = telemetry.Shutdown(ctx) // it says what was lost, which is checked here
	})
	_, span := telemetry.TracerProvider().Tracer("test").Start(t.Context(), "refused")
	span.End()
	_ = telemetry.ForceFlush(t.Context())
	if lost, want := telemetry.Lost(), (otlp.Lost{Spans: 1}); lost != want {
		t.Fatalf("got %+v lost, want %+v", lost, want)
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	return metricdata.ResourceMetrics{ScopeMetrics: all.ScopeMetrics} // the resource is the process', not the metric's
}
