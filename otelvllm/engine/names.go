package engine

// row says where a reading of a rank comes from.
type row struct {
	field func(*Rank) *Value
	// names are the series that tell it, oldest first. The newest that an engine has counts, unless
	// all of them add up.
	names []string
	addUp bool
	// label and value pick some of the series; "" takes all.
	label, value string
	// counter tells that several series of a rank are parts of one sum; those of a gauge are several
	// processes' readings of the same thing, of which the largest counts.
	counter bool
	// share tells that the value is at most 1; inverted that 1 minus it is meant.
	share, inverted bool
	// progress tells that the engine works when it moves.
	progress bool
}

// rows is every reading of a rank, with its names from vLLM 0.6 to today. Counters have their name
// with _total in Python's and Rust's front end alike; vllm:iteration_tokens_total is a histogram in
// spite of its name.
var rows = []row{
	{field: func(r *Rank) *Value { return &r.Running }, names: []string{"vllm:num_requests_running"}},
	{field: func(r *Rank) *Value { return &r.Waiting }, names: []string{"vllm:num_requests_waiting"}},
	{field: func(r *Rank) *Value { return &r.Swapped }, names: []string{"vllm:num_requests_swapped"}},
	{
		field: func(r *Rank) *Value { return &r.WaitingCapacity },
		names: []string{"vllm:num_requests_waiting_by_reason"}, label: "reason", value: "capacity",
	},
	{
		field: func(r *Rank) *Value { return &r.WaitingDeferred },
		names: []string{"vllm:num_requests_waiting_by_reason"}, label: "reason", value: "deferred",
	},
	{
		field: func(r *Rank) *Value { return &r.KVCache }, share: true, progress: true,
		names: []string{"vllm:gpu_cache_usage_perc", "vllm:kv_cache_usage_perc"}, // the first until 0.11
	},
	{field: func(r *Rank) *Value { return &r.CPUCache }, names: []string{"vllm:cpu_cache_usage_perc"}, share: true},
	{
		field: func(r *Rank) *Value { return &r.Preemptions }, counter: true, progress: true,
		names: []string{"vllm:num_preemptions_total"},
	},
	{
		field: func(r *Rank) *Value { return &r.PromptTokens }, counter: true, progress: true,
		names: []string{"vllm:prompt_tokens_total"},
	},
	{
		field: func(r *Rank) *Value { return &r.GenerationTokens }, counter: true, progress: true,
		names: []string{"vllm:generation_tokens_total"},
	},
	{
		field: func(r *Rank) *Value { return &r.Iterations }, counter: true, progress: true,
		names: []string{"vllm:iteration_tokens_total_count"},
	},
	{
		field: func(r *Rank) *Value { return &r.PrefixQueries }, counter: true, progress: true,
		names: []string{"vllm:gpu_prefix_cache_queries_total", "vllm:prefix_cache_queries_total"},
	},
	{
		field: func(r *Rank) *Value { return &r.PrefixHits }, counter: true, progress: true,
		names: []string{"vllm:gpu_prefix_cache_hits_total", "vllm:prefix_cache_hits_total"},
	},
	{
		field: func(r *Rank) *Value { return &r.Finished }, counter: true, progress: true,
		names: []string{"vllm:request_success_total"},
	},
	{
		field: func(r *Rank) *Value { return &r.RemoteKVFailures }, counter: true, addUp: true,
		names: []string{"vllm:nixl_num_failed_transfers_total", "vllm:nixl_num_kv_expired_reqs_total"},
	},
	{
		field: func(r *Rank) *Value { return &r.Asleep }, share: true, inverted: true,
		names: []string{"vllm:engine_sleep_state"}, label: "sleep_state", value: "awake",
	},
}

// distributions is every histogram, with its names like rows.
var distributions = []struct {
	field func(*Snapshot) *Histogram
	names []string
}{
	{func(s *Snapshot) *Histogram { return &s.TimeToFirstToken }, []string{"vllm:time_to_first_token_seconds"}},
	{
		func(s *Snapshot) *Histogram { return &s.InterTokenLatency },
		[]string{"vllm:time_per_output_token_seconds", "vllm:inter_token_latency_seconds"}, // the first until 0.11
	},
	{
		func(s *Snapshot) *Histogram { return &s.QueueTime },
		[]string{"vllm:time_in_queue_requests", "vllm:request_queue_time_seconds"}, // the first in V0 only
	},
}

// Series that tell about the engine as a whole.
const (
	seriesStarted   = "process_start_time_seconds"
	seriesCache     = "vllm:cache_config_info"
	seriesLoRA      = "vllm:lora_requests_info"
	seriesRejected  = "vllm:admission_rejections_total"
	seriesHTTP      = "http_requests_total"
	labelRank       = "engine"
	labelModel      = "model_name"
	labelBound      = "le"
	suffixOfBuckets = "_bucket"
	suffixOfCount   = "_count"
	suffixOfSum     = "_sum"
)

// wanted is every series that is read; all others are passed over unparsed.
var wanted = wantedSeries()

func wantedSeries() map[string]bool {
	names := map[string]bool{
		seriesStarted: true, seriesCache: true, seriesLoRA: true, seriesRejected: true, seriesHTTP: true,
	}
	for _, r := range rows {
		for _, n := range r.names {
			names[n] = true
		}
	}
	for _, d := range distributions {
		for _, n := range d.names {
			names[n+suffixOfBuckets], names[n+suffixOfCount], names[n+suffixOfSum] = true, true, true
		}
	}
	return names
}
