package sim

import (
	"bytes"
	"slices"
	"strings"
)

// Dialect says of which vLLM an engine's /metrics or errors are.
type Dialect string

// Dialects of /metrics and of errors.
const (
	// DialectNew is that of Config.Version's default, from Python's front end.
	DialectNew Dialect = ""
	// DialectV1 is that of vLLM 0.10.0: the names of the first V1 engines beside those that replaced them, and no
	// _created.
	DialectV1 Dialect = "v1"
	// DialectV0 is that of vLLM 0.6.6: one engine without a rank, and nothing of its process or HTTP server.
	DialectV0 Dialect = "v0"
	// DialectRust is that of the front end in Rust: OpenMetrics, and fewer families.
	DialectRust Dialect = "rust"
)

// family is a family of /metrics as text.
type family struct {
	name, help, kind string
	samples          []textSample
}

type textSample struct{ name, labels, value string }

// kept are the families of each old dialect, by the names that they have now, without vllm:.
var kept = map[Dialect][]string{
	DialectV0: {
		"num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "cache_config_info", "iteration_tokens_total",
		"time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds",
		"request_inference_time_seconds", "request_prefill_time_seconds", "request_decode_time_seconds", "request_prompt_tokens",
		"request_generation_tokens", "request_max_num_generation_tokens", "request_params_n", "request_params_max_tokens",
		"num_preemptions_total", "prompt_tokens_total", "generation_tokens_total", "request_success_total",
	},
	DialectRust: {
		"num_requests_running", "num_requests_waiting", "num_requests_waiting_by_reason", "kv_cache_usage_perc",
		"prefix_cache_queries_total", "prefix_cache_hits_total", "external_prefix_cache_queries_total", "external_prefix_cache_hits_total",
		"num_preemptions_total", "prompt_tokens_total", "prompt_tokens_by_source_total", "prompt_tokens_cached_total",
		"generation_tokens_total", "request_success_total", "request_prompt_tokens", "request_generation_tokens",
		"time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds",
		"request_prefill_time_seconds", "request_decode_time_seconds", "request_inference_time_seconds", "request_time_per_output_token_seconds",
	},
}

// older are names of today with the one that came before.
var older = map[string]string{
	"kv_cache_usage_perc": "gpu_cache_usage_perc", "prefix_cache_queries_total": "gpu_prefix_cache_queries_total",
	"prefix_cache_hits_total": "gpu_prefix_cache_hits_total", "inter_token_latency_seconds": "time_per_output_token_seconds",
}

// translate puts /metrics into an old dialect, or into that of Rust.
func (d Dialect) translate(text []byte) []byte {
	if d == DialectNew {
		return text
	}
	x := &exposition{}
	for _, f := range families(text) {
		for _, out := range d.families(f) {
			out.write(x, d == DialectRust)
		}
	}
	if d == DialectRust {
		x.WriteString("# EOF\n")
	}
	return x.Bytes()
}

// families reads the text format.
func families(text []byte) (all []family) {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "# HELP "):
			name, help, _ := strings.Cut(line[len("# HELP "):], " ")
			all = append(all, family{name: name, help: help})
		case strings.HasPrefix(line, "# TYPE "):
			_, all[len(all)-1].kind, _ = strings.Cut(line[len("# TYPE "):], " ")
		default:
			at := strings.LastIndexByte(line, ' ')
			s := textSample{name: line[:at], value: line[at+1:]}
			if name, labels, ok := strings.Cut(s.name, "{"); ok {
				s.name, s.labels = name, strings.TrimSuffix(labels, "}")
			}
			f := &all[len(all)-1]
			f.samples = append(f.samples, s)
		}
	}
	return all
}

