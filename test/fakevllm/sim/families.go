package sim

import (
	"strconv"
	"time"
)

// writeProcess writes the families of the Python process. Their values are made up, but for the time of its start, which
// is what tells a restart.
func (e *Engine) writeProcess(x *exposition) {
	generations := func(values ...float64) (rows []series) {
		for i, v := range values {
			rows = append(rows, series{label("generation", strconv.Itoa(i)), v})
		}
		return rows
	}
	x.counter("python_gc_objects_collected", "Objects the garbage collector has freed.", 0)
	for _, r := range generations(12152, 2176, 319) {
		x.row("python_gc_objects_collected_total", r.labels, r.value)
	}
	x.counter("python_gc_objects_uncollectable", "Objects the garbage collector could not free.", 0)
	for _, r := range generations(0, 0, 0) {
		x.row("python_gc_objects_uncollectable_total", r.labels, r.value)
	}
	x.counter("python_gc_collections", "Runs of the garbage collector.", 0)
	for _, r := range generations(1421, 129, 9) {
		x.row("python_gc_collections_total", r.labels, r.value)
	}
	x.gauge("python_info", "Version of Python.",
		series{`implementation="CPython",major="3",minor="12",patchlevel="1",version="3.12.1"`, 1})
	x.gauge("process_virtual_memory_bytes", "Virtual memory.", series{"", 1815027712})
	x.gauge("process_resident_memory_bytes", "Resident memory.", series{"", 652951552})
	x.gauge("process_start_time_seconds", "When the process began.", series{"", unix(e.started)})
	x.counter("process_cpu_seconds", "CPU time.", 0)
	x.row("process_cpu_seconds_total", "", 16.67)
	x.gauge("process_open_fds", "Open files.", series{"", 39})
	x.gauge("process_max_fds", "Open files allowed.", series{"", 20000})
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// values returns one row for each rank. before and after are labels that stand before and after model_name.
func (e *Engine) values(before, after string, value func(*core) float64) (rows []series) {
	for _, c := range e.cores {
		labels := label("engine", strconv.Itoa(c.rank))
		if before != "" {
			labels += "," + before
		}
		labels += "," + label("model_name", e.cfg.Model)
		if after != "" {
			labels += "," + after
		}
		rows = append(rows, series{labels, value(c)})
	}
	return rows
}

func none(*core) float64 { return 0 }

// writeEngine writes gauges and counters of the ranks.
func (e *Engine) writeEngine(x *exposition) {
	at := unix(e.started)
	counter := func(name, help string, value func(*core) float64) {
		x.counter(name, help, at, e.values("", "", value)...)
	}
	gauge := func(name, help string, value func(*core) float64) { x.gauge(name, help, e.values("", "", value)...) }
	counter("vllm:estimated_flops_per_gpu", "Floating point operations; 0 without --enable-mfu-metrics.", none)
	counter("vllm:estimated_read_bytes_per_gpu", "Bytes read; 0 without --enable-mfu-metrics.", none)
	counter("vllm:estimated_write_bytes_per_gpu", "Bytes written; 0 without --enable-mfu-metrics.", none)
	gauge("vllm:num_requests_running", "Requests in the batch.", func(c *core) float64 { return float64(c.stats.gauges.running) })
	gauge("vllm:num_requests_waiting", "Requests that wait.", func(c *core) float64 {
		return float64(c.stats.gauges.capacity + c.stats.gauges.deferred)
	})
	x.gauge("vllm:num_requests_waiting_by_reason", "Requests that wait, by reason.", append(
		e.values("", `reason="capacity"`, func(c *core) float64 { return float64(c.stats.gauges.capacity) }),
		e.values("", `reason="deferred"`, func(c *core) float64 { return float64(c.stats.gauges.deferred) })...)...)
	var sleep []series
	for _, state := range []string{"awake", "weights_offloaded", "discard_all"} {
		sleep = append(sleep, e.values("", label("sleep_state", state), func(c *core) float64 {
			is := map[bool]string{false: "awake", true: "weights_offloaded"}[c.sleeping] == state
			return map[bool]float64{true: 1}[is]
		})...)
	}
	x.gauge("vllm:engine_sleep_state", "Whether the engine sleeps, and how deeply.", sleep...)
	gauge("vllm:kv_cache_usage_perc", "Share of the KV cache's blocks that are held, 0 to 1.", func(c *core) float64 { return c.stats.gauges.usage })
	counter("vllm:prefix_cache_queries", "Tokens looked up in the prefix cache.", func(c *core) float64 { return c.stats.prefixQueries })
	counter("vllm:prefix_cache_hits", "Tokens found in the prefix cache.", func(c *core) float64 { return c.stats.prefixHits })
	counter("vllm:external_prefix_cache_queries", "Tokens looked up in another instance's prefix cache.", none)
	counter("vllm:external_prefix_cache_hits", "Tokens found in another instance's prefix cache.", none)
	counter("vllm:mm_cache_queries", "Items looked up in the multimodal cache.", none)
	counter("vllm:mm_cache_hits", "Items found in the multimodal cache.", none)
	counter("vllm:num_preemptions", "Preemptions.", func(c *core) float64 { return c.stats.preemptions })
	counter("vllm:prompt_tokens", "Tokens of prompts.", func(c *core) float64 { return c.stats.promptTokens })
	e.writeSources(x, at)
	counter("vllm:generation_tokens", "Tokens of answers.", func(c *core) float64 { return c.stats.generationTokens })
	var success []series
	for _, reason := range finishReasons {
		success = append(success, e.values(label("finished_reason", reason), "", func(c *core) float64 { return c.stats.success[reason] })...)
	}
	x.counter("vllm:request_success", "Requests that ended, by reason.", at, success...)
	model := label("model_name", e.cfg.Model)
	x.counter("vllm:admission_rejections", "Requests that an admission limit refused.", at,
		series{model + `,reason="max_num_queued_reqs"`, e.front.rejectedRequests},
		series{model + `,reason="max_num_queued_tokens"`, e.front.rejectedTokens})
}

// writeSources writes where the prompts' tokens came from.
func (e *Engine) writeSources(x *exposition, at float64) {
	cached := func(c *core) float64 { return c.stats.promptCached }
	var rows []series
	rows = append(rows, e.values("", `source="local_compute"`, func(c *core) float64 { return c.stats.promptComputed })...)
	rows = append(rows, e.values("", `source="local_cache_hit"`, cached)...)
	rows = append(rows, e.values("", `source="external_kv_transfer"`, none)...)
	x.counter("vllm:prompt_tokens_by_source", "Tokens of prompts by where they came from.", at, rows...)
	x.counter("vllm:prompt_tokens_cached", "Tokens of prompts that were in a cache.", at, e.values("", "", cached)...)
	rows = e.values("", `source="device"`, cached)
	for _, source := range []string{"host", "p2p", "disk", "external_unspecified"} {
		rows = append(rows, e.values("", label("source", source), none)...)
	}
	x.counter("vllm:prompt_tokens_cached_by_source", "Tokens of prompts that were in a cache, by cache.", at, rows...)
}

// writeRequests writes the ranks' histograms.
func (e *Engine) writeRequests(x *exposition) {
	at := unix(e.started)
	for _, f := range []struct {
		name, help string
		of         func(*stats) *histogram
	}{
		{"request_prompt_tokens", "Tokens of a prompt.", func(s *stats) *histogram { return s.promptLen }},
		{"request_generation_tokens", "Tokens of an answer.", func(s *stats) *histogram { return s.generationLen }},
		{"iteration_tokens_total", "Tokens in a step with output.", func(s *stats) *histogram { return s.iteration }},
		{"request_max_num_generation_tokens", "Tokens of a request's longest answer.", func(s *stats) *histogram { return s.maxGeneration }},
		{"request_params_n", "Answers asked for.", func(s *stats) *histogram { return s.paramsN }},
		{"request_params_max_tokens", "Most tokens asked for.", func(s *stats) *histogram { return s.paramsMax }},
		{"time_to_first_token_seconds", "From arrival to the first token.", func(s *stats) *histogram { return s.firstToken }},
		{"inter_token_latency_seconds", "Between two outputs of a request.", func(s *stats) *histogram { return s.interToken }},
		{"request_time_per_output_token_seconds", "A request's mean time for a token after the first.", func(s *stats) *histogram { return s.perToken }},
		{"e2e_request_latency_seconds", "From arrival to the end.", func(s *stats) *histogram { return s.endToEnd }},
		{"request_queue_time_seconds", "In the queue.", func(s *stats) *histogram { return s.queueTime }},
		{"request_inference_time_seconds", "In the batch.", func(s *stats) *histogram { return s.inference }},
		{"request_prefill_time_seconds", "From the queue's end to the first token.", func(s *stats) *histogram { return s.prefillTime }},
		{"request_decode_time_seconds", "From the first token to the last.", func(s *stats) *histogram { return s.decodeTime }},
		{"request_num_preemptions", "Preemptions of a request.", func(s *stats) *histogram { return s.preemptionsPerRequest }},
		{"request_prefill_kv_computed_tokens", "Tokens of a prompt that were not in a cache.", func(s *stats) *histogram { return s.kvComputed }},
	} {
		var rows []distribution
		for _, c := range e.cores {
			rows = append(rows, distribution{label("engine", strconv.Itoa(c.rank)), label("model_name", e.cfg.Model), f.of(&c.stats)})
		}
		x.histogram("vllm:"+f.name, f.help, at, rows...)
	}
	e.writeCacheConfig(x)
}
