package otlp

import (
	"strings"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

const (
	histogramVariable = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
	exponential       = "base2_exponential_bucket_histogram"
)

// views gives the HTTP durations buckets up to ten minutes. Those of the convention end at ten seconds, where
// the answers of a language model begin.
func views() []sdkmetric.View {
	if strings.EqualFold(env(histogramVariable), exponential) {
		return nil // exponential buckets reach as far as the data does
	}
	seconds := sdkmetric.AggregationExplicitBucketHistogram{Boundaries: []float64{
		0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 30, 60, 120, 300, 600,
	}}
	return []sdkmetric.View{sdkmetric.NewView(
		sdkmetric.Instrument{Name: "http.*.duration", Kind: sdkmetric.InstrumentKindHistogram, Unit: "s"},
		sdkmetric.Stream{Aggregation: seconds},
	)}
}
