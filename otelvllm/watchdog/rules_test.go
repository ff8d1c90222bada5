package watchdog

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

func TestTableOfRulesIsWhole(t *testing.T) {
	want := strings.Fields(`engine_unreachable engine_loading engine_dead engine_wedged engine_asleep kv_cache_exhausted preemption_thrash queue_saturated long_prefill
		gpu_memory_exhausted gpu_stalled gpu_lost gpu_throttled collective_skew slow_client grammar_compile_wait remote_kv_wait frontend_starved request_starved no_progress`)
	var got []string
	for i, r := range rules {
		got = append(got, string(r.code))
		if n := count(r.host != nil, r.engine != nil, r.request != nil); n != 1 {
			t.Errorf("%s: got %d tests, want one", r.code, n)
		}
		if (r.request != nil) != (r.tell != nil) {
			t.Errorf("%s: a request's rule and no other needs tell", r.code)
		}
		for _, cause := range r.dependsOn {
			if j := row(cause); j < 0 || j >= i {
				t.Errorf("%s depends on %s, which is not above it", r.code, cause)
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got codes %q, want %q", got, want)
	}
}

func count(list ...bool) (n int) {
	for _, b := range list {
		if b {
			n++
		}
	}
	return n
}

// What vLLM 0.28 to 0.32 knows, of what the remedies may name.
const (
	flags = ` --aggregate-engine-logging --api-server-count --async-scheduling --attention-backend --cpu-offload-gb --data-parallel-external-lb --data-parallel-size
		--disable-custom-all-reduce --disable-log-stats --distributed-timeout-seconds --enable-chunked-prefill --enable-fault-tolerance --enable-log-requests
		--enable-prefix-caching --enforce-eager --gdn-prefill-backend --gpu-memory-utilization --host --jit-monitor-mode --kv-cache-dtype --kv-cache-memory-bytes
		--kv-offloading-size --kv-transfer-config --load-format --long-prefill-token-threshold --max-cpu-loras --max-loras --max-model-len --max-num-batched-tokens
		--max-num-queued-reqs --max-num-queued-tokens --max-num-seqs --mm-processor-cache-gb --moe-backend --no-enable-chunked-prefill --optimization-level --port
		--prefill-schedule-interval --quantization --renderer-num-workers --scheduling-policy --sse-keep-alive-interval --stream-interval
		--structured-outputs-config --tensor-parallel-size --watermark `
	variables = ` VLLM_ENGINE_READY_TIMEOUT_S VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS VLLM_KEEP_ALIVE_ON_ENGINE_DEATH VLLM_LOGGING_LEVEL VLLM_LOG_STATS_INTERVAL
		VLLM_MOONCAKE_ABORT_REQUEST_TIMEOUT VLLM_REGEX_COMPILATION_TIMEOUT_S VLLM_RINGBUFFER_WARNING_INTERVAL VLLM_SERVER_DEV_MODE VLLM_TRACE_FUNCTION
		VLLM_USE_RUST_FRONTEND VLLM_XGRAMMAR_CACHE_MB `
	notOfVLLM = " --ipc " // Docker's
)

func TestRemediesNameOnlyWhatVLLMKnows(t *testing.T) {
	flag, variable := regexp.MustCompile(`--[a-z][a-z0-9-]*`), regexp.MustCompile(`VLLM_[A-Z_]+`)
	known := strings.Fields(flags + variables + notOfVLLM)
	all := ""
	other := rule{code: GPULost, remedy: startAgain}
	for _, r := range append(slices.Clone(rules), other) {
		all += r.remedy + "\n"
		for _, name := range append(flag.FindAllString(r.remedy, -1), variable.FindAllString(r.remedy, -1)...) {
			if !slices.Contains(known, name) {
				t.Errorf("%s: the remedy names %s, which vLLM does not have", r.code, name)
			}
		}
		if r.remedy == "" || strings.HasSuffix(r.remedy, ".") || len(r.remedy) > 800 {
			t.Errorf("%s: got a remedy of %d bytes, want 1 to 800 without a stop", r.code, len(r.remedy))
		}
	}
	for _, name := range strings.Fields(`VLLM_LOGGING_LEVEL VLLM_LOG_STATS_INTERVAL VLLM_TRACE_FUNCTION NCCL_DEBUG CUDA_LAUNCH_BLOCKING
		GPU_MEMORY_UTILIZATION ENABLE_CHUNKED_PREFILL MAX_MODEL_LEN TENSOR_PARALLEL_SIZE`) {
		if !strings.Contains(all, name) {
			t.Errorf("no remedy names %s", name)
		}
	}
}

// TestNoFindingFollowsFromAnother looks at random views: whatever is the case, each stalled request
// is in at most one finding, and no finding is about what another one on the same engine explains.
func TestNoFindingFollowsFromAnother(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	found := make(map[Code]int)
	for range 5_000 {
		v := randomView(r)
		seen := make(map[string]bool)
		d := diagnose(&v)
		for i, c := range d.conditions {
			for n, i := range d.look.due {
				if d.causes[n] != c {
					continue
				}
				if id := v.Requests[i].TraceID; seen[id] {
					t.Fatalf("request %s is in two findings: %s", id, outline(Diagnose(v)))
				} else {
					seen[id] = true
				}
			}
			for j, other := range d.conditions {
				if i != j && follows(c.code, other.code) && overlap(c, other) {
					t.Fatalf("%s follows from %s, yet got %s", c.code, other.code, outline(Diagnose(v)))
				}
				if j > i && row(c.code) > row(other.code) {
					t.Fatalf("got %s, want root causes first", outline(Diagnose(v)))
				}
			}
		}
		for _, i := range d.look.due {
			if s := &v.Requests[i]; !seen[s.TraceID] && !d.look.requests[i].silentByNature() {
				t.Fatalf("stalled stream %s has no cause: %s", s.TraceID, outline(Diagnose(v)))
			}
		}
		for _, f := range Diagnose(v) {
			found[f.Code]++
		}
	}
	for _, rule := range rules {
		if found[rule.code] == 0 {
			t.Errorf("%s was never found: the views are not random enough", rule.code)
		}
	}
}

func randomView(r *rand.Rand) View {
	v := View{Now: now, StallAfter: 30 * time.Second}
	maybe := func(odds int) bool { return r.IntN(odds) == 0 }
	for n := range r.IntN(3) {
		rank := engine.Rank{Running: value(float64(r.IntN(3))), WaitingCapacity: value(float64(r.IntN(3))), KVCache: value(r.Float64() * 1.2)}
		if maybe(3) {
			rank.WaitingDeferred = value(1)
		}
		if maybe(3) {
			rank.RemoteKVFailures = value(1)
		}
		e := moving(rank, before(func(b *engine.Rank) { b.KVCache = value(r.Float64()) }))
		if maybe(2) {
			still(time.Duration(r.IntN(60)) * time.Second)(&e)
		}
		if maybe(3) {
			states := []engine.State{engine.Unknown, engine.Loading, engine.Wedged, engine.Down, engine.Asleep}
			state(states[r.IntN(len(states))], time.Minute, []string{"", "timeout", "connection_refused"}[r.IntN(3)])(&e)
		}
		if maybe(4) {
			e.Snapshot, e.Before = nil, nil
		}
		e.EverUp, e.Slow, e.Mixed = maybe(2), maybe(5), maybe(8)
		if maybe(6) {
			e.FrozenRanks, e.FrozenSince = []string{"0"}, at(-time.Minute)
		}
		e.Address = []string{"127.0.0.1:8000", second}[n]
		v.Engines = append(v.Engines, e)
	}
	for n := range r.IntN(5) {
		phases := []inflight.Phase{inflight.PhaseEngineInit, inflight.PhaseConnect, inflight.PhaseQueueOrPrefill, inflight.PhaseDecode, inflight.PhaseBody, ""}
		s := request(string(rune('a'+n)), phases[r.IntN(len(phases))], time.Duration(r.IntN(400))*time.Second)
		s.Stream, s.Engine = !maybe(3), []string{"127.0.0.1:8000", second, "", "other"}[r.IntN(4)]
		if maybe(8) {
			blockedFor(s.Silent)(&s)
		}
		v.Requests = append(v.Requests, s)
	}
	for n := range r.IntN(3) {
		g := gpu(string(rune('0'+n)), float64(r.IntN(2)), r.Float64(), func(g *GPU) {
			g.Lost, g.Throttled, g.XID = maybe(20), maybe(10), []int{0, 0, 0, 31, 79}[r.IntN(5)]
			g.MemoryRatio = value(0.9 + r.Float64()/10)
		})
		v.GPUs = append(v.GPUs, g)
	}
	return v
}
