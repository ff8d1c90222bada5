package sim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// writeCacheConfig writes the configuration of the KV cache as labels.
func (e *Engine) writeCacheConfig(x *exposition) {
	blocks, size := e.cfg.NumGPUBlocks, e.cfg.BlockSize
	python := map[bool]string{false: "False", true: "True"}
	pairs := func(rank int) string {
		values := []string{
			"_block_size_resolved", "True", "block_size", strconv.Itoa(size), "cache_dtype", "auto",
			"cache_hit_alignment_tokens", "None", "effective_attention_block_size", strconv.Itoa(size),
			"enable_mamba_shared_prefix_checkpoint", "False", "enable_prefix_caching", python[!e.cfg.NoPrefixCaching],
			"engine", strconv.Itoa(rank), "gpu_memory_utilization", "0.92", "hash_block_size", "None",
			"is_attention_free", "False", "kv_cache_dtype_skip_layers", "[]", "kv_cache_layout", "None",
			"kv_cache_max_concurrency", pythonFloat(float64(blocks*size) / float64(e.cfg.MaxModelLen)),
			"kv_cache_memory_bytes", "None", "kv_cache_size_tokens", strconv.Itoa(blocks * size),
			"kv_offloading_backend", "native", "kv_offloading_size", "None", "kv_sharing_fast_prefill", "False",
			"mamba_block_size", "None", "mamba_cache_dtype", "auto", "mamba_cache_mode", "none",
			"mamba_page_size_padded", "None", "mamba_ssm_cache_dtype", "auto", "num_cpu_blocks", "None",
			"num_gpu_blocks", strconv.Itoa(blocks), "num_gpu_blocks_override", "None",
			"prefix_cache_retention_interval", "0", "prefix_caching_hash_algo", "sha256", "prefix_match_unit", "None",
			"replayssm_buffer_len", "16", "skip_page_size_padded", "None", "sliding_window", "None",
			"swa_bounded_replay", "True", "use_kda_recoverssm", "False", "use_replayssm", "False",
			"user_specified_block_size", "False",
		}
		var labels []string
		for i := 0; i < len(values); i += 2 {
			labels = append(labels, label(values[i], values[i+1]))
		}
		return strings.Join(labels, ",")
	}
	var rows []series
	for _, c := range e.cores {
		rows = append(rows, series{pairs(c.rank), 1})
	}
	x.gauge("vllm:cache_config_info", "Configuration of the KV cache.", rows...)
}

// writeHTTP writes what the HTTP server counts.
func (e *Engine) writeHTTP(x *exposition) {
	f, at := &e.front, unix(e.started)
	var requests, counts, in, out []series
	for _, k := range f.requestOrder {
		requests = append(requests, series{fmt.Sprintf("handler=%q,method=%q,status=%q", k.handler, k.method, k.status), f.requests[k]})
	}
	x.counter("http_requests", "HTTP requests by handler, method and status.", at, requests...)
	for _, name := range f.handlerOrder {
		h, labels := f.handlers[name], label("handler", name)
		counts = append(counts, series{labels, h.count})
		in = append(in, series{labels, h.requestBytes})
		out = append(out, series{labels, h.responseBytes})
	}
	x.summary("http_request_size_bytes", "Content length of requests.", at, counts, in)
	x.summary("http_response_size_bytes", "Content length of responses.", at, counts, out)
	x.histogram("http_request_duration_highr_seconds", "Duration of HTTP requests, finely.", at, distribution{h: f.duration})
	var durations []distribution
	for _, k := range f.durationOrder {
		durations = append(durations, distribution{label("handler", k.handler), label("method", k.method), f.durations[k]})
	}
	x.histogram("http_request_duration_seconds", "Duration of HTTP requests by handler.", at, durations...)
	e.writeToolParser(x, at)
	e.writeSleep(x, at)
	if f.socketsOpened > 0 {
		x.gauge("vllm:websocket_connections_active", "WebSockets that are open.", series{"", float64(f.sockets)})
		x.counter("vllm:websocket_connections", "WebSockets so far.", at, series{"", f.socketsOpened})
	}
}

// writeToolParser writes the counter that exists only with --tool-call-parser.
func (e *Engine) writeToolParser(x *exposition, at float64) {
	if e.cfg.ToolCallParser == "" {
		return
	}
	var rows []series
	for _, mode := range []string{"streaming", "non_streaming"} {
		for _, outcome := range []string{"tool_call", "no_tool_call"} {
			for _, kind := range []string{"chat_completions", "responses", "other"} {
				value := 0.0
				if kind == "chat_completions" {
					value = e.front.toolParser[toolKey{mode, outcome}]
				}
				rows = append(rows, series{fmt.Sprintf("mode=%q,model_name=%q,outcome=%q,request_type=%q", mode, e.cfg.Model, outcome, kind), value})
			}
		}
	}
	x.counter("vllm:tool_call_parser_invocations", "Calls of the tool parser: one a choice, or on streams one a delta.", at, rows...)
}

// sleepTook is how long it takes to go to sleep or to wake up, as on a CPU, where nothing is moved.
const sleepTook = 7500 * time.Microsecond

// sleeps counts an operation of the sleep mode.
func (f *front) sleeps(operation string) {
	if f.slept[operation] == nil {
		f.slept[operation] = newHistogram(boundsSleep)
	}
	f.slept[operation].seconds(sleepTook)
}

// writeSleep writes the families of the sleep mode, which exist once it was used.
func (e *Engine) writeSleep(x *exposition, at float64) {
	var took []distribution
	var running []series
	for _, operation := range slices.Sorted(maps.Keys(e.front.slept)) {
		took = append(took, distribution{after: label("operation", operation), h: e.front.slept[operation]})
		running = append(running, series{labels: label("operation", operation)})
	}
	if len(took) > 0 {
		x.histogram("vllm:sleep_mode_operation_duration_seconds", "Duration of an operation of the sleep mode.", at, took...)
		x.gauge("vllm:sleep_mode_operations_in_flight", "Operations of the sleep mode under way.", running...)
	}
}
