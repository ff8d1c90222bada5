package backends

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// requests is how many completed streams a test of metrics sends.
const requests = 7

func TestMetricsReachPrometheusWithTheirValuesAndTraces(t *testing.T) {
	store, jaeger := StartHastyPrometheus(t), StartJaeger(t)
	collector := StartCollector(t, map[string]string{
		"OTELCOL_TRACES_ENDPOINT": jaeger.OTLPGRPC, "OTELCOL_METRICS_ENDPOINT": store.OTLP,
		"OTELCOL_ENVIRONMENT": "test",
	}, "agent.yaml")
	j := startJourney(t, collector, jaeger)
	traces := j.stream(t, requests)
	checkStored(t, store, `{job="gateway",deployment_environment_name="test"}`)

	t.Run("exemplars name the traces", func(t *testing.T) {
		got, err := store.Exemplars("gen_ai_server_time_to_first_token_seconds_bucket")
		if err != nil || len(got) == 0 {
			t.Fatalf("got %d exemplars and error %v, want some", len(got), err)
		}
		for _, id := range got {
			if !slices.Contains(traces, id) {
				t.Errorf("an exemplar names trace %q, which nobody sent; sent were %v", id, traces)
				continue
			}
			j.Await(t, id, HasSpans("generation"))
		}
	})
	t.Run("the rules load and evaluate", func(t *testing.T) { checkRules(t, store) })
	t.Run("a recording rule has the value of its metric", func(t *testing.T) {
		j.stream(t, requests) // a rate needs an increase
		checkRecorded(t, store)
	})
}

func TestMetricsReachVictoriaMetricsWithTheirValues(t *testing.T) {
	store, jaeger := StartVictoriaMetrics(t), StartJaeger(t)
	collector := StartCollector(t, map[string]string{
		"OTELCOL_TRACES_ENDPOINT": jaeger.OTLPGRPC, "OTELCOL_METRICS_ENDPOINT": store.OTLP,
	}, "agent.yaml")
	j := startJourney(t, collector, jaeger)
	j.stream(t, requests)
	checkStored(t, store, `{service_name="gateway"}`)
}

