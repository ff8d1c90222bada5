package watchdog

// Code names a cause. The set is closed, so a code is safe as a metric attribute.
type Code string

// The causes that the rules know.
const (
	// SlowClient: the caller does not read, so its answer cannot be written.
	SlowClient Code = "slow_client"
	// GPULost: a GPU has fallen off the bus, or its driver reports an error that ends what runs on it.
	GPULost Code = "gpu_lost"
	// GPUMemoryExhausted: a GPU's memory is full.
	GPUMemoryExhausted Code = "gpu_memory_exhausted"
	// EngineUnreachable: the engine has not answered since we began to ask. A vLLM that is loading
	// refuses connections too.
	EngineUnreachable Code = "engine_unreachable"
	// EngineLoading: the engine is starting, and something shows it.
	EngineLoading Code = "engine_loading"
	// EngineDead: the engine was up and is gone.
	EngineDead Code = "engine_dead"
	// EngineAsleep: the engine sleeps or is paused.
	EngineAsleep Code = "engine_asleep"
	// CollectiveSkew: some GPUs of the engine are busy while another does nothing.
	CollectiveSkew Code = "collective_skew"
	// GPUStalled: a GPU is busy at idle power, or idle while there is work.
	GPUStalled Code = "gpu_stalled"
	// GPUThrottled: a GPU runs below its clock because of heat or power.
	GPUThrottled Code = "gpu_throttled"
	// FrontendStarved: the engine's API server has no CPU time left.
	FrontendStarved Code = "frontend_starved"
	// LongPrefill: a long prompt is being read in. The engine is well.
	LongPrefill Code = "long_prefill"
	// RemoteKVWait: the engine waits for keys and values of another engine.
	RemoteKVWait Code = "remote_kv_wait"
	// GrammarCompileWait: a grammar for structured output is being compiled.
	GrammarCompileWait Code = "grammar_compile_wait"
	// EngineWedged: the engine's counters stand still beside requests in flight, while its /health
	// stays 200.
	EngineWedged Code = "engine_wedged"
	// KVCacheExhausted: the KV cache is full and requests wait for room.
	KVCacheExhausted Code = "kv_cache_exhausted"
	// PreemptionThrash: requests are thrown out of the KV cache and computed again.
	PreemptionThrash Code = "preemption_thrash"
	// QueueSaturated: more requests come than the engine serves at a time.
	QueueSaturated Code = "queue_saturated"
	// RequestStarved: the engine makes progress for others but not for this request.
	RequestStarved Code = "request_starved"
	// NoProgress: no other rule fits; the evidence says what was seen.
	NoProgress Code = "no_progress"
)
