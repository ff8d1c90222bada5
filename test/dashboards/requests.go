package dashboards

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
)

const (
	ofInstance = `job=~"$job", instance=~"$instance"`
	ofModel    = `job=~"$job", gen_ai_request_model=~"$model"`
	ofRequests = ofInstance + `, gen_ai_request_model=~"$model"`
)

// toCause opens what to do about a cause, at its place in the guide.
var toCause = []link{
	{"What to do about ${__value.text}", guideURL + "#:~:text=${__value.text}"},
	{"Evidence and remedy now (live page)", "${live:raw}/findings"},
}

func requestsBoard() board {
	return board{
		uid: uidRequests, file: "requests.json", title: "otelvllm: requests",
		about: "Are requests slow, do they hang, and why? What callers feel, by model. A dot on a plot of latency is one request: it opens the trace.",
		variables: []variable{
			{name: "job", label: "Service", query: `label_values(vllm_request_active, job)`},
			{name: "instance", label: "Instance", query: `label_values(vllm_request_active{job=~"$job"}, instance)`},
			{name: "model", label: "Model", query: `label_values({__name__=~"job_model:gen_ai_(server|client)_.+_duration_seconds:p95_5m", job=~"$job"}, gen_ai_request_model)`},
			varLive,
		},
		rows: []row{
			{panels: hangPanels()},
			{panels: nowPanels()},
			{title: "Latency as callers feel it (dots are traces)", panels: latencyPanels()},
			{title: "Where the time goes", panels: phasePanels()},
			{title: "Load, tokens, objectives", panels: loadPanels()},
			{title: "As a client sees it (otelvllm.Transport)", collapsed: true, panels: clientPanels()},
			{title: "What the causes mean", collapsed: true, panels: []panel{causesPanel()}},
		},
	}
}

// born counts what a counter has gained in the range, also where the counter began in it.
func born(metric, by string) string {
	return fmt.Sprintf(`sum by (%[2]s) ((%[1]s{%[3]s} unless max_over_time(%[1]s{%[3]s}[1h] offset $__range)) or increase(%[1]s{%[3]s}[$__range])) > 0`,
		metric, by, ofInstance)
}

// byModel makes one row for each model with requests. The queries of a table need the same labels, or their answers stay
// apart.
func byModel(expr string) string { return `max by (job, gen_ai_request_model) (` + expr + `)` + known }

// known leaves out what is not a number: a quantile of a model without requests.
const known = ` >= 0`

// hangPanels answer the first question, from the top left.
func hangPanels() []panel {
	return []panel{
		{
			title: "Hang now", kind: kindStat, w: 4, h: 7, now: true, none: "no data",
			about:   "Requests that are silent for longer than the gateway's -stall-after. Click for which, why and what to do.",
			queries: []query{{expr: `sum(vllm_request_stalled{` + ofInstance + `})`, legend: "hang"}},
			steps:   []step{{0, "green"}, {1, "red"}},
			links:   []link{{"Why, and what to do (findings)", "${live:raw}/findings"}, {"Which requests", "${live:raw}/requests"}},
		},
		{
			title: "Why: stalls in this range, by cause", kind: kindTable, w: 8, h: 7, none: "no stalls",
			about:   "Each stall is counted once, with the cause that the watchdog names. Click a cause for what to change.",
			queries: []query{{expr: `sort_desc(` + born("vllm_request_stalls_total", "vllm_stall_cause") + `)`}},
			columns: []column{{"vllm_stall_cause", "Cause", "", toCause, nil}, {"Value", "Stalls", "short", nil, nil}},
		},
		{
			title: "Alerts that fire", kind: kindTable, w: 12, h: 7, none: "none", sortBy: "Severity",
			queries: []query{{expr: `count by (alertname, severity, job, instance) (ALERTS{alertstate="firing"})`}},
			columns: []column{
				{"severity", "Severity", "", nil, severities},
				{"alertname", "Alert", "", nil, nil},
				{"job", "Service", "", nil, nil},
				{"instance", "Instance", "", nil, nil},
			},
		},
	}
}