// stream sends n chats one after the other and returns the IDs of their traces.
func (j *journey) stream(t *testing.T, n int) []string {
	t.Helper()
	body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"plugh"}],"max_tokens":5,"stream":true}`, j.model(t))
	var traces []string
	for range n {
		x := j.post(t.Context(), t, "/v1/chat/completions", body, "")
		<-x.done
		if x.err != nil || x.status != http.StatusOK {
			t.Fatalf("got status %d, error %v and body %s", x.status, x.err, x.answer)
		}
		traces = append(traces, x.trace)
	}
	return traces
}

// checkStored compares what a store has of the gateway, chosen by selector, with what was sent.
func checkStored(t *testing.T, store *MetricStore, selector string) {
	t.Helper()
	label := func(metric, more string) string {
		return metric + strings.TrimSuffix(selector, "}") + more + "}"
	}
	for expr, want := range map[string]float64{
		"sum(" + label("gen_ai_server_request_duration_seconds_count", "") + ")":                           requests,
		"sum(" + label("gen_ai_server_time_to_first_token_seconds_count", "") + ")":                        requests,
		"sum(" + label("gen_ai_client_token_usage_sum", `,gen_ai_token_type="output"`) + ")":               5 * requests,
		"sum(" + label("gen_ai_client_token_usage_count", `,gen_ai_token_type="input"`) + ")":              requests,
		"sum(" + label("vllm_scheduler_requests", `,vllm_request_state="running"`) + ")":                   0,
		"max(" + label("vllm_engine_up_ratio", "") + ")":                                                   1,
		"sum(" + label("vllm_engine_generation_tokens_total", "") + ")":                                    5 * requests,
		"count(" + label("gen_ai_server_request_duration_seconds_count", `,gen_ai_request_model=""`) + ")": -1,
	} {
		err := eventually(func() error {
			if want < 0 {
				got, err := store.Query(expr)
				if err == nil && len(got) != 0 {
					err = fmt.Errorf("%s: got %v, want nothing", expr, got)
				}
				return err
			}
			got, err := store.Value(expr)
			if err == nil && got != want {
				err = fmt.Errorf("%s: got %v, want %v", expr, got, want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		names, err := store.client.text(store.URL + "/api/v1/label/__name__/values")
		t.Logf("the store's names (%v): %.3000s", err, names)
	}
}

// checkRules checks that Prometheus has read the shipped rules and that none fails.
func checkRules(t *testing.T, store *MetricStore) {
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Query, Type, Health, LastError string }
			}
		}
	}
	if err := store.client.json(store.URL+"/api/v1/rules", &answer); err != nil {
		t.Fatal(err)
	}
	rules, alerts, answered := 0, 0, 0
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			rules++
			if r.Type == "alerting" {
				alerts++
			}
			if r.Health == "err" {
				t.Errorf("rule %s: %s", r.Name, r.LastError)
			}
			samples, err := store.Query(r.Query)
			if err != nil {
				t.Errorf("rule %s: %v", r.Name, err)
			}
			answered += min(len(samples), 1)
		}
	}
	if rules == 0 || alerts == 0 {
		t.Errorf("got %d rules, %d of them alerts, want some of both", rules, alerts)
	}
	t.Logf("%d rules, %d of them alerts; %d expressions find series", rules, alerts, answered)
}

// checkRecorded compares a quantile that a rule has recorded with the buckets as they are. All requests are alike and
// came within the rule's five minutes, so the two quantiles are in one bucket.
func checkRecorded(t *testing.T, store *MetricStore) {
	const (
		record = `job_model:gen_ai_server_time_to_first_token_seconds:p95_5m{job="gateway"}`
		direct = `histogram_quantile(0.95, sum by (le) (gen_ai_server_time_to_first_token_seconds_bucket{job="gateway"}))`
	)
	err := eventually(func() error {
		got, err := store.Value(record)
		if err != nil {
			return err
		}
		want, err := store.Value(direct)
		if err == nil && (!(got > 0) || math.Abs(got-want) > want) {
			err = fmt.Errorf("%s: got %v, want about %v", record, got, want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTheAgentReadsTheEnginesOwnMetrics(t *testing.T) {
	store, jaeger := StartPrometheus(t), StartJaeger(t)
	engine := freeAddress(t)
	// The target is known before the engine is, as in real life.
	collector := StartCollector(t, map[string]string{
		"OTELCOL_TRACES_ENDPOINT": jaeger.OTLPGRPC, "OTELCOL_METRICS_ENDPOINT": store.OTLP,
		"OTELCOL_VLLM_TARGETS": `["` + engine + `"]`, "OTELCOL_SCRAPE_INTERVAL": "1s",
	}, "agent.yaml", "agent-scrape.yaml")
	j := startJourneyAt(t, collector, jaeger, engine)
	j.stream(t, requests)
	text, err := j.get(j.engine + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vllm:generation_tokens_total", "vllm:prompt_tokens_total", "vllm:e2e_request_latency_seconds_count"} {
		match := regexp.MustCompile(`(?m)^` + name + `\{[^}]*\} (\S+)$`).FindStringSubmatch(text)
		if match == nil {
			t.Errorf("the engine has no %s", name)
			continue
		}
		want, err := strconv.ParseFloat(match[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		expr := fmt.Sprintf(`{__name__=%q,job="vllm",instance=%q}`, name, engine)
		if err := eventually(func() error {
			got, err := store.Value(expr)
			if err == nil && got != want {
				err = fmt.Errorf("%s: got %v, the engine says %v", expr, got, want)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	if t.Failed() {
		names, err := store.client.text(store.URL + "/api/v1/label/__name__/values")
		t.Logf("the store's names (%v): %.6000s", err, names)
	}
}

func TestLogsReachVictoriaLogsWithTheirTraces(t *testing.T) {
	address, jaeger := freeAddress(t), StartJaeger(t)
	logs := StartProcess(t, exec.Command(program(t, "victoria-logs"), "-httpListenAddr="+address,
		"-storageDataPath="+t.TempDir(), "-loggerLevel=ERROR"))
	newGetter(t).await(t, logs, "http://"+address+"/health")
	collector := StartCollector(t, map[string]string{
		"OTELCOL_TRACES_ENDPOINT": jaeger.OTLPGRPC, "OTELCOL_METRICS_ENDPOINT": StartSink(t).URL,
		"OTELCOL_LOGS_EXPORTER": "otlp_http/logs", "OTELCOL_LOGS_ENDPOINT": "http://" + address + "/insert/opentelemetry",
	}, "agent.yaml")
	j := startJourney(t, collector, jaeger)
	id := j.stream(t, 1)[0]
	err := eventually(func() error {
		text, err := j.get("http://" + address + "/select/logsql/query?query=" + url.QueryEscape("trace_id:"+id))
		if err == nil && !strings.Contains(text, `"trace_id":"`+id+`"`) {
			err = fmt.Errorf("no record of trace %s: got %q", id, text)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
