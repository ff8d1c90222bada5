package dashboards

import "strings"

// causes are what the watchdog can name, for people, in the order of its table, and the section of the guide that has
// it. A test compares the codes with the watchdog's.
var causes = []struct{ code, means, section string }{
	{"slow_client", "The caller does not read, so its answer cannot be written. Look at the caller.", "a-stream-stops-in-the-middle"},
	{"gpu_lost", "A GPU has fallen off the bus, or its driver reports a fatal error. Drain the host, reset or reboot.", "a-gpu-is-not-well"},
	{"gpu_memory_exhausted", "A GPU's memory is full. Look for left-over processes.", "a-gpu-is-not-well"},
	{"engine_unreachable", "The engine has never answered; a loading vLLM refuses too.", "connection-refused-502-503-500"},
	{"engine_loading", "The engine is starting. Wait.", "connection-refused-502-503-500"},
	{"engine_dead", "The engine was up and is gone. Start it again; the first error in its log is the cause.", "connection-refused-502-503-500"},
	{"engine_asleep", "The engine sleeps or is paused. Wake it.", "health-is-200-but-nothing-moves"},
	{"collective_skew", "Some GPUs are busy while another does nothing: a rank has left the collective. Restart; NCCL_DEBUG=INFO.", "a-gpu-is-not-well"},
	{"gpu_stalled", "A GPU is busy at idle power, or idle with work. Restart the engine.", "a-gpu-is-not-well"},
	{"gpu_throttled", "A GPU is slowed down by heat or power. Cooling, power supply.", "a-gpu-is-not-well"},
	{"frontend_starved", "The engine's API server has no CPU time left. More cores, --api-server-count.", "a-stream-is-silent-before-its-first-token"},
	{"long_prefill", "A long prompt is being read in; the engine is well. Lower --max-num-batched-tokens.", "a-stream-is-silent-before-its-first-token"},
	{"remote_kv_wait", "The engine waits for keys and values of another engine. Look at that one.", "a-stream-is-silent-before-its-first-token"},
	{"grammar_compile_wait", "A grammar for structured output is being compiled. A simpler schema.", "a-stream-is-silent-before-its-first-token"},
	{"engine_wedged", "The engine's counters stand still with requests in flight, while its /health is 200. Restart it.", "health-is-200-but-nothing-moves"},
	{"kv_cache_exhausted", "The KV cache is full and requests wait for room.", "a-stream-is-silent-before-its-first-token"},
	{"preemption_thrash", "Requests are thrown out of the KV cache and computed again. Lower --max-num-seqs.", "a-stream-stops-in-the-middle"},
	{"queue_saturated", "More requests come than the engine serves at a time. Add engines.", "a-stream-is-silent-before-its-first-token"},
	{"request_starved", "The engine makes progress for others but not for this request.", "a-stream-stops-in-the-middle"},
	{"no_progress", "No other rule fits; the evidence on the stall's span says what was seen.", "a-stream-stops-in-the-middle"},
}

func causesPanel() panel {
	var b strings.Builder
	b.WriteString("| cause | what it means | more |\n|---|---|---|\n")
	for _, c := range causes {
		b.WriteString("| `" + c.code + "` | " + c.means + " | [guide](" + guideURL + "#" + c.section + ") |\n")
	}
	return panel{title: "Causes", kind: kindText, w: 24, h: 20, markdown: b.String()}
}
