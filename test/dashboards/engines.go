package dashboards

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
)

// ofRank is the legend of an engine's rank. The instance that read it stands there too: beside each of several gateways,
// the engine has the same address.
const ofRank = "{{server_address}}:{{server_port}} rank {{vllm_engine_rank}} ({{instance}})"

const ofEngine = ofInstance + `, server_address=~"$engine", vllm_model=~"$model"`

func enginesBoard() board {
	return board{
		uid: uidEngines, file: "engines.json", title: "otelvllm: engines",
		about: "Do the engines serve, do they make tokens, and what do requests wait for? Read by the gateway from vLLM's own metrics.",
		variables: []variable{
			varJob, varInstance,
			{name: "engine", label: "Engine", query: `label_values(vllm_engine_up_ratio{job=~"$job", instance=~"$instance"}, server_address)`},
			{name: "model", label: "Model", query: `label_values(vllm_scheduler_requests{job=~"$job", instance=~"$instance"}, vllm_model)`},
			varLive,
		},
		rows: []row{
			{panels: servePanels()},
			{title: "What requests wait for", panels: queuePanels()},
			{title: "What the engine does", panels: workPanels()},
		},
	}
}

// byEngine makes one row for each engine. The queries of a table need the same labels, or their answers stay apart.
func byEngine(how, expr string) string {
	return how + ` by (job, instance, server_address, server_port) (` + expr + `)`
}

func servePanels() []panel {
	engine := ofInstance + `, server_address=~"$engine"`
	toFindings := []link{{"Why, and what to do (findings)", "${live:raw}/findings"}, {"What to do when an engine does not serve", guideURL + "#connection-refused-502-503-500"}}
	return []panel{
		{
			title: "Engines that do not serve", kind: kindStat, w: 4, h: 7, now: true, none: "no data", links: toFindings,
			about:   "They load, sleep, hang, are dead or cannot be reached. vLLM's own /health is no proof: it is 200 while the engine hangs.",
			queries: []query{{expr: `count(vllm_engine_up_ratio{` + engine + `} == 0) or 0 * count(vllm_engine_up_ratio{` + engine + `})`, legend: "down"}},
			steps:   []step{{0, "green"}, {1, "red"}},
		},
		{
			title: "Engines", kind: kindTable, w: 12, h: 7, none: "no engine is read",
			about: "An instance that was restarted stands here under its old name for five more minutes. Age is that of the readings: old ones say that the engine's API server hangs or is short of CPU.",
			queries: []query{
				{expr: byEngine(`max`, `vllm_engine_up_ratio{`+engine+`}`)},
				{expr: byEngine(`max`, `vllm_engine_scrape_age_seconds{`+engine+`}`)},
				{expr: byEngine(`sum`, `vllm_scheduler_requests{`+ofEngine+`, vllm_request_state="running"}`)},
				{expr: byEngine(`sum`, `vllm_scheduler_requests{`+ofEngine+`, vllm_request_state="waiting"}`)},
				{expr: byEngine(`sum`, `engine:vllm_engine_tokens:rate3m{`+engine+`}`)},
			},
			columns: []column{
				{"server_address", "Engine", "", toFindings, nil},
				{"server_port", "Port", "", nil, nil},
				{"instance", "Read by", "", nil, nil},
				{"Value #A", "Serves", "", nil, yesOrNo},
				{"Value #B", "Age", "s", nil, nil},
				{"Value #C", "Running", "short", nil, nil},
				{"Value #D", "Waiting", "short", nil, nil},
				{"Value #E", "Tokens/s", "short", nil, nil},
			},
		},
		{
			title: "Waiting", kind: kindStat, w: 4, h: 7, none: "no data", about: "Requests in the engines' queues. Where several gateways read one engine, choose one instance: each of them counts.",
			queries: []query{{expr: `sum(vllm_scheduler_requests{` + ofEngine + `, vllm_request_state="waiting"})`, legend: "waiting"}},
			steps:   []step{{0, "green"}, {10, "yellow"}, {100, "red"}},
		},
		{
			title: "Fullest KV cache", kind: kindStat, w: 4, h: 7, unit: "percentunit", none: "no data",
			queries: []query{{expr: `max(vllm_kv_cache_utilization_ratio{` + ofEngine + `})`, legend: "cache"}},
			steps:   []step{{0, "green"}, {0.9, "yellow"}, {0.98, "red"}},
		},
	}
}

