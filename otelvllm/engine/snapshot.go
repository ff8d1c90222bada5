package engine

import "time"

// Snapshot is an engine's /metrics at one moment. It is immutable: many readers may hold it, none
// may change it. All its methods accept a nil Snapshot, of which nothing is known.
type Snapshot struct {
	// Taken is when the answer had been read, by our clock.
	Taken time.Time `json:"taken"`
	// Model is the name of the model, of the first rank that tells one; "" if none does.
	Model string `json:"model"`
	// Ranks are the data-parallel ranks of the engine, in their order. There are none when vLLM
	// keeps no statistics (--disable-log-stats).
	Ranks []Rank `json:"ranks"`
	// Started is when the API server started, in seconds of the engine's own clock. Compare it with
	// another Started of the same engine only. Not known with several API servers.
	Started Value `json:"started"`
	// AdmissionRejections counts requests refused because the queue was full.
	AdmissionRejections Value `json:"admission_rejections"`
	// NumGPUBlocks and BlockSize are the size of one rank's KV cache, in blocks, and of a block, in
	// tokens.
	NumGPUBlocks Value `json:"num_gpu_blocks"`
	BlockSize    Value `json:"block_size"`
	// HTTPRequests counts requests that the API server answered, HTTPErrors those of them that it
	// answered with a status of 500 or above.
	HTTPRequests Value `json:"http_requests"`
	HTTPErrors   Value `json:"http_errors"`
	// TimeToFirstToken, InterTokenLatency and QueueTime are the engine's histograms in seconds,
	// summed over ranks, since the engine started.
	TimeToFirstToken  Histogram `json:"time_to_first_token,omitzero"`
	InterTokenLatency Histogram `json:"inter_token_latency,omitzero"`
	QueueTime         Histogram `json:"queue_time,omitzero"`
}

// Rank is one data-parallel rank of an engine. Counters count since the engine started.
type Rank struct {
	// Rank is the engine label: "0", "1"... It is "0" for a V0 engine, which has one rank and no
	// label.
	Rank string `json:"rank"`
	// Model is the first --served-model-name; requests for adapters count under it too.
	Model string `json:"model"`
	// Running, Waiting and Swapped are requests: in the batch, in the queue, and swapped out of the
	// KV cache (V0 only). They change only when the engine has finished a step, so those of an engine
	// that hangs are old, and requests that arrived since are in none of them.
	Running Value `json:"running"`
	Waiting Value `json:"waiting"`
	Swapped Value `json:"swapped"`
	// WaitingCapacity and WaitingDeferred are parts of Waiting: for room in the batch or the cache,
	// and for something else (an adapter, a remote KV cache, a grammar).
	WaitingCapacity Value `json:"waiting_capacity"`
	WaitingDeferred Value `json:"waiting_deferred"`
	// KVCache and CPUCache are the used shares of the caches, from 0 to 1. CPUCache is of V0 only.
	KVCache  Value `json:"kv_cache"`
	CPUCache Value `json:"cpu_cache"`
	// Preemptions counts requests that lost their place in the batch. vLLM counts one when its
	// victim goes on, not when it stops.
	Preemptions Value `json:"preemptions"`
	// PromptTokens and GenerationTokens count tokens, those of aborted requests too.
	PromptTokens     Value `json:"prompt_tokens"`
	GenerationTokens Value `json:"generation_tokens"`
	// Iterations counts the engine's steps that produced something for a request.
	Iterations Value `json:"iterations"`
	// PrefixQueries and PrefixHits count tokens looked up and found in the prefix cache; in V1
	// before 0.9 they counted blocks.
	PrefixQueries Value `json:"prefix_queries"`
	PrefixHits    Value `json:"prefix_hits"`
	// Finished counts requests that ended by themselves, whatever the reason. Aborted ones are in no
	// count of vLLM's.
	Finished Value `json:"finished"`
	// RemoteKVFailures counts transfers of KV caches between engines (NIXL) that failed or expired.
	RemoteKVFailures Value `json:"remote_kv_failures"`
	// Asleep is 1 while the rank sleeps, 0 while it is awake.
	Asleep Value `json:"asleep"`
	// WaitingLoRA tells that requests wait for an adapter. vLLM does not tell on which rank.
	WaitingLoRA bool `json:"waiting_lora"`
}

// Histogram holds the observations of a histogram since the engine started, in seconds. The zero
// Histogram is one that the engine does not tell.
type Histogram struct {
	// Bounds are the upper bounds of the buckets in rising order, without infinity. Counts[i] are
	// the observations up to and including Bounds[i].
	Bounds []float64 `json:"bounds"`
	Counts []float64 `json:"counts"`
	// Count are all observations, Sum their sum in seconds.
	Count Value `json:"count"`
	Sum   Value `json:"sum"`
}

// Sum adds one reading of all ranks. Ranks that do not tell it are left out; if none does, the sum
// is not known.
func (s *Snapshot) Sum(of func(*Rank) Value) Value { return s.fold(of, Value.plus) }

// Worst returns the largest of one reading of all ranks, not known if no rank tells it.
func (s *Snapshot) Worst(of func(*Rank) Value) Value { return s.fold(of, Value.larger) }

func (s *Snapshot) fold(of func(*Rank) Value, join func(Value, Value) Value) (all Value) {
	if s == nil {
		return Value{}
	}
	for i := range s.Ranks {
		all = join(all, of(&s.Ranks[i]))
	}
	return all
}
