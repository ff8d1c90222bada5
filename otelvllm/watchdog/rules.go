package watchdog

import (
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// rule is one row of the table: a cause, how it is recognised, and what to tell people.
type rule struct {
	code Code
	// dependsOn are the causes of which this one is a consequence. Where one of them is found on the
	// same engine, this one is left out and its requests are given to that one.
	dependsOn []Code
	// lasts is how long the condition must hold before it is shown without a stalled request. A
	// request that is stalled by it has waited for long enough already.
	lasts time.Duration
	// Exactly one of these is set. host looks at this host's GPUs and engine at one engine; both
	// return nil if the condition does not hold. request looks at one stalled request, whose engine
	// is nil if it is not known.
	host    func(*look) *sign
	engine  func(*look, *reading) *sign
	request func(*look, *reading, *waiter) bool
	// tell makes the sign of a request's condition. Of requests with the same cause on the same
	// engine, the one that is silent the longest speaks for all.
	tell func(*look, *reading, *inflight.Status) *sign
	// explains tells whether the condition of an engine is what a stalled request waits for. Nil
	// means that it is, whatever the request's phase: such an engine serves nobody.
	explains func(*look, *reading, *waiter) bool
	// Texts for people. {name} stands for a member of the evidence.
	summary, remedy string
}

// sign is a condition that holds.
type sign struct {
	since    time.Time // zero: the readings do not tell
	weak     bool      // of interest only to a stalled request
	read     time.Time // of the older of the readings that it rests on: it counts once they were read again; zero: at once
	evidence map[string]any
	// Instead of the rule's, where one code has two faces.
	summary, remedy string
}

// down are the causes after which an engine serves nobody.
var down = []Code{EngineUnreachable, EngineLoading, EngineDead, EngineAsleep}

// stopped are all causes that stop a whole engine.
var stopped = append([]Code{EngineWedged}, down...)

// rules is the table, causes before their consequences: a request is stalled by the first row that
// explains it. It is not changed.
var rules = []rule{
	{
		code: SlowClient, request: slowClient, tell: tellBlocked,
		summary: "the caller has not read its answer for {blocked_seconds} s; the engine waits for nothing",
		remedy: "look at the caller and the network to it: it must read the stream as it comes; a write deadline " +
			"(http.ResponseController.SetWriteDeadline, or WriteTimeout) frees the engine from callers who never read",
	},
	{
		code: GPULost, host: gpuLost, lasts: time.Second,
		summary: "GPU {gpu} is lost or reports a fatal error (XID {xid}); what runs on it cannot go on",
		remedy: "read dmesg for \"NVRM: Xid\" and nvidia-smi -q for the recovery action; drain this host, reset the GPU or reboot, " +
			"then start vLLM again; starting vLLM alone does not help, and with --tensor-parallel-size every rank of the group is affected",
	},
	{
		code: GPUMemoryExhausted, dependsOn: []Code{GPULost}, host: gpuMemory, lasts: time.Minute,
		summary: "the memory of GPU {gpu} is full ({memory_percent} %)",
		remedy: "look with nvidia-smi for another or a left-over process on this GPU (a VLLM::Worker of an engine that died keeps its memory) and end it; " +
			"lower --gpu-memory-utilization (in many images the variable GPU_MEMORY_UTILIZATION), --max-model-len (MAX_MODEL_LEN) or --max-num-seqs; " +
			"spread the model with --tensor-parallel-size (TENSOR_PARALLEL_SIZE), or shrink it with --quantization and --kv-cache-dtype fp8",
	},
	{
		code: EngineUnreachable, dependsOn: []Code{GPULost, GPUMemoryExhausted}, engine: engineUnreachable, lasts: 10 * time.Second,
		summary: "the engine at {engine} has never answered ({error})",
		remedy: "a vLLM that loads its model refuses connections too: wait until its log says \"Application startup complete\" (minutes for a large model); " +
			"else check the address, --host and --port, and the network; if it never comes up, start it with VLLM_LOGGING_LEVEL=DEBUG; " +
			"VLLM_ENGINE_READY_TIMEOUT_S bounds its start, --load-format and --enforce-eager change how long it takes",
	},
	{
		code: EngineLoading, dependsOn: []Code{GPULost}, engine: engineLoading, lasts: 10 * time.Second,
		summary: "the engine at {engine} is starting",
		remedy: "wait: loading and compiling take minutes for a large model; --enforce-eager and --optimization-level shorten the start, " +
			"--load-format and a model on a local disk the loading; past VLLM_ENGINE_READY_TIMEOUT_S it gives up: then read its log, with VLLM_LOGGING_LEVEL=DEBUG",
	},
	{
		code: EngineDead, dependsOn: []Code{GPULost, GPUMemoryExhausted}, engine: engineDead, lasts: 5 * time.Second,
		summary: "the engine at {engine} was up and is gone ({error})",
		remedy: "start it again and read the end of its log for the first error (\"EngineCore encountered an issue\" is only its echo); " +
			"CUDA out of memory: lower --gpu-memory-utilization, --max-num-seqs or --max-model-len; CUDA error: run once with CUDA_LAUNCH_BLOCKING=1 and --enforce-eager; " +
			"\"RPC call to execute_model timed out\": a rank hung for VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS, see NCCL_DEBUG=INFO; " +
			"if /health stays 503 without the process ending, unset VLLM_KEEP_ALIVE_ON_ENGINE_DEATH, so that it is started again",
	},
	{
		code: EngineAsleep, dependsOn: []Code{GPULost, EngineDead}, engine: engineAsleep, lasts: 30 * time.Second,
		summary: "the engine at {engine} sleeps; requests wait until it wakes",
		remedy: "POST /wake_up after /sleep, or POST /resume after /pause (both need VLLM_SERVER_DEV_MODE=1); " +
			"if nobody paused it, its scheduler is stuck: restart it, with a higher --max-num-seqs or a lower --max-model-len",
	},
	{
		code: CollectiveSkew, dependsOn: append([]Code{GPULost}, down...), host: collectiveSkew, lasts: 30 * time.Second,
		summary: "GPU {busy_gpu} is {busy_percent} % busy while GPU {idle_gpu} is idle and no token comes: one rank has left the collective",
		remedy: "take py-spy dump of each VLLM::Worker, then restart the engine; run with NCCL_DEBUG=INFO to see the last collective, try NCCL_P2P_DISABLE=1, " +
			"NCCL_SOCKET_IFNAME and --disable-custom-all-reduce; give containers enough shared memory (--ipc=host); " +
			"VLLM_TRACE_FUNCTION=1 shows where a rank hangs, at a hundredth of the speed",
	},
	{
		code: GPUStalled, dependsOn: append([]Code{GPULost, CollectiveSkew}, down...), host: gpuStalled, lasts: 30 * time.Second,
		summary: "GPU {gpu} does no work although requests wait: {utilization_percent} % busy at {power_percent} % of its power",
		remedy: "busy at idle power means that a kernel spins: restart the engine, then try another --attention-backend or --moe-backend, --enforce-eager, " +
			"and for several GPUs NCCL_DEBUG=INFO and --disable-custom-all-reduce; CUDA_LAUNCH_BLOCKING=1 names the kernel; " +
			"idle with work means that nothing reaches the GPU: py-spy dump of VLLM::EngineCore shows where it waits",
	},
	{
		code: GPUThrottled, dependsOn: []Code{GPULost}, host: gpuThrottled, lasts: time.Minute,
		summary: "GPU {gpu} is slowed down by heat or power",
		remedy: "nvidia-smi -q -d PERFORMANCE,TEMPERATURE,POWER names the reason; check cooling, power supply and neighbours; " +
			"until then fewer requests at a time (--max-num-seqs) keep the time between tokens",
	},
	{
		code: FrontendStarved, dependsOn: down, engine: frontendStarved, lasts: time.Minute, explains: beforeTheScheduler,
		summary: "the API server of the engine at {engine} is short of CPU: it answers slowly, and requests wait before they reach the scheduler",
		remedy: "give vLLM more cores and raise --api-server-count; for chat templates and images --renderer-num-workers and --mm-processor-cache-gb; " +
			"fewer and larger chunks with --stream-interval; or the Rust front end with VLLM_USE_RUST_FRONTEND=1",
	},
	{
		code: LongPrefill, dependsOn: down, engine: longPrefill, explains: untilNextToken,
		summary: "the engine at {engine} is reading in a long prompt; it is well, and tokens come when the prompt is done",
		remedy: "nothing is broken; for shorter waits keep chunked prefill on (in old images ENABLE_CHUNKED_PREFILL), lower --max-num-batched-tokens or set " +
			"--long-prefill-token-threshold, let --enable-prefix-caching share prompts, and bound prompts with --max-model-len (MAX_MODEL_LEN)",
	},
	{
		code: RemoteKVWait, dependsOn: down, engine: remoteKVWait, lasts: 30 * time.Second, explains: heldBack,
		summary: "{waiting_deferred} requests on the engine at {engine} wait for keys and values of another engine",
		remedy: "check the prefill engines and the network to them (vllm:nixl_num_failed_transfers_total, vllm:nixl_num_kv_expired_reqs_total); " +
			"set kv_load_failure_policy in --kv-transfer-config so that a lost transfer is computed again; VLLM_MOONCAKE_ABORT_REQUEST_TIMEOUT bounds the wait",
	},
	{
		code: GrammarCompileWait, dependsOn: down, engine: grammarWait, explains: heldBack,
		summary: "{waiting_deferred} requests on the engine at {engine} are held back outside its queue, most likely until their output grammar is compiled",
		remedy: "simplify the JSON schema or the grammar (large enums and many patterns take long); try another backend in --structured-outputs-config; " +
			"VLLM_REGEX_COMPILATION_TIMEOUT_S bounds regular expressions, VLLM_XGRAMMAR_CACHE_MB keeps compiled ones; " +
			"with a KV connector other than NIXL, look at the engine that sends the keys and values instead",
	},
	{
		code: EngineWedged, dependsOn: append([]Code{GPULost, CollectiveSkew, GPUStalled}, down...), engine: engineWedged, lasts: 10 * time.Second,
		explains: heldByWedge,
		summary:  "the engine at {engine} stands still ({our_requests} in flight): its counters have not moved for {frozen_seconds} s, though its /health may be 200",
		remedy: "take py-spy dump of VLLM::EngineCore and VLLM::Worker, then restart the engine; no reading of it will change by itself, but a worker that hangs " +
			"ends it after VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS (300); for the next time set VLLM_LOGGING_LEVEL=DEBUG and VLLM_LOG_STATS_INTERVAL=1, " +
			"NCCL_DEBUG=INFO with --tensor-parallel-size above 1, CUDA_LAUNCH_BLOCKING=1 to name a kernel, VLLM_TRACE_FUNCTION=1 as a last resort (a hundred times slower)",
	},
	{
		code: KVCacheExhausted, dependsOn: append([]Code{GPUMemoryExhausted}, stopped...), engine: kvCacheExhausted, lasts: 30 * time.Second,
		explains: forRoom,
		summary:  "the KV cache of the engine at {engine} is full ({kv_cache_percent} %) and {waiting} requests wait for room",
		remedy: "more room: --gpu-memory-utilization (GPU_MEMORY_UTILIZATION), --kv-cache-dtype fp8, --kv-offloading-size, " +
			"--tensor-parallel-size (TENSOR_PARALLEL_SIZE), more engines; less need: --max-num-seqs, --max-model-len (MAX_MODEL_LEN)",
	},
	{
		code: PreemptionThrash, dependsOn: append([]Code{KVCacheExhausted}, stopped...), engine: preemptionThrash, lasts: 30 * time.Second,
		explains: inDecode,
		summary:  "the engine at {engine} throws requests out of its KV cache and computes them again; they stand still meanwhile",
		remedy: "lower --max-num-seqs so that what runs fits, or raise --gpu-memory-utilization (GPU_MEMORY_UTILIZATION); " +
			"--max-model-len, --kv-cache-dtype fp8 and --tensor-parallel-size give room too; compare vllm:num_preemptions_total before and after",
	},
	{
		code: QueueSaturated, dependsOn: append([]Code{KVCacheExhausted, PreemptionThrash}, stopped...), engine: queueSaturated, lasts: time.Minute,
		explains: inQueue,
		summary:  "{waiting} requests wait on the engine at {engine} while {running} run: it is full",
		remedy: "add engines, or --data-parallel-size; raise --max-num-seqs or --max-num-batched-tokens if the KV cache has room; limit what comes in with --max-num-queued-reqs " +
			"(503 beyond it); --scheduling-policy priority puts first what matters; with adapters, --max-loras; VLLM_LOG_STATS_INTERVAL=1 shows the queue in the log",
	},
	{
		code: RequestStarved, dependsOn: stopped, request: requestStarved, tell: tellSilent,
		summary: "the engine at {engine} makes progress for others but has sent nothing for this request for {silent_seconds} s",
		remedy: "look for the request's id in the engine's log (--enable-log-requests); a connection that a proxy or NAT has dropped looks like this, and so do a parser that " +
			"holds tokens back and, not streamed, a long answer (bound max_tokens, or stream); with --scheduling-policy priority a low priority starves",
	},
	{
		code: NoProgress, dependsOn: append([]Code{GPULost, CollectiveSkew, GPUStalled}, stopped...), request: noProgress, tell: tellNoProgress,
		remedy: "read the engine's /metrics twice: if vllm:generation_tokens_total stands still while requests run, the engine is wedged " +
			"(its /health stays 200): take py-spy dump of VLLM::EngineCore, then restart it; if it moves, the request waits behind others: " +
			"compare vllm:num_requests_waiting with --max-num-seqs and vllm:kv_cache_usage_perc with 1; VLLM_LOGGING_LEVEL=DEBUG says more",
	},
}