func queuePanels() []panel {
	waits := []link{{"What to do about a silent stream", guideURL + "#a-stream-is-silent-before-its-first-token"}}
	return []panel{
		{
			title: "In the scheduler", unit: "short", stack: true, links: waits,
			queries: []query{{expr: `sum by (vllm_request_state) (vllm_scheduler_requests{` + ofEngine + `})`, legend: "{{vllm_request_state}}"}},
		},
		{
			title: "Waiting, by what for", unit: "short", stack: true, links: waits,
			about:   "capacity: for a place in the batch or in the KV cache. deferred: for a grammar, an adapter or keys and values of another engine.",
			queries: []query{{expr: `sum by (vllm_wait_reason) (vllm_scheduler_waiting{` + ofEngine + `})`, legend: "{{vllm_wait_reason}}"}},
		},
		{
			title: "KV cache, by rank", unit: "percentunit", max: cog.ToPtr(1.0), links: waits,
			queries: []query{{expr: `vllm_kv_cache_utilization_ratio{` + ofEngine + `}`, legend: ofRank}},
		},
		{
			title: "Preemptions", unit: "ops", about: "Requests thrown out of the KV cache and computed again. Above zero for long: lower --max-num-seqs.",
			queries: []query{{expr: `engine:vllm_scheduler_preemptions:rate5m{` + ofEngine + `}`, legend: "{{server_address}}:{{server_port}} {{vllm_model}} ({{instance}})"}},
		},
		{
			title: "Prompts found in the prefix cache", unit: "percentunit", max: cog.ToPtr(1.0), about: "Share of the prompts' tokens that need no prefill.",
			queries: []query{{expr: `engine:vllm_prefix_cache_hits:ratio_rate5m{` + ofEngine + `}`, legend: "{{server_address}}:{{server_port}} {{vllm_model}} ({{instance}})"}},
		},
		{
			title: "Asleep", unit: "bool_yes_no", max: cog.ToPtr(1.0), about: "An engine that sleeps (POST /sleep) or is paused holds what comes.",
			queries: []query{{expr: `vllm_engine_asleep_ratio{` + ofEngine + `}`, legend: ofRank}},
		},
	}
}

func workPanels() []panel {
	rate := func(metric string) string {
		return fmt.Sprintf(`sum by (instance, server_address, server_port, vllm_engine_rank) (rate(%s{%s}[$__rate_interval]))`, metric, ofEngine)
	}
	return []panel{
		{
			title: "Tokens generated a second", unit: "short", about: "Those of requests that are aborted later too.",
			queries: []query{{expr: `engine:vllm_engine_generation_tokens:rate5m{` + ofEngine + `}`, legend: "{{server_address}}:{{server_port}} {{vllm_model}} ({{instance}})"}},
		},
		{
			title: "Prompt tokens read in a second", unit: "short",
			queries: []query{{expr: `engine:vllm_engine_prompt_tokens:rate5m{` + ofEngine + `}`, legend: "{{server_address}}:{{server_port}} {{vllm_model}} ({{instance}})"}},
		},
		{
			title: "Tokens generated a second, by rank", unit: "short", about: "A rank at zero beside others that go on has left the group: engine_wedged, collective_skew.",
			queries: []query{{expr: rate("vllm_engine_generation_tokens_total"), legend: ofRank}},
		},
		{
			title: "Age of the readings", unit: "s",
			queries: []query{{expr: `vllm_engine_scrape_age_seconds{` + ofInstance + `, server_address=~"$engine"}`, legend: "{{server_address}}:{{server_port}} ({{instance}})"}},
		},
		{
			title: "Energy of a token", unit: "joule", none: "no GPU is read", about: "Of the GPUs beside the gateway, idle time included.",
			queries: []query{{expr: `job_instance:hw_energy_joules_per_token:ratio_rate5m{` + ofInstance + `}`, legend: "{{instance}}"}},
		},
	}
}