// nowPanels say in six numbers how requests fare.
func nowPanels() []panel {
	number := func(title, unit, expr, about string, steps ...step) panel {
		return panel{title: title, kind: kindStat, w: 4, h: 5, unit: unit, none: "no data", about: about, queries: []query{{expr: expr, legend: title}}, steps: steps}
	}
	goodput := number("Goodput", "percentunit", `min(job_model:vllm_request_slo_met:ratio_rate5m{`+ofModel+`})`,
		"Share of requests that met every objective of otelvllm.WithSLO, of the worst model.", step{0, "red"}, step{0.9, "yellow"}, step{0.99, "green"})
	goodput.none = "no objectives"
	first := number("First token, p95", "s", `max(job_model:gen_ai_server_time_to_first_token_seconds:p95_5m{`+ofModel+`})`,
		"95 of 100 requests of the slowest model had their first token within this time, in the last five minutes.", step{0, "green"}, step{1, "yellow"}, step{5, "red"})
	first.words = []word{{"10", "over 10 s", "red"}} // where the buckets end
	return []panel{
		first,
		number("Between tokens, p95", "s", `max(job_model:vllm_request_inter_token_latency_seconds:p95_5m{`+ofModel+`})`,
			"Gaps between the events of a stream. A person reads about ten tokens a second.", step{0, "green"}, step{0.1, "yellow"}, step{0.5, "red"}),
		goodput,
		number("Requests", "reqps", `sum(job_model:gen_ai_server_requests:rate5m{`+ofModel+`})`, "Those that ended, in the last five minutes.", step{0, "blue"}),
		number("Fail", "percentunit", `sum(job_model:gen_ai_server_errors:rate5m{`+ofModel+`} or job_model:gen_ai_server_requests:rate5m{`+ofModel+`} * 0) / `+
			`sum(job_model:gen_ai_server_requests:rate5m{`+ofModel+`})`,
			"Share of requests that failed on our side: not what was rejected (4xx), and not whom the caller left.", step{0, "green"}, step{0.01, "yellow"}, step{0.05, "red"}),
		number("Output tokens/s", "short", `sum(job_model_type:gen_ai_client_token_usage:rate5m{`+ofModel+`, gen_ai_token_type="output"})`,
			"Of requests that ended, in the last five minutes.", step{0, "blue"}),
		modelsPanel(),
	}
}

func modelsPanel() panel {
	return panel{
		title: "Models now", kind: kindTable, w: 24, h: 6, none: "no requests", unit: "s",
		about: "The last five minutes, over all instances; times are p95.",
		queries: []query{
			{expr: byModel(`job_model:gen_ai_server_requests:rate5m{` + ofModel + `} > 0`)},
			{expr: byModel(`job_model:gen_ai_server_errors:ratio_rate5m{` + ofModel + `}`)},
			{expr: byModel(`job_model:gen_ai_server_time_to_first_token_seconds:p95_5m{` + ofModel + `}`)},
			{expr: byModel(`job_model:gen_ai_server_time_per_output_token_seconds:p95_5m{` + ofModel + `}`)},
			{expr: byModel(`job_model:gen_ai_server_request_duration_seconds:p95_5m{` + ofModel + `}`)},
			{expr: byModel(`job_model:vllm_request_queue_duration_seconds:p95_5m{` + ofModel + `}`)},
			{expr: byModel(`job_model:vllm_request_prefill_duration_seconds:p95_5m{` + ofModel + `}`)},
		},
		columns: []column{
			{"gen_ai_request_model", "Model", "", nil, nil},
			{"job", "Service", "", nil, nil},
			{"Value #A", "Requests", "reqps", nil, nil},
			{"Value #B", "Fail", "percentunit", nil, nil},
			{"Value #C", "First token", "s", nil, nil},
			{"Value #D", "Per token", "s", nil, nil},
			{"Value #E", "Whole", "s", nil, nil},
			{"Value #F", "Queue", "s", nil, nil},
			{"Value #G", "Prefill", "s", nil, nil},
		},
	}
}

