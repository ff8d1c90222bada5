package dashboards

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
)

const (
	ofGPU = ofInstance + `, hw_id=~"$gpu"`
	// ofPart also takes the links and fans of the chosen GPUs, whose ids begin with the GPU's.
	ofPart = ofInstance + `, hw_id=~"($gpu)(/.*)?"`
)

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

// one plots one metric as it is.
func one(title, unit, metric, legend, about string) panel {
	return panel{title: title, unit: unit, about: about, queries: []query{{expr: metric + `{` + ofGPU + `}`, legend: legend}}}
}

// rateOf plots how fast counters rise.
func rateOf(title, unit, metric, by, legend, about string) panel {
	return panel{title: title, unit: unit, about: about, queries: []query{
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
	const state = `{` + ofInstance + `, hw_id=~"$gpu", hw_type="gpu"`
	toGuide := []link{{"What to do about a GPU", guideURL + "#a-gpu-is-not-well"}, {"Findings", "${live:raw}/findings"}}
	return []panel{
		{
			title: "GPUs that are not well", kind: kindStat, w: 4, h: 7, none: "no GPU is read", links: toGuide,
			about:   "Failed, about to fail, degraded, or without an answer.",
			queries: []query{{expr: `count(hw_status` + state + `, hw_state="ok"} == 0) or 0 * count(hw_status` + state + `, hw_state="ok"})`, legend: "not well"}},
			steps:   []step{{0, "green"}, {1, "red"}},
		},
		{
			title: "GPUs", kind: kindTable, w: 12, h: 7, none: "no GPU is read",
			queries: []query{
				{expr: byGPU(`nvidia_gpu_up_ratio{` + ofGPU + `}`)},
				{expr: byGPU(`hw_gpu_utilization_ratio{` + ofGPU + `, hw_gpu_task="general"}`)},
				{expr: byGPU(`hw_gpu_memory_utilization_ratio{` + ofGPU + `}`)},
				{expr: byGPU(`gpu:hw_power_watts:ratio{` + ofGPU + `}`)},
				{expr: `max by (job, instance, hw_id, hw_name, hw_state) (hw_status` + state + `} == 1)`},
			},
			columns: []column{
				{"hw_id", "GPU", "", toGuide},
				{"hw_name", "Model", "", nil},
				{"instance", "Instance", "", nil},
				{"hw_state", "State", "", nil},
				{"Value #A", "Answers", "bool_yes_no", nil},
				{"Value #B", "Busy", "percentunit", nil},
				{"Value #C", "Memory", "percentunit", nil},
				{"Value #D", "Power", "percentunit", nil},
			},
		},
		{
			title: "XIDs in this range", kind: kindTable, w: 8, h: 7, none: "none",
			about:   "Errors that the driver reported, and what NVIDIA says to do.",
			queries: []query{{expr: `sort_desc(` + born("nvidia_gpu_xid_errors_total", "hw_id, nvidia_xid_code, nvidia_xid_action") + `)`}},
			columns: []column{
				{"hw_id", "GPU", "", nil}, {"nvidia_xid_code", "XID", "", nil}, {"nvidia_xid_action", "Do", "", toGuide}, {"Value", "Times", "short", nil},
			},
		},
		{
			title: "GPUs that answer", unit: "short", w: 6, about: "Fewer than there were: a GPU has fallen off the bus.",
			queries: []query{
				{expr: `nvidia_gpu_count{` + ofInstance + `}`, legend: "{{instance}}"},
				{expr: `nvidia_gpu_count_expected{` + ofInstance + `}`, legend: "were there {{instance}}"},
			},
		},
		{
			title: "The driver asks for", unit: "short", w: 6, about: "A recovery action other than none: do it before vLLM is started again.",
			queries: []query{{expr: `max by (hw_id, nvidia_gpu_recovery_action) (nvidia_gpu_recovery_action{` + ofGPU + `, nvidia_gpu_recovery_action!="none"}) == 1`, legend: "{{hw_id}} {{nvidia_gpu_recovery_action}}"}},
		},
		{
			title: "Last XIDs", unit: "s", w: 6, about: "How long ago.",
			queries: []query{{expr: `time() - nvidia_gpu_xid_last_timestamp_seconds{` + ofGPU + `}`, legend: "{{hw_id}} XID {{nvidia_xid_code}}"}},
		},
		{
			title: "State of the driver", unit: "short", w: 6,
			queries: []query{{expr: `nvidia_gpu_driver_state{` + ofInstance + `} == 1`, legend: "{{instance}} {{nvidia_gpu_driver_state}}"}},
		},
	}
}

func gpuWorkPanels() []panel {
	return []panel{
		share(one("Busy", "", "hw_gpu_utilization_ratio", "{{hw_id}} {{hw_gpu_task}}", "Any kernel ran. A kernel that spins is 100 % too: compare with power and tensor cores.")),
		share(one("Power, of the limit", "", "gpu:hw_power_watts:ratio", "{{hw_id}}", "Busy at idle power: a kernel spins (gpu_stalled). Idle with requests: nothing reaches the GPU.")),
		share(one("Tensor cores", "", "nvidia_gpu_tensor_utilization_ratio", "{{hw_id}} {{nvidia_gpu_tensor_pipe}}", "High in prefill, low in decode. From Hopper on, where profiling is asked for.")),
		share(one("Memory bandwidth", "", "nvidia_gpu_dram_bandwidth_utilization_ratio", "{{hw_id}}", "High in decode. Near zero on a busy GPU: it spins.")),
		share(one("Multiprocessors", "", "nvidia_gpu_sm_utilization_ratio", "{{hw_id}}", "")),
		share(one("Memory controller", "", "nvidia_gpu_memory_controller_utilization_ratio", "{{hw_id}}", "")),
	}
}

func gpuMemoryPanels() []panel {
	used := one("Memory in use", "bytes", "hw_gpu_memory_usage_bytes", "{{hw_id}}", "vLLM takes its share at the start and keeps it.")
	used.queries = append(used.queries, query{expr: `hw_gpu_memory_limit_bytes{` + ofGPU + `}`, legend: "size of {{hw_id}}"})
	processes := one("By process", "bytes", "nvidia_gpu_process_memory_usage_bytes", "{{hw_id}} {{vllm_role}} {{vllm_rank}} {{process_pid}}", "Where processes are asked for. A worker of an engine that died keeps its memory.")
	processes.stack = true
	return []panel{
		used, share(one("Share in use", "", "hw_gpu_memory_utilization_ratio", "{{hw_id}}", "")), processes,
		one("Free and reserved", "bytes", "nvidia_gpu_memory_state_usage_bytes", "{{hw_id}} {{nvidia_gpu_memory_state}}", "What the driver keeps for itself is reserved."),
	}
}

func gpuHeatPanels() []panel {
	power := one("Power", "watt", "hw_power_watts", "{{hw_id}}", "")
	power.queries = append(power.queries,
		query{expr: `nvidia_gpu_power_average_watts{` + ofGPU + `}`, legend: "mean {{hw_id}}"},
		query{expr: `nvidia_gpu_power_limit_watts{` + ofGPU + `, nvidia_gpu_power_limit_kind="enforced"}`, legend: "limit {{hw_id}}"})
	margin := one("Degrees to throttling", "celsius", "nvidia_gpu_temperature_margin_celsius", "{{hw_id}}", "The least of several sensors: under 3 it slows down next.")
	margin.queries = append(margin.queries, query{expr: `nvidia_gpu_temperature_margin_limit_celsius{` + ofGPU + `}`, legend: "{{hw_limit_type}} {{hw_id}}"})
	heat := one("Temperature", "celsius", "hw_temperature_celsius", "{{hw_id}} {{hw_sensor_location}}", "")
	heat.queries = append(heat.queries, query{expr: `hw_temperature_limit_celsius{` + ofGPU + `}`, legend: "{{hw_limit_type}} {{hw_id}}"})
	clocks := one("Clocks", "hertz", "nvidia_gpu_clock_frequency_hertz", "{{hw_id}} {{nvidia_gpu_clock_domain}}", "")
	clocks.queries = append(clocks.queries, query{expr: `nvidia_gpu_clock_frequency_limit_hertz{` + ofGPU + `}`, legend: "highest {{hw_id}} {{nvidia_gpu_clock_domain}}"})
	fans := panel{title: "Fans", unit: "percentunit", queries: []query{{expr: `hw_fan_speed_ratio{` + ofPart + `}`, legend: "{{hw_id}}"}}}
	return []panel{
		power, heat, margin, clocks,
		share(one("Share of time held down, by reason", "", "gpu_reason:nvidia_gpu_clock_event_duration:ratio_rate5m", "{{hw_id}} {{nvidia_gpu_clock_event_reason}}",
			"sw_power_cap is normal under load; hw_thermal and power_brake are not (gpu_throttled).")),
		one("Held down now, by reason", "short", "nvidia_gpu_clock_event_active", "{{hw_id}} {{nvidia_gpu_clock_event_reason}}", ""),
		one("Performance state", "short", "nvidia_gpu_performance_state_ratio", "{{hw_id}}", "0 is the fastest. GPUs of a data centre are always at 0."),
		fans,
		{title: "Fans, turns", unit: "rotrpm", queries: []query{{expr: `hw_fan_speed_rpm{` + ofPart + `}`, legend: "{{hw_id}}"}}},
	}
}

func gpuEnergyPanels() []panel {
	median := func(title, unit, metric, about string) panel {
		return panel{title: title, unit: unit, about: about, queries: []query{{
			expr: fmt.Sprintf(`histogram_quantile(0.5, sum by (job, le) (rate(%[1]s_bucket{%[2]s}[$__rate_interval]))) or `+
				`histogram_quantile(0.5, sum by (job) (rate(%[1]s{%[2]s}[$__rate_interval])))`, metric, ofInstance),
			legend: "median {{job}}", exemplars: true,
		}}}
	}
	return []panel{
		{title: "Energy of a token, idle time included", unit: "joule", queries: []query{{expr: `job_instance:hw_energy_joules_per_token:ratio_rate5m{` + ofInstance + `}`, legend: "{{instance}}"}}},
		median("Energy of a request", "joule", "vllm_request_gpu_energy_joules", "Each instant's energy, divided among the requests that ran then."),
		median("Energy of a request's token", "joule", energyPerToken, ""),
		median("GPU time of a request", "s", "vllm_request_gpu_time_seconds", ""),
		{title: "Power, from the energy counter", unit: "watt", about: "The driver's energy counter misses nothing between two readings.", queries: []query{{expr: `sum by (hw_id) (rate(hw_energy_joules_total{` + ofGPU + `}[$__rate_interval]))`, legend: "{{hw_id}}"}}},
		{title: "Requests whose energy is not known", unit: "reqps", queries: []query{{expr: `sum by (error_type) (rate(vllm_request_gpu_unsettled_total{` + ofInstance + `}[$__rate_interval]))`, legend: "{{error_type}}"}}},
	}
}
