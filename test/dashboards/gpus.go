package dashboards

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
)

const (
	ofGPU = ofInstance + `, hw_id=~"$gpu"`
	// ofPart also takes the links and fans of the chosen GPUs, whose ids begin with the GPU's.
	ofPart = ofInstance + `, hw_id=~"($gpu)(/.*)?"`
	// gpuState begins the selector of a GPU's state.
	gpuState = `{` + ofInstance + `, hw_id=~"$gpu", hw_type="gpu"`
)

// toGPUs opens what to do about a GPU.
var toGPUs = []link{{"What to do about a GPU", guideURL + "#a-gpu-is-not-well"}, {"Findings", "${live:raw}/findings"}}

func gpusBoard() board {
	return board{
		uid: uidGPUs, file: "gpus.json", title: "otelvllm: GPUs",
		about: "Are the GPUs well, do they work, and what holds them back? What a GPU does not tell has no line.",
		variables: []variable{
			{name: "job", label: "Service", query: `label_values(nvidia_gpu_up_ratio, job)`},
			{name: "instance", label: "Instance", query: `label_values(nvidia_gpu_up_ratio{job=~"$job"}, instance)`},
			{name: "gpu", label: "GPU", query: `label_values(nvidia_gpu_up_ratio{job=~"$job", instance=~"$instance"}, hw_id)`},
			varLive,
		},
		rows: []row{
			{panels: gpuHealthPanels()},
			{title: "Work", panels: gpuWorkPanels()},
			{title: "Memory", panels: gpuMemoryPanels()},
			{title: "Power, heat, clocks", panels: gpuHeatPanels()},
			{title: "Energy of requests", panels: gpuEnergyPanels()},
			{title: "Links", collapsed: true, panels: gpuLinkPanels()},
			{title: "Memory errors and repair", collapsed: true, panels: gpuRepairPanels()},
			{title: "Rarely needed", collapsed: true, panels: gpuRarePanels()},
			{title: "How the readings are taken", collapsed: true, panels: gpuSamplerPanels()},
		},
	}
}

// asTold is a metric as it is, by the labels that its legend shows. So a GPU has one line, also after a restart of what
// reads it.
func asTold(metric, legend string) query {
	var by []string
	for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(legend, -1) {
		by = append(by, m[1])
	}
	return query{expr: fmt.Sprintf("max by (%s) (%s{%s})", strings.Join(by, ", "), metric, ofGPU), legend: legend}
}

// one plots one metric.
func one(title, unit, metric, legend, about string) panel {
	return panel{title: title, unit: unit, none: "not told", about: about, queries: []query{asTold(metric, legend)}}
}

// where leaves out what a plot does not want: series, by a matcher, or values, by a comparison.
func where(p panel, matcher, comparison string) panel {
	if matcher != "" {
		p.queries[0].expr = strings.Replace(p.queries[0].expr, ofGPU, ofGPU+", "+matcher, 1)
	}
	p.queries[0].expr += comparison
	return p
}

// rateOf plots how fast counters rise.
func rateOf(title, unit, metric, by, legend, about string) panel {
	return panel{title: title, unit: unit, none: "not told", about: about, queries: []query{
		{expr: fmt.Sprintf(`sum by (hw_id, %s) (rate(%s{%s}[$__rate_interval]))`, by, metric, ofPart), legend: legend},
	}}
}

// byGPU makes one row for each GPU, as byEngine does.
func byGPU(expr string) string { return `max by (job, instance, hw_id, hw_name) (` + expr + `)` }

func share(p panel) panel {
	p.unit, p.max = "percentunit", cog.ToPtr(1.0)
	return p
}

