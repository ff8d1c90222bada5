package dashboards

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/prometheus/otlptranslator"
)

// goldenPath is the file that has all telemetry of the library.
const goldenPath = "../testdata/telemetry.golden"

// Metric is one metric of the surface, as the golden file has it.
type Metric struct {
	Name, Kind, Unit string
	Attributes       []Attribute
}

// Attribute is one attribute of a metric and the type of its values.
type Attribute struct{ Key, Type string }

// ParseSurface reads the metrics of a file in the format of test/testdata/telemetry.golden. Spans and the resource are
// left out.
func ParseSurface(r io.Reader) ([]Metric, error) {
	var (
		metrics []Metric
		current *Metric
	)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		if !strings.HasPrefix(lines.Text(), " ") {
			current = nil
			if words[0] == "metric" && len(words) == 2 {
				metrics = append(metrics, Metric{Name: words[1]})
				current = &metrics[len(metrics)-1]
			}
			continue
		}
		if current == nil || len(words) < 2 {
			continue
		}
		switch words[0] {
		case "kind":
			current.Kind = strings.Join(words[1:], " ")
		case "unit":
			current.Unit = words[1]
		case "attribute":
			if len(words) != 3 {
				return nil, fmt.Errorf("metric %s: got %q, want attribute, key and type", current.Name, lines.Text())
			}
			current.Attributes = append(current.Attributes, Attribute{words[1], words[2]})
		}
	}
	if len(metrics) == 0 {
		return nil, errors.Join(lines.Err(), errors.New("no metrics found: want the format of test/testdata/telemetry.golden"))
	}
	return metrics, lines.Err()
}

// histogram tells whether the metric is one.
func (m Metric) histogram() bool { return strings.HasPrefix(m.Kind, "histogram") }

// otlpType is the metric's type in the words of Prometheus' translator.
func (m Metric) otlpType() (otlptranslator.MetricType, error) {
	kind, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimSuffix(m.Kind, " int64"), " float64"), ",")
	switch kind {
	case "counter":
		return otlptranslator.MetricTypeMonotonicCounter, nil
	case "up-down counter":
		return otlptranslator.MetricTypeNonMonotonicCounter, nil
	case "gauge":
		return otlptranslator.MetricTypeGauge, nil
	case "histogram":
		return otlptranslator.MetricTypeHistogram, nil
	}
	return otlptranslator.MetricTypeUnknown, fmt.Errorf("metric %s is of the unknown kind %q", m.Name, m.Kind)
}

// Translation is how Prometheus names what comes by OTLP. It is made from the block "otlp" of prometheus.yaml.
type Translation struct {
	Strategy otlptranslator.TranslationStrategyOption
	// Promoted are the resource attributes that become labels of every series.
	Promoted []string
}

// Series is what Prometheus stores of one metric under one name.
type Series struct {
	Metric string   // the metric's own name
	Labels []string // sorted
	Native bool     // a histogram in one series, as exponential buckets are stored
}

// Series returns what Prometheus stores of a metric, by name: one entry, or four for a histogram, which may come with
// explicit buckets (name_bucket, name_count, name_sum) or exponential ones (name).
func (t Translation) Series(m Metric) (map[string]Series, error) {
	typ, err := m.otlpType()
	if err != nil {
		return nil, err
	}
	namer := otlptranslator.NewMetricNamer("", t.Strategy)
	name, err := namer.Build(otlptranslator.Metric{Name: m.Name, Unit: m.Unit, Type: typ})
	if err != nil {
		return nil, fmt.Errorf("translate the metric %s: %w", m.Name, err)
	}
	labels, err := t.labels(m)
	if err != nil {
		return nil, err
	}
	if !m.histogram() {
		return map[string]Series{name: {Metric: m.Name, Labels: labels}}, nil
	}
	buckets := append(slices.Clone(labels), "le")
	slices.Sort(buckets)
	return map[string]Series{
		name:             {Metric: m.Name, Labels: labels, Native: true},
		name + "_bucket": {Metric: m.Name, Labels: buckets},
		name + "_count":  {Metric: m.Name, Labels: labels},
		name + "_sum":    {Metric: m.Name, Labels: labels},
	}, nil
}

// labels are those that every series of the metric may have.
func (t Translation) labels(m Metric) ([]string, error) {
	namer := otlptranslator.LabelNamer{UTF8Allowed: !t.Strategy.ShouldEscape()}
	labels := []string{"job", "instance"}
	keys := slices.Clone(t.Promoted)
	for _, a := range m.Attributes {
		keys = append(keys, a.Key)
	}
	for _, key := range keys {
		label, err := namer.Build(key)
		if err != nil {
			return nil, fmt.Errorf("translate the attribute %s of %s: %w", key, m.Name, err)
		}
		labels = append(labels, label)
	}
	slices.Sort(labels)
	return slices.Compact(labels), nil
}

// Table returns all series of all metrics, by name.
func (t Translation) Table(metrics []Metric) (map[string]Series, error) {
	table := make(map[string]Series)
	for _, m := range metrics {
		all, err := t.Series(m)
		if err != nil {
			return nil, err
		}
		for name, s := range all {
			if other, ok := table[name]; ok {
				return nil, fmt.Errorf("the metrics %s and %s are both %s in Prometheus", other.Metric, m.Name, name)
			}
			table[name] = s
		}
	}
	return table, nil
}
