package backends

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// MetricStore is a running program with Prometheus's query API.
type MetricStore struct {
	*Process
	URL string // base URL of its API
	// OTLP is the base URL at which it takes OTLP over HTTP.
	OTLP string

	client *getter
}

// StartPrometheus starts Prometheus with the shipped configuration and rules.
func StartPrometheus(t testing.TB) *MetricStore {
	t.Helper()
	return startPrometheusWith(t, config("prometheus/prometheus.yaml"))
}

// StartHastyPrometheus is StartPrometheus with the rules evaluated each second, which is all that differs.
func StartHastyPrometheus(t testing.TB) *MetricStore {
	t.Helper()
	from, to := os.DirFS(config("prometheus")), t.TempDir()
	if err := os.CopyFS(to, from); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(to, "rules", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("got rule files %v and error %v, want some", files, err)
	}
	interval := regexp.MustCompile(`(?m)^( +)interval: \w+$`)
	for _, file := range append(files, filepath.Join(to, "prometheus.yaml")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = interval.ReplaceAll(text, []byte("${1}interval: 1s"))
		text = bytes.ReplaceAll(text, []byte("evaluation_interval: 30s"), []byte("evaluation_interval: 1s"))
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return startPrometheusWith(t, filepath.Join(to, "prometheus.yaml"))
}

func startPrometheusWith(t testing.TB, file string) *MetricStore {
	t.Helper()
	address := freeAddress(t)
	m := &MetricStore{URL: "http://" + address, OTLP: "http://" + address + "/api/v1/otlp", client: newGetter(t)}
	m.Process = StartProcess(t, exec.Command(program(t, "prometheus"), "--config.file="+file,
		"--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+address, "--web.enable-otlp-receiver",
		"--enable-feature=exemplar-storage", "--log.level=warn"))
	m.client.await(t, m.Process, m.URL+"/-/ready")
	return m
}

// StartVictoriaMetrics starts VictoriaMetrics so that it names metrics as Prometheus does.
func StartVictoriaMetrics(t testing.TB) *MetricStore {
	t.Helper()
	address := freeAddress(t)
	m := &MetricStore{URL: "http://" + address, OTLP: "http://" + address + "/opentelemetry", client: newGetter(t)}
	m.Process = StartProcess(t, exec.Command(program(t, "victoria-metrics"), "-httpListenAddr="+address,
		"-storageDataPath="+t.TempDir(), "-opentelemetry.usePrometheusNaming", "-search.latencyOffset=0s", "-search.disableCache", "-inmemoryDataFlushInterval=1s",
		"-promscrape.config=", "-loggerLevel=ERROR"))
	m.client.await(t, m.Process, m.URL+"/health")
	return m
}

// Sample is one series of an instant query's answer.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Query asks an instant query.
func (m *MetricStore) Query(expr string) ([]Sample, error) {
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := m.client.json(m.URL+"/api/v1/query?query="+url.QueryEscape(expr), &answer); err != nil {
		return nil, err
	}
	var samples []Sample
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("query %s: value %v: %w", expr, r.Value[1], err)
		}
		samples = append(samples, Sample{Labels: r.Metric, Value: value})
	}
	return samples, nil
}

// Value asks an instant query that one series answers.
func (m *MetricStore) Value(expr string) (float64, error) {
	samples, err := m.Query(expr)
	if err == nil && len(samples) != 1 {
		err = fmt.Errorf("query %s: got %d series, want 1: %v", expr, len(samples), samples)
	}
	if err != nil {
		return 0, err
	}
	return samples[0].Value, nil
}

// Exemplars returns the trace IDs of a metric's exemplars.
func (m *MetricStore) Exemplars(expr string) ([]string, error) {
	var answer struct {
		Data []struct {
			Exemplars []struct{ Labels map[string]string }
		}
	}
	// A range that no clock of this host is outside of.
	query := "/api/v1/query_exemplars?start=1&end=9999999999&query=" + url.QueryEscape(expr)
	if err := m.client.json(m.URL+query, &answer); err != nil {
		return nil, err
	}
	var ids []string
	for _, series := range answer.Data {
		for _, e := range series.Exemplars {
			ids = append(ids, e.Labels["trace_id"])
		}
	}
	return ids, nil
}