// quantileOf computes a quantile of a histogram, be it one of buckets or a native one.
func quantileOf(q float64, metric, by, selector string) string {
	return fmt.Sprintf(`(histogram_quantile(%[1]g, sum by (%[3]s, le) (rate(%[2]s_bucket{%[4]s}[$__rate_interval]))) or `+
		`histogram_quantile(%[1]g, sum by (%[3]s) (rate(%[2]s{%[4]s}[$__rate_interval]))))`+known, q, metric, by, selector)
}

// quantiles plots three quantiles of a histogram. The middle one is computed from the histogram itself, of the chosen
// instances, because exemplars belong to its series; the others come from the recording rules, of all instances.
func quantiles(metric, title, about string) panel {
	return panel{
		title: title, about: about, unit: "s",
		queries: []query{
			{expr: fmt.Sprintf(`job_model:%s:p50_5m{%s}`+known, metric, ofModel), legend: "p50 {{gen_ai_request_model}}"},
			{
				expr:   quantileOf(0.95, metric, "gen_ai_request_model", ofRequests),
				legend: "p95 {{gen_ai_request_model}}", exemplars: true,
			},
			{expr: fmt.Sprintf(`job_model:%s:p99_5m{%s}`+known, metric, ofModel), legend: "p99 {{gen_ai_request_model}}"},
		},
	}
}

func latencyPanels() []panel {
	return []panel{
		quantiles("gen_ai_server_time_to_first_token_seconds", "Time to first token", "From the arrival of a streamed request to its first content. Long: look at queue and prefill below. The buckets of the convention end at 10 s: a line there means 10 s or more."),
		quantiles("vllm_request_inter_token_latency_seconds", "Between tokens", "Between two events of a stream, as the caller sees it. An event may hold several tokens."),
		quantiles("gen_ai_server_time_per_output_token_seconds", "Time per output token", "Mean of a request, without its first token. The buckets of the convention end at 2.5 s."),
		quantiles("gen_ai_server_request_duration_seconds", "Whole request", "From arrival to last byte. It grows with the length of the answer. The buckets of the convention end at 82 s."),
		{
			title: "Stalls, by cause", stack: true, unit: "short", whole: true, none: "no stalls",
			about:   "Stalls counted in the last ten minutes.",
			queries: []query{{expr: `sum by (vllm_stall_cause) (job_cause:vllm_request_stalls:increase10m{` + ofInstance + `})`, legend: "{{vllm_stall_cause}}"}},
			links:   []link{{"What to do about ${__field.labels.vllm_stall_cause}", guideURL + "#:~:text=${__field.labels.vllm_stall_cause}"}, toCause[1]},
		},
		{
			title: "Stalls per request", unit: "percentunit", none: "no stalls", about: "Stalls of ten minutes, divided by the requests that ended in them.",
			queries: []query{{expr: `job:vllm_request_stalls:ratio_10m{job=~"$job"}`, legend: "{{job}}"}},
		},
	}
}

func phasePanels() []panel {
	decode := quantileOf(0.95, "vllm_request_decode_duration_seconds", "gen_ai_request_model", ofRequests)
	const onlyThere = " As the engine measured it: only where it tells (--enable-per-request-metrics)."
	return []panel{
		quantiles("vllm_request_queue_duration_seconds", "In the engine's queue", "Long: the engine is full. queue_saturated, kv_cache_exhausted."+onlyThere),
		quantiles("vllm_request_prefill_duration_seconds", "Prefill", "Reading the prompt. Long: long prompts, or others' long prompts. long_prefill."+onlyThere),
		{
			title: "Decode, p95", unit: "s", about: "From the first token to the last. Long: preemption_thrash, gpu_throttled, or long answers." + onlyThere,
			queries: []query{{expr: decode, legend: "p95 {{gen_ai_request_model}}", exemplars: true}},
		},
		{
			title: "Waiting for the engine to be ready, p95", unit: "s", none: "no request waited", about: "Cold start: requests held by -wait-ready.",
			queries: []query{{
				expr:   quantileOf(0.95, "vllm_engine_init_duration_seconds", "gen_ai_request_model", ofRequests),
				legend: "p95 {{gen_ai_request_model}}", exemplars: true,
			}},
		},
		{
			title: "Telemetry that was lost", unit: "short", stack: true, whole: true, none: "nothing was lost",
			about:   "Spans, data points and log records that could not be delivered in the last 15 minutes. Until this is zero, the other plots may lack something.",
			queries: []query{{expr: `job_signal_reason:vllm_telemetry_dropped:increase15m{` + ofInstance + `}`, legend: "{{vllm_telemetry_signal}}: {{error_type}} ({{instance}})"}},
		},
	}
}