func gpuHealthPanels() []panel {
	return []panel{
		{
			title: "GPUs that are not well", kind: kindStat, w: 4, h: 7, now: true, none: "no GPU is read", links: toGPUs,
			about:   "Failed, about to fail, degraded, or without an answer.",
			queries: []query{{expr: `count(hw_status` + gpuState + `, hw_state="ok"} == 0) or 0 * count(hw_status` + gpuState + `, hw_state="ok"})`, legend: "not well"}},
			steps:   []step{{0, "green"}, {1, "red"}},
		},
		{
			title: "XIDs in this range", kind: kindTable, w: 8, h: 7, none: "none",
			about:   "Errors that the driver reported, and what NVIDIA says to do.",
			queries: []query{{expr: `sort_desc(` + born("nvidia_gpu_xid_errors_total", "hw_id, nvidia_xid_code, nvidia_xid_action") + `)`}},
			columns: []column{
				{"hw_id", "GPU", "", nil, nil}, {"nvidia_xid_code", "XID", "", nil, nil}, {"nvidia_xid_action", "Do", "", toGPUs, nil}, {"Value", "Times", "short", nil, nil},
			},
		},
		{
			title: "GPUs that answer", unit: "short", w: 6, h: 7, about: "Fewer than there were: a GPU has fallen off the bus.",
			queries: []query{
				{expr: `nvidia_gpu_count{` + ofInstance + `}`, legend: "answer {{instance}}"},
				{expr: `nvidia_gpu_count_expected{` + ofInstance + `}`, legend: "were there {{instance}}"},
			},
		},
		{
			title: "The driver asks for", unit: "short", w: 6, h: 7, none: "nothing", about: "A recovery action other than none: do it before vLLM is started again.",
			queries: []query{{expr: `max by (hw_id, nvidia_gpu_recovery_action) (nvidia_gpu_recovery_action{` + ofGPU + `, nvidia_gpu_recovery_action!="none"}) == 1`, legend: "{{hw_id}} {{nvidia_gpu_recovery_action}}"}},
		},
		gpuTable(),
		{
			title: "Last XIDs", unit: "s", w: 12, h: 7, none: "none", about: "How long ago.",
			queries: []query{{expr: `time() - max by (hw_id, nvidia_xid_code) (nvidia_gpu_xid_last_timestamp_seconds{` + ofGPU + `})`, legend: "{{hw_id}} XID {{nvidia_xid_code}}"}},
		},
		{
			title: "State of the driver", unit: "short", w: 12, h: 7,
			queries: []query{{expr: `nvidia_gpu_driver_state{` + ofInstance + `} == 1`, legend: "{{instance}} {{nvidia_gpu_driver_state}}"}},
		},
	}
}

// gpuTable has a row for each GPU, with the number that nvidia-smi gives it.
func gpuTable() panel {
	return panel{
		title: "GPUs", kind: kindTable, w: 24, h: 11, none: "no GPU is read", sortBy: "Number",
		about: "An instance that was restarted stands here under its old name for five more minutes. Number is what nvidia-smi calls it.",
		queries: []query{
			{expr: byGPU(`nvidia_gpu_up_ratio{` + ofGPU + `}`)},
			{expr: byGPU(`hw_gpu_utilization_ratio{` + ofGPU + `, hw_gpu_task="general"}`)},
			{expr: byGPU(`hw_gpu_memory_utilization_ratio{` + ofGPU + `}`)},
			{expr: byGPU(`gpu:hw_power_watts:ratio{` + ofGPU + `}`)},
			{expr: byGPU(`nvidia_gpu_temperature_margin_celsius{` + ofGPU + `}`)},
			{expr: `max by (job, instance, hw_id, hw_name, hw_state) (hw_status` + gpuState + `} == 1)`},
			{expr: `max by (job, instance, hw_id, hw_name, nvidia_gpu_index) (nvidia_gpu_info_ratio{` + ofGPU + `})`},
		},
		columns: []column{
			{"nvidia_gpu_index", "Number", "", nil, nil},
			{"hw_id", "GPU", "", toGPUs, nil},
			{"hw_name", "Model", "", nil, nil},
			{"instance", "Instance", "", nil, nil},
			{"hw_state", "State", "", nil, []word{{"ok", "ok", "green"}, {"degraded", "degraded", "orange"}, {"predicted_failure", "will fail", "red"}, {"failed", "failed", "red"}}},
			{"Value #A", "Answers", "", nil, yesOrNo},
			{"Value #B", "Busy", "percentunit", nil, nil},
			{"Value #C", "Memory", "percentunit", nil, nil},
			{"Value #D", "Power", "percentunit", nil, nil},
			{"Value #E", "To throttling", "celsius", nil, nil},
		},
	}
}

func gpuWorkPanels() []panel {
	return []panel{
		share(where(one("Busy", "", "hw_gpu_utilization_ratio", "{{hw_id}}", "Any kernel ran. A kernel that spins is 100 % too: compare with power and tensor cores."), `hw_gpu_task="general"`, "")),
		share(one("Power, of the limit", "", "gpu:hw_power_watts:ratio", "{{hw_id}}", "Busy at idle power: a kernel spins (gpu_stalled). Idle with requests: nothing reaches the GPU.")),
		share(where(one("Tensor cores", "", "nvidia_gpu_tensor_utilization_ratio", "{{hw_id}}", "High in prefill, low in decode. From Hopper on, where profiling is asked for."), `nvidia_gpu_tensor_pipe="any"`, "")),
		share(one("Memory bandwidth", "", "nvidia_gpu_dram_bandwidth_utilization_ratio", "{{hw_id}}", "High in decode. Near zero on a busy GPU: it spins.")),
		share(one("Multiprocessors", "", "nvidia_gpu_sm_utilization_ratio", "{{hw_id}}", "")),
		share(one("Memory controller", "", "nvidia_gpu_memory_controller_utilization_ratio", "{{hw_id}}", "")),
	}
}

