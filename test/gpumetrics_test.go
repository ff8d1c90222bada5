package test

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// gpuSurface returns every metric of gpumetrics with one data point that has every attribute. It is
// made from the package's own description of itself: that this is what it emits, no more and no less,
// is tested there, with a GPU that tells all there is to tell.
func gpuSurface() metricdata.ResourceMetrics {
	scope := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: gpumetrics.ScopeName}}
	for _, i := range gpumetrics.Surface() {
		var kvs []attribute.KeyValue
		for _, a := range i.Attributes {
			if a.Whole {
				kvs = append(kvs, attribute.Int(a.Key, 0))
			} else {
				kvs = append(kvs, attribute.String(a.Key, ""))
			}
		}
		scope.Metrics = append(scope.Metrics, metricdata.Metrics{
			Name: i.Metric, Unit: i.Unit, Description: i.Description, Data: aggregation(i, attribute.NewSet(kvs...)),
		})
	}
	return metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{scope}}
}

func aggregation(i gpumetrics.Instrument, set attribute.Set) metricdata.Aggregation {
	floats := []metricdata.DataPoint[float64]{{Attributes: set}}
	wholes := []metricdata.DataPoint[int64]{{Attributes: set}}
	monotonic := i.Kind == gpumetrics.Counter
	switch {
	case i.Kind == gpumetrics.Histogram:
		return metricdata.Histogram[float64]{DataPoints: []metricdata.HistogramDataPoint[float64]{{Attributes: set, Bounds: i.Buckets}}}
	case i.Kind == gpumetrics.Gauge && i.Whole:
		return metricdata.Gauge[int64]{DataPoints: wholes}
	case i.Kind == gpumetrics.Gauge:
		return metricdata.Gauge[float64]{DataPoints: floats}
	case i.Whole:
		return metricdata.Sum[int64]{DataPoints: wholes, IsMonotonic: monotonic}
	default:
		return metricdata.Sum[float64]{DataPoints: floats, IsMonotonic: monotonic}
	}
}
