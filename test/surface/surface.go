// Package surface writes down what a program's telemetry looks like: the names, units, kinds and attributes of its
// metrics and spans, without the values that change from run to run. The text is the same for the same telemetry,
// whatever the order in which it was collected, so it can be kept in a file and compared.
package surface

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Surface gathers telemetry. The zero value is empty and ready to use. What is added more than once is written once,
// with the attributes of every time. It is not safe for concurrent use.
type Surface struct {
	metrics, spans, resource map[string]properties
}

// properties are the lines below an entry: a heading and its texts, such as "unit" and "s".
type properties map[property]bool

type property struct {
	heading int // an index of headings
	text    string
}

// headings are the kinds of lines in the order in which they are written.
var headings = []string{"scope", "kind", "unit", "buckets", "description", "attribute", "event"}

const (
	scope = iota
	kind
	unit
	buckets
	description
	attr
	event
)

func (p properties) add(heading int, text string) { p[property{heading, text}] = true }

func entry(m *map[string]properties, name string) properties {
	if *m == nil {
		*m = map[string]properties{}
	}
	if (*m)[name] == nil {
		(*m)[name] = properties{}
	}
	return (*m)[name]
}

// AddMetrics adds what a reader collected.
func (s *Surface) AddMetrics(rm metricdata.ResourceMetrics) {
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			p := entry(&s.metrics, m.Name)
			p.add(scope, sm.Scope.Name)
			p.add(unit, orNone(m.Unit))
			p.add(description, orNone(m.Description))
			addData(p, m.Data)
		}
	}
	if rm.Resource != nil {
		s.addResource(rm.Resource.Attributes())
	}
}

func addData(p properties, data metricdata.Aggregation) {
	switch d := data.(type) {
	case metricdata.Sum[int64]:
		addPoints(p, sumKind(d.IsMonotonic)+" int64", d.DataPoints)
	case metricdata.Sum[float64]:
		addPoints(p, sumKind(d.IsMonotonic)+" float64", d.DataPoints)
	case metricdata.Gauge[int64]:
		addPoints(p, "gauge int64", d.DataPoints)
	case metricdata.Gauge[float64]:
		addPoints(p, "gauge float64", d.DataPoints)
	case metricdata.Histogram[int64]:
		addHistogram(p, "histogram int64", d.DataPoints)
	case metricdata.Histogram[float64]:
		addHistogram(p, "histogram float64", d.DataPoints)
	case metricdata.ExponentialHistogram[int64]:
		addExponential(p, "exponential histogram int64", d.DataPoints)
	case metricdata.ExponentialHistogram[float64]:
		addExponential(p, "exponential histogram float64", d.DataPoints)
	case metricdata.Summary:
		p.add(kind, "summary")
		for _, point := range d.DataPoints {
			addSet(p, point.Attributes)
		}
	default:
		p.add(kind, fmt.Sprintf("%T", data))
	}
}

func sumKind(monotonic bool) string {
	if monotonic {
		return "counter"
	}
	return "up-down counter"
}

func addPoints[N int64 | float64](p properties, name string, points []metricdata.DataPoint[N]) {
	p.add(kind, name)
	for _, point := range points {
		addSet(p, point.Attributes)
	}
}

func addHistogram[N int64 | float64](p properties, name string, points []metricdata.HistogramDataPoint[N]) {
	p.add(kind, name)
	for _, point := range points {
		addSet(p, point.Attributes)
		bounds := make([]string, len(point.Bounds))
		for i, b := range point.Bounds {
			bounds[i] = strconv.FormatFloat(b, 'g', -1, 64)
		}
		p.add(buckets, orNone(strings.Join(bounds, " ")))
	}
}

func addExponential[N int64 | float64](p properties, name string, points []metricdata.ExponentialHistogramDataPoint[N]) {
	p.add(kind, name)
	for _, point := range points {
		addSet(p, point.Attributes)
	}
}

func addSet(p properties, set attribute.Set) {
	for iter := set.Iter(); iter.Next(); {
		addAttribute(p, iter.Attribute())
	}
}

func addAttribute(p properties, kv attribute.KeyValue) { p.add(attr, keyAndType(kv)) }

func keyAndType(kv attribute.KeyValue) string {
	return string(kv.Key) + " " + strings.ToLower(kv.Value.Type().String())
}

// AddSpans adds finished spans. Names are written as patterns, see [Pattern].
func (s *Surface) AddSpans(spans tracetest.SpanStubs) {
	for _, span := range spans {
		p := entry(&s.spans, Pattern(span.Name, span.Attributes))
		p.add(scope, span.InstrumentationScope.Name)
		p.add(kind, span.SpanKind.String())
		for _, kv := range span.Attributes {
			addAttribute(p, kv)
		}
		for _, e := range span.Events {
			var text strings.Builder
			text.WriteString(e.Name)
			for _, kv := range slices.SortedFunc(slices.Values(e.Attributes), byKey) {
				fmt.Fprintf(&text, " {%s}", keyAndType(kv))
			}
			p.add(event, text.String())
		}
		if span.Resource != nil {
			s.addResource(span.Resource.Attributes())
		}
	}
}

func byKey(a, b attribute.KeyValue) int { return cmp.Compare(a.Key, b.Key) }

func (s *Surface) addResource(attributes []attribute.KeyValue) {
	for _, kv := range attributes {
		addAttribute(entry(&s.resource, ""), kv)
	}
}

// variable are the attributes whose values stand in span names, and what is written instead.
var variable = []struct{ key, pattern string }{
	{"gen_ai.request.model", "{model}"},
	{"gen_ai.operation.name", "{operation}"},
	{"http.request.method", "{method}"},
	{"http.route", "{route}"},
	{"url.path", "{route}"},
}

// Pattern replaces the words of a span's name that are values of its attributes: the model by "{model}", the operation
// by "{operation}", the HTTP method by "{method}", and the route, or the path of a route that is not known, by "{route}".
func Pattern(name string, attributes []attribute.KeyValue) string {
	words := strings.Split(name, " ")
	for i, word := range words {
		for _, v := range variable {
			if slices.ContainsFunc(attributes, func(kv attribute.KeyValue) bool {
				return string(kv.Key) == v.key && word != "" && kv.Value.AsString() == word
			}) {
				words[i] = v.pattern
				break
			}
		}
	}
	return strings.Join(words, " ")
}

// String writes the surface: metrics, then spans, then the resource, each by name.
func (s *Surface) String() string {
	var b strings.Builder
	write(&b, "metric ", s.metrics)
	write(&b, "span ", s.spans)
	write(&b, "resource", s.resource)
	return b.String()
}

func write(b *strings.Builder, what string, entries map[string]properties) {
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "%s%s\n", what, name)
		lines := slices.SortedFunc(maps.Keys(entries[name]), func(a, b property) int {
			return cmp.Or(cmp.Compare(a.heading, b.heading), cmp.Compare(a.text, b.text))
		})
		for _, line := range lines {
			fmt.Fprintf(b, "  %-11s %s\n", headings[line.heading], line.text)
		}
	}
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}