func gpuMemoryPanels() []panel {
	used := one("Memory in use", "bytes", "hw_gpu_memory_usage_bytes", "{{hw_id}}", "vLLM takes its share at the start and keeps it.")
	used.queries = append(used.queries, asTold("hw_gpu_memory_limit_bytes", "size of {{hw_id}}"))
	processes := one("By process", "bytes", "nvidia_gpu_process_memory_usage_bytes", "{{hw_id}} {{vllm_role}} {{vllm_rank}} {{process_pid}}", "Where processes are asked for. A worker of an engine that died keeps its memory.")
	processes.stack = true
	all := []panel{
		used, share(one("Share in use", "", "hw_gpu_memory_utilization_ratio", "{{hw_id}}", "")), processes,
		one("Free and reserved", "bytes", "nvidia_gpu_memory_state_usage_bytes", "{{hw_id}} {{nvidia_gpu_memory_state}}", "What the driver keeps for itself is reserved."),
	}
	for i := range all {
		all[i].w = 6
	}
	return all
}

func gpuHeatPanels() []panel {
	power := one("Power", "watt", "hw_power_watts", "{{hw_id}}", "")
	power.queries = append(power.queries,
		asTold("nvidia_gpu_power_average_watts", "mean {{hw_id}}"),
		query{expr: `nvidia_gpu_power_limit_watts{` + ofGPU + `, nvidia_gpu_power_limit_kind="enforced"}`, legend: "limit {{hw_id}}"})
	margin := one("Degrees to throttling", "celsius", "nvidia_gpu_temperature_margin_celsius", "{{hw_id}}", "The least of several sensors: under 3 it slows down next.")
	margin.queries = append(margin.queries, asTold("nvidia_gpu_temperature_margin_limit_celsius", "{{hw_limit_type}} {{hw_id}}"))
	heat := one("Temperature", "celsius", "hw_temperature_celsius", "{{hw_id}} {{hw_sensor_location}}", "")
	heat.queries = append(heat.queries, asTold("hw_temperature_limit_celsius", "{{hw_limit_type}} {{hw_id}}"))
	clocks := one("Clocks", "hertz", "nvidia_gpu_clock_frequency_hertz", "{{hw_id}} {{nvidia_gpu_clock_domain}}", "")
	clocks.queries = append(clocks.queries, asTold("nvidia_gpu_clock_frequency_limit_hertz", "highest {{hw_id}} {{nvidia_gpu_clock_domain}}"))
	fans := panel{title: "Fans", unit: "percentunit", none: "no fan is told", queries: []query{{expr: `hw_fan_speed_ratio{` + ofPart + `}`, legend: "{{hw_id}}"}}}
	held := where(one("Share of time held down, by reason", "", "gpu_reason:nvidia_gpu_clock_event_duration:ratio_rate5m", "{{hw_id}} {{nvidia_gpu_clock_event_reason}}",
		"sw_power_cap is normal under load; hw_thermal and power_brake are not (gpu_throttled)."), "", " > 0")
	held.none = "no reason was told"
	heldNow := where(one("Held down now, by reason", "short", "nvidia_gpu_clock_event_active", "{{hw_id}} {{nvidia_gpu_clock_event_reason}}", ""), "", " == 1")
	heldNow.none = "no reason is told"
	return []panel{
		power, heat, margin, clocks,
		share(held), heldNow,
		one("Performance state", "short", "nvidia_gpu_performance_state_ratio", "{{hw_id}}", "0 is the fastest. GPUs of a data centre are always at 0."),
		fans,
		{title: "Fans, turns", unit: "rotrpm", none: "no fan is told", queries: []query{{expr: `hw_fan_speed_rpm{` + ofPart + `}`, legend: "{{hw_id}}"}}},
	}
}

func gpuEnergyPanels() []panel {
	spread := func(title, unit, metric, about string) panel {
		return panel{title: title, unit: unit, about: about, queries: []query{
			{expr: quantileOf(0.5, metric, "job", ofInstance), legend: "p50 {{job}}"},
			{expr: quantileOf(0.95, metric, "job", ofInstance), legend: "p95 {{job}}", exemplars: true},
		}}
	}
	return []panel{
		{title: "Energy of a token, idle time included", unit: "joule", queries: []query{{expr: `job_instance:hw_energy_joules_per_token:ratio_rate5m{` + ofInstance + `}`, legend: "{{instance}}"}}},
		spread("Energy of a request", "joule", "vllm_request_gpu_energy_joules", "Each instant's energy, divided among the requests that ran then."),
		spread("Energy of a request's token", "joule", energyPerToken, ""),
		spread("GPU time of a request", "s", "vllm_request_gpu_time_seconds", ""),
		{title: "Power, from the energy counter", unit: "watt", about: "The driver's energy counter misses nothing between two readings.", queries: []query{{expr: `sum by (hw_id) (rate(hw_energy_joules_total{` + ofGPU + `}[$__rate_interval]))`, legend: "{{hw_id}}"}}},
		{title: "Requests whose energy is not known", unit: "reqps", queries: []query{{expr: `sum by (error_type) (rate(vllm_request_gpu_unsettled_total{` + ofInstance + `}[$__rate_interval]))`, legend: "{{error_type}}"}}},
	}
}
