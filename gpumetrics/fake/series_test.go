package fake

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// series returns how many data points each metric has for so many cards after three minutes.
func series(t *testing.T, cards int) map[string]int {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	m, err := gpumetrics.New(New(H100s(cards, Serve)...), gpumetrics.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	time.Sleep(3 * time.Minute)
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	points := map[string]int{}
	for _, scope := range rm.ScopeMetrics {
		for _, metric := range scope.Metrics {
			switch data := metric.Data.(type) {
			case metricdata.Gauge[int64]:
				points[metric.Name] = len(data.DataPoints)
			case metricdata.Gauge[float64]:
				points[metric.Name] = len(data.DataPoints)
			case metricdata.Sum[int64]:
				points[metric.Name] = len(data.DataPoints)
			case metricdata.Sum[float64]:
				points[metric.Name] = len(data.DataPoints)
			case metricdata.Histogram[float64]:
				points[metric.Name] = len(data.DataPoints)
			default:
				t.Errorf("%s: got data of the type %T", metric.Name, data)
			}
		}
	}
	return points
}

// TestTheReadmeSaysHowManySeriesACardHas counts what one more card adds by default.
func TestTheReadmeSaysHowManySeriesACardHas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		one, two, total := series(t, 1), series(t, 2), 0
		for name, n := range two {
			total += n - one[name]
			t.Logf("%3d %s", n-one[name], name)
		}
		text, err := os.ReadFile("../README.md")
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%d series", total); !strings.Contains(string(text), want) {
			t.Errorf("README.md does not say that a card has %s", want)
		}
	})
}
