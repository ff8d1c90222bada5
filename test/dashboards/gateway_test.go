package dashboards

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

// TestDashboardsShowRealRequests puts the middleware before a simulated vLLM, sends requests, and asks the questions of
// the rules and of the dashboard of requests: with explicit and with exponential buckets, which both must answer. Every
// exemplar must name a trace that was exported.
func TestDashboardsShowRealRequests(t *testing.T) {
	for name, selector := range map[string]sdkmetric.AggregationSelector{"explicit buckets": nil, "exponential buckets": exponentialHistograms} {
		t.Run(name, func(t *testing.T) {
			s := startPrometheus(t)
			mp, flush := s.provider(t, selector)
			spans := tracetest.NewInMemoryExporter()
			front := startGateway(t,
				otelvllm.WithMeterProvider(mp), otelvllm.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))),
				otelvllm.WithModels("tiny"),
				otelvllm.WithSLO(otelvllm.SLO{TimeToFirstToken: time.Minute, Total: time.Nanosecond}))
			ask(t, front, "")
			flush()
			<-time.After(50 * time.Millisecond) // points of a series need times that differ
			for range 5 {
				ask(t, front, "")
			}
			ask(t, front, "status:500")
			flush()
			at := time.Now()
			stored := s.stored(t)
			if native := stored["gen_ai_server_time_to_first_token_seconds"] != nil; native != (selector != nil) {
				t.Errorf("got %v, want a native histogram only with exponential buckets", stored)
			}
			s.record(t, at)
			questions(t, s, at)
			exemplars(t, s, at, spans)
		})
	}
}

func startGateway(t *testing.T, opts ...otelvllm.Option) string {
	t.Helper()
	_, engineURL := simtest.Start(t, sim.Config{
		Model: "tiny", PerRequestMetrics: true, AllowRequestFaults: true, Timing: sim.Timing{Step: time.Millisecond},
	})
	target, err := url.Parse(engineURL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(otelvllm.Middleware(opts...)(otelvllm.NewReverseProxy(target, opts...)))
	t.Cleanup(front.Close)
	return front.URL
}

func ask(t *testing.T, front, fault string) {
	t.Helper()
	body := `{"model":"tiny","max_tokens":8,"ignore_eos":true,"stream":true,"messages":[{"role":"user","content":"hello"}]}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if fault != "" {
		req.Header.Set("X-Fake-Fault", fault)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

// questions evaluates what must have an answer now.
func questions(t *testing.T, s *server, at time.Time) {
	t.Helper()
	const job = `{job="llm/gateway"` // to be closed
	for expr, want := range map[string]func(float64) bool{
		`job_model:gen_ai_server_time_to_first_token_seconds:p95_5m` + job + `, gen_ai_request_model="tiny"}`: func(v float64) bool { return v > 0 && v < 60 },
		`job_model:vllm_request_inter_token_latency_seconds:p50_5m` + job + `}`:                               func(v float64) bool { return v > 0 && v < 60 },
		`job_model:vllm_request_queue_duration_seconds:p99_5m` + job + `}`:                                    func(v float64) bool { return v >= 0 && v < 60 },
		`sum(job_model:gen_ai_server_requests:rate5m` + job + `})`:                                            func(v float64) bool { return v > 0 },
		`job_model:gen_ai_server_errors:ratio_rate5m` + job + `, gen_ai_request_model="tiny"}`:                func(v float64) bool { return v >= 0 && v < 1 },
		`job_model_type:gen_ai_client_token_usage:rate5m` + job + `, gen_ai_token_type="output"}`:             func(v float64) bool { return v > 0 },
		`job_model:vllm_request_slo_met:ratio_rate5m` + job + `}`:                                             func(v float64) bool { return v == 0 },
		`job_model_objective:vllm_request_slo_met:ratio_rate5m` + job + `, vllm_slo_objective="time_to_first_token"}`: func(v float64) bool {
			return v > 0.5
		},
	} {
		if got := s.query(t, expr, at); len(got) != 1 || !want(got[0].F) {
			t.Errorf("%s: got %v, want one sensible value", expr, got)
		}
	}
	for _, p := range latencyPanels()[:4] {
		for _, q := range p.queries {
			if got := s.query(t, chosen(q.expr), at); len(got) != 1 || got[0].F <= 0 {
				t.Errorf("panel %s: got %v for %s, want one value", p.title, got, q.expr)
			}
		}
	}
}

// chosen puts values in the place of all variables.
func chosen(expr string) string {
	return strings.NewReplacer("$job", ".*", "$instance", ".*", "$model", ".*").Replace(plainQuery(expr))
}

// exemplars asks for what Grafana asks for beside a query: the exemplars of every series in it.
func exemplars(t *testing.T, s *server, at time.Time, spans *tracetest.InMemoryExporter) {
	t.Helper()
	traces := make(map[string]bool)
	for _, span := range spans.GetSpans() {
		traces[span.SpanContext.TraceID().String()] = true
	}
	querier, err := s.db.ExemplarQuerier(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, p := range panels(requestsBoard().build()) {
		for _, target := range p.Targets {
			data := target.(prometheus.Dataquery)
			if !*data.Exemplar || !strings.Contains(data.Expr, "first_token") {
				continue
			}
			asked++
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(chosen(data.Expr))
			if err != nil {
				t.Fatal(err)
			}
			results, err := querier.Select(at.Add(-time.Hour).UnixMilli(), at.UnixMilli(), parser.ExtractSelectors(expr)...)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, r := range results {
				for _, e := range r.Exemplars {
					n++
					if id := e.Labels.Get("trace_id"); !traces[id] {
						t.Errorf("panel %s: an exemplar has %v, want the trace_id of a trace that was exported", *p.Title, e.Labels)
					}
				}
			}
			if n == 0 {
				t.Errorf("panel %s: got no exemplars, want some", *p.Title)
			}
		}
	}
	if asked == 0 {
		t.Error("no panel of the time to the first token asks for exemplars")
	}
}