// families returns what a family of today is in the dialect: nothing, itself, or several.
func (d Dialect) families(f family) []family {
	name, ours := strings.CutPrefix(f.name, "vllm:")
	switch {
	case strings.HasSuffix(name, "_created"):
		return nil
	case d == DialectV1 && !ours:
		return []family{f}
	case d == DialectRust && strings.HasPrefix(name, "http_request") && f.kind != "summary":
		return []family{f}
	case !ours, d == DialectV1 && !slices.Contains(keptV1, name), d != DialectV1 && !slices.Contains(kept[d], name):
		return nil
	}
	if name == "request_success_total" && d != DialectRust {
		f.samples = slices.DeleteFunc(slices.Clone(f.samples), func(s textSample) bool {
			return strings.Contains(s.labels, `="error"`) || strings.Contains(s.labels, `="repetition"`)
		})
	}
	old, renamed := older[name]
	switch {
	case d == DialectV1 && name == "inter_token_latency_seconds":
		return []family{f.rename("vllm:" + old)}
	case d == DialectV1 && renamed:
		return []family{f.rename("vllm:" + old), f}
	case d == DialectV0:
		return f.withoutRank().v0(name)
	}
	return []family{f}
}

// keptV1 are the families that vLLM 0.10.0 has, by the names that they have now.
var keptV1 = append(slices.Clone(kept[DialectV0]), "prefix_cache_queries_total", "prefix_cache_hits_total")

// v0 renames a family, and puts those beside it that only the V0 engine had.
func (f family) v0(name string) []family {
	constant := func(name, value string) family {
		g := f.rename("vllm:" + name)
		g.samples = slices.Clone(g.samples[:1])
		g.samples[0].value = value
		return g
	}
	switch name {
	case "num_requests_waiting":
		return []family{f, constant("num_requests_swapped", "0.0")}
	case "kv_cache_usage_perc":
		return []family{
			f.rename("vllm:" + older[name]), constant("cpu_cache_usage_perc", "0.0"),
			constant("cpu_prefix_cache_hit_rate", "-1.0"), constant("gpu_prefix_cache_hit_rate", "-1.0"),
		}
	case "request_queue_time_seconds":
		return []family{f, f.rename("vllm:time_in_queue_requests")}
	case "inter_token_latency_seconds":
		return []family{f.rename("vllm:" + older[name])}
	}
	return []family{f}
}

func (f family) rename(name string) family {
	samples := slices.Clone(f.samples)
	for i := range samples {
		samples[i].name = name + strings.TrimPrefix(samples[i].name, f.name)
	}
	f.name, f.samples = name, samples
	return f
}

// withoutRank takes the label engine off.
func (f family) withoutRank() family {
	f.samples = slices.Clone(f.samples)
	for i := range f.samples {
		f.samples[i].labels = strings.Join(slices.DeleteFunc(labelsOf(f.samples[i].labels), func(l string) bool {
			return strings.HasPrefix(l, `engine="`)
		}), ",")
	}
	return f
}

// labelsOf splits labels at the commas between them.
func labelsOf(text string) (labels []string) {
	quoted, start := false, 0
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '"':
			quoted = !quoted
		case text[i] == ',' && !quoted:
			labels, start = append(labels, text[start:i]), i+1
		}
	}
	if text != "" {
		labels = append(labels, text[start:])
	}
	return labels
}

// write writes the family, in OpenMetrics as Rust's front end does or as Python's client library does.
func (f family) write(x *exposition, rust bool) {
	name := f.name
	if rust && f.kind == "counter" {
		name = strings.TrimSuffix(name, "_total")
	}
	x.head(name, f.help, f.kind)
	for _, s := range f.samples {
		if rust {
			s = s.rust()
		}
		if s.labels != "" {
			s.labels = "{" + s.labels + "}"
		}
		x.WriteString(s.name + s.labels + " " + s.value + "\n")
	}
}

// rust puts a sample into the order and the numbers of Rust's front end.
func (s textSample) rust() textSample {
	rank := func(label string) int {
		for i, prefix := range []string{`le="`, `model_name="`, `engine="`} {
			if strings.HasPrefix(label, prefix) {
				return i
			}
		}
		return 3
	}
	labels := labelsOf(s.labels)
	slices.SortStableFunc(labels, func(a, b string) int { return rank(a) - rank(b) })
	s.labels = strings.Join(labels, ",")
	s.value = string(bytes.TrimSuffix([]byte(s.value), []byte(".0")))
	return s
}

// contentType is what GET /metrics calls its answer.
func (d Dialect) contentType() string {
	switch d {
	case DialectRust:
		return "application/openmetrics-text; version=1.0.0; charset=utf-8"
	case DialectV0, DialectV1:
		return "text/plain; version=0.0.4; charset=utf-8"
	case DialectNew:
	}
	return "text/plain; version=1.0.0; charset=utf-8"
}
