package otlp

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// countPoints counts the data points of rm by temporality. Gauges count as cumulative: the next one
// replaces them.
func countPoints(rm *metricdata.ResourceMetrics) (cumulative, delta int64) {
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			n, temporality := points(m.Data)
			if temporality == metricdata.DeltaTemporality {
				delta += int64(n)
			} else {
				cumulative += int64(n)
			}
		}
	}
	return cumulative, delta
}

func points(data metricdata.Aggregation) (int, metricdata.Temporality) {
	switch d := data.(type) {
	case metricdata.Gauge[int64]:
		return len(d.DataPoints), metricdata.CumulativeTemporality
	case metricdata.Gauge[float64]:
		return len(d.DataPoints), metricdata.CumulativeTemporality
	case metricdata.Sum[int64]:
		return len(d.DataPoints), d.Temporality
	case metricdata.Sum[float64]:
		return len(d.DataPoints), d.Temporality
	case metricdata.Histogram[int64]:
		return len(d.DataPoints), d.Temporality
	case metricdata.Histogram[float64]:
		return len(d.DataPoints), d.Temporality
	case metricdata.ExponentialHistogram[int64]:
		return len(d.DataPoints), d.Temporality
	case metricdata.ExponentialHistogram[float64]:
		return len(d.DataPoints), d.Temporality
	case metricdata.Summary:
		return len(d.DataPoints), metricdata.CumulativeTemporality
	}
	return 0, metricdata.CumulativeTemporality
}

// halve splits rm between two metrics. The second half is nil where there is only one metric.
func halve(rm *metricdata.ResourceMetrics) (a, b *metricdata.ResourceMetrics) {
	total := 0
	for _, sm := range rm.ScopeMetrics {
		total += len(sm.Metrics)
	}
	if total < 2 {
		return rm, nil
	}
	a = &metricdata.ResourceMetrics{Resource: rm.Resource}
	b = &metricdata.ResourceMetrics{Resource: rm.Resource}
	room := total / 2
	for _, sm := range rm.ScopeMetrics {
		n := min(room, len(sm.Metrics))
		room -= n
		if n > 0 {
			a.ScopeMetrics = append(a.ScopeMetrics, metricdata.ScopeMetrics{Scope: sm.Scope, Metrics: sm.Metrics[:n]})
		}
		if n < len(sm.Metrics) {
			b.ScopeMetrics = append(b.ScopeMetrics, metricdata.ScopeMetrics{Scope: sm.Scope, Metrics: sm.Metrics[n:]})
		}
	}
	return a, b
}

// cleanMetrics makes the text of rm valid in place: a collection belongs to the export that carries it.
func cleanMetrics(rm *metricdata.ResourceMetrics) {
	for i := range rm.ScopeMetrics {
		sm := &rm.ScopeMetrics[i]
		sm.Scope = cleanScope(sm.Scope)
		for j := range sm.Metrics {
			m := &sm.Metrics[j]
			m.Description = cleanString(m.Description)
			m.Unit = cleanString(m.Unit)
			cleanData(m.Data)
		}
	}
}

func cleanData(data metricdata.Aggregation) {
	switch d := data.(type) {
	case metricdata.Gauge[int64]:
		cleanPoints(d.DataPoints)
	case metricdata.Gauge[float64]:
		cleanPoints(d.DataPoints)
	case metricdata.Sum[int64]:
		cleanPoints(d.DataPoints)
	case metricdata.Sum[float64]:
		cleanPoints(d.DataPoints)
	case metricdata.Histogram[int64]:
		cleanHistogram(d.DataPoints)
	case metricdata.Histogram[float64]:
		cleanHistogram(d.DataPoints)
	case metricdata.ExponentialHistogram[int64]:
		cleanExponential(d.DataPoints)
	case metricdata.ExponentialHistogram[float64]:
		cleanExponential(d.DataPoints)
	case metricdata.Summary:
		for i := range d.DataPoints {
			d.DataPoints[i].Attributes = cleanSet(d.DataPoints[i].Attributes)
		}
	}
}

func cleanPoints[N int64 | float64](list []metricdata.DataPoint[N]) {
	for i := range list {
		cleanPoint(&list[i].Attributes, list[i].Exemplars)
	}
}

func cleanHistogram[N int64 | float64](list []metricdata.HistogramDataPoint[N]) {
	for i := range list {
		cleanPoint(&list[i].Attributes, list[i].Exemplars)
	}
}

func cleanExponential[N int64 | float64](list []metricdata.ExponentialHistogramDataPoint[N]) {
	for i := range list {
		cleanPoint(&list[i].Attributes, list[i].Exemplars)
	}
}

func cleanPoint[N int64 | float64](attrs *attribute.Set, exemplars []metricdata.Exemplar[N]) {
	*attrs = cleanSet(*attrs)
	for i := range exemplars {
		exemplars[i].FilteredAttributes, _ = cleanAttributes(exemplars[i].FilteredAttributes)
	}
}