func loadPanels() []panel {
	errors := fmt.Sprintf(`sum by (error_type) (rate(gen_ai_server_request_duration_seconds_count{%[1]s, error_type!=""}[$__rate_interval])) or `+
		`sum by (error_type) (histogram_count(rate(gen_ai_server_request_duration_seconds{%[1]s, error_type!=""}[$__rate_interval])))`, ofRequests)
	rate := quantileOf(0.5, "vllm_request_output_rate_per_second", "gen_ai_request_model", ofRequests)
	return []panel{
		{
			title: "Requests", unit: "reqps",
			queries: []query{{expr: `job_model:gen_ai_server_requests:rate5m{` + ofModel + `}`, legend: "{{gen_ai_request_model}}"}},
		},
		{
			title: "Running", unit: "short", about: "Requests that have arrived and are not yet answered, and those of them that hang.",
			queries: []query{
				{expr: `sum(vllm_request_stalled{` + ofInstance + `})`, legend: "hang"},
				{expr: `sum by (gen_ai_operation_name) (vllm_request_active{` + ofInstance + `})`, legend: "{{gen_ai_operation_name}}"},
			},
		},
		{
			title: "Requests that end with an error, by error.type", unit: "reqps", stack: true, none: "no errors",
			about:   "A status code is the engine's answer; caller_left and 4xx are the caller's doing.",
			queries: []query{{expr: errors, legend: "{{error_type}}", exemplars: true}},
		},
		{
			title: "Tokens a second", unit: "short", about: "Of requests that have ended.",
			queries: []query{{expr: `job_model_type:gen_ai_client_token_usage:rate5m{` + ofModel + `}`, legend: "{{gen_ai_token_type}} {{gen_ai_request_model}}"}},
		},
		{
			title: "Output tokens a second of one request, median", unit: "short",
			queries: []query{{expr: rate, legend: "{{gen_ai_request_model}}"}},
		},
		{
			title: "Objectives that were met", unit: "percentunit", none: "no objectives", max: cog.ToPtr(1.0), about: "By objective of otelvllm.WithSLO; all is the goodput.",
			queries: []query{{
				expr:   `job_model_objective:vllm_request_slo_met:ratio_rate5m{` + ofModel + `}`,
				legend: "{{vllm_slo_objective}} {{gen_ai_request_model}}",
			}},
		},
	}
}

func clientPanels() []panel {
	recorded := func(metric, title string) panel {
		p := panel{title: title, unit: "s"}
		for _, q := range strings.Fields("p50 p95 p99") {
			p.queries = append(p.queries, query{expr: fmt.Sprintf(`job_model:%s:%s_5m{%s}`+known, metric, q, ofModel), legend: q + " {{gen_ai_request_model}}"})
		}
		return p
	}
	return []panel{
		recorded("gen_ai_client_operation_duration_seconds", "Whole request, retries included"),
		recorded("gen_ai_client_operation_time_to_first_chunk_seconds", "First event"),
		{
			title: "Between events, p95", unit: "s", none: "recorded where there is no Middleware; else see Between tokens",
			queries: []query{{
				expr:   quantileOf(0.95, "gen_ai_client_operation_time_per_output_chunk_seconds", "gen_ai_request_model", ofRequests),
				legend: "p95 {{gen_ai_request_model}}", exemplars: true,
			}},
		},
	}
}
