package dashboards

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/otlptranslator"
	"go.yaml.in/yaml/v3"
)

// Where the files are, from this folder.
const (
	prometheusDir = "../../collector-config/prometheus"
	grafanaDir    = "../../collector-config/grafana"
	guidePath     = "../../examples/TROUBLESHOOTING.md"
	guideURL      = "https://github.com/otelvllm/otelvllm-go/blob/main/examples/TROUBLESHOOTING.md"
)

// The uids of data sources and dashboards. Provisioning, dashboards and links name them.
const (
	uidPrometheus = "otelvllm-prometheus"
	uidJaeger     = "otelvllm-jaeger"
	uidRequests   = "otelvllm-requests"
	uidEngines    = "otelvllm-engines"
	uidGPUs       = "otelvllm-gpus"
)

// RuleFile is a file of rules, as far as the checks read it. Prometheus' own parser has checked its form before.
type RuleFile struct {
	Groups []struct {
		Name  string
		Rules []Rule
	}
}

// Rule is a recording rule or an alert.
type Rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

// ReadYAML reads a YAML file. Members that into does not have are left out.
func ReadYAML(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// ReadRules returns all rules of collector-config/prometheus/rules.
func ReadRules() ([]Rule, error) {
	var rules []Rule
	paths, err := filepath.Glob(filepath.Join(prometheusDir, "rules", "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		var file RuleFile
		if err := ReadYAML(path, &file); err != nil {
			return nil, err
		}
		for _, g := range file.Groups {
			rules = append(rules, g.Rules...)
		}
	}
	if len(rules) == 0 {
		return nil, fmt.Errorf("no rules in %s/rules", prometheusDir)
	}
	return rules, nil
}

// ReadTranslation returns how the shipped Prometheus names what comes by OTLP.
func ReadTranslation() (Translation, error) {
	var file struct {
		OTLP struct {
			Strategy otlptranslator.TranslationStrategyOption `yaml:"translation_strategy"`
			Promoted []string                                 `yaml:"promote_resource_attributes"`
		}
	}
	err := ReadYAML(filepath.Join(prometheusDir, "prometheus.yaml"), &file)
	return Translation{Strategy: file.OTLP.Strategy, Promoted: file.OTLP.Promoted}, err
}

// ReadSurface returns every metric that the library emits.
func ReadSurface() ([]Metric, error) {
	file, err := os.Open(goldenPath)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	metrics, err := ParseSurface(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", goldenPath, err)
	}
	return metrics, nil
}

// KnownQueries returns a checker that knows what the library emits and what the recording rules make of it. The error
// names every rule that is wrong.
func KnownQueries() (*Queries, error) {
	translation, err := ReadTranslation()
	if err != nil {
		return nil, err
	}
	surface, err := ReadSurface()
	if err != nil {
		return nil, err
	}
	table, err := translation.Table(surface)
	if err != nil {
		return nil, err
	}
	rules, err := ReadRules()
	if err != nil {
		return nil, err
	}
	q := NewQueries(table)
	return q, q.Record(rules)
}

// Record checks recording rules in their order, and adds what they make to what is known.
func (q *Queries) Record(rules []Rule) error {
	// Alerts are in a file of their own; recording rules depend only on those before them.
	for _, r := range rules {
		if r.Record == "" {
			continue
		}
		if q.Known[r.Record] != nil {
			return fmt.Errorf("the rule %s is there twice, or is a metric's name", r.Record)
		}
		result, err := q.Check(r.Expr)
		if err != nil {
			return fmt.Errorf("the rule %s: %w", r.Record, err)
		}
		for name := range r.Labels {
			result = append(result, name)
		}
		q.Known[r.Record] = append([]string{}, result...)
	}
	return nil
}
