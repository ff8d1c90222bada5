package otlp

import (
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestEveryKindOfPointIsCountedAndCleaned(t *testing.T) {
	bad := func() attribute.Set { return attribute.NewSet(attribute.String("k", "a\xffb")) }
	exemplars := []metricdata.Exemplar[int64]{{FilteredAttributes: []attribute.KeyValue{attribute.String("k", "a\xffb")}}}
	delta, cumulative := metricdata.DeltaTemporality, metricdata.CumulativeTemporality
	gi := metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{{Attributes: bad(), Exemplars: exemplars}}}
	gf := metricdata.Gauge[float64]{DataPoints: []metricdata.DataPoint[float64]{{Attributes: bad()}}}
	si := metricdata.Sum[int64]{Temporality: delta, DataPoints: []metricdata.DataPoint[int64]{{Attributes: bad()}}}
	sf := metricdata.Sum[float64]{Temporality: cumulative, DataPoints: []metricdata.DataPoint[float64]{{Attributes: bad()}}}
	hi := metricdata.Histogram[int64]{Temporality: delta, DataPoints: []metricdata.HistogramDataPoint[int64]{{Attributes: bad()}}}
	hf := metricdata.Histogram[float64]{Temporality: cumulative, DataPoints: []metricdata.HistogramDataPoint[float64]{{Attributes: bad()}}}
	ei := metricdata.ExponentialHistogram[int64]{Temporality: delta, DataPoints: []metricdata.ExponentialHistogramDataPoint[int64]{{Attributes: bad()}}}
	ef := metricdata.ExponentialHistogram[float64]{Temporality: cumulative, DataPoints: []metricdata.ExponentialHistogramDataPoint[float64]{{Attributes: bad()}}}
	su := metricdata.Summary{DataPoints: []metricdata.SummaryDataPoint{{Attributes: bad()}}}
	rm := &metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{
		{Metrics: []metricdata.Metrics{{Data: gi}, {Data: gf}, {Data: si}, {Data: sf}}},
		{Metrics: []metricdata.Metrics{{Data: hi}, {Data: hf}, {Data: ei}, {Data: ef}, {Data: su, Description: "a\xffb", Unit: "\xff"}}},
	}}
	if c, d := countPoints(rm); c != 6 || d != 3 {
		t.Errorf("got %d cumulative and %d delta points, want 6 and 3", c, d)
	}
	cleanMetrics(rm)
	sets := []attribute.Set{
		gi.DataPoints[0].Attributes, gf.DataPoints[0].Attributes, si.DataPoints[0].Attributes, sf.DataPoints[0].Attributes,
		hi.DataPoints[0].Attributes, hf.DataPoints[0].Attributes, ei.DataPoints[0].Attributes, ef.DataPoints[0].Attributes,
		su.DataPoints[0].Attributes, attribute.NewSet(exemplars[0].FilteredAttributes...),
	}
	for i, set := range sets {
		if v, _ := set.Value("k"); v.AsString() != "a\uFFFDb" {
			t.Errorf("kind %d: got %q", i, v.AsString())
		}
	}
	if m := rm.ScopeMetrics[1].Metrics[4]; m.Description != "a\uFFFDb" || m.Unit != "\uFFFD" {
		t.Errorf("got description %q and unit %q", m.Description, m.Unit)
	}
	a, b := halve(rm)
	ca, da := countPoints(a)
	cb, db := countPoints(b)
	if ca+cb != 6 || da+db != 3 || ca+da != 4 {
		t.Errorf("halves: got %d+%d and %d+%d points", ca, da, cb, db)
	}
}

func TestCleanValueOfEveryType(t *testing.T) {
	same := []attribute.Value{
		attribute.BoolValue(true), attribute.IntValue(1), attribute.Float64Value(1), attribute.BoolSliceValue([]bool{true}),
		attribute.Int64SliceValue([]int64{1}), attribute.Float64SliceValue([]float64{1}), attribute.StringSliceValue([]string{"a"}),
		attribute.ByteSliceValue([]byte{0xff}), attribute.SliceValue(attribute.IntValue(1)), attribute.MapValue(attribute.Int("k", 1)),
		attribute.MapValue(), attribute.SliceValue(), attribute.StringValue(""),
	}
	for _, v := range same {
		if got, _, ok := cleanValue(v, maxStringBytes); !ok || got != v {
			t.Errorf("%v: got %v, same %v", v.Type(), got, ok)
		}
	}
	got, size, ok := cleanValue(attribute.ByteSliceValue(make([]byte, 1<<20)), maxStringBytes)
	if ok || len(got.AsByteSlice()) != maxStringBytes || size != maxStringBytes {
		t.Errorf("a long list of bytes: got %d bytes, size %d, same %v", len(got.AsByteSlice()), size, ok)
	}
}
