package watchdog

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

const (
	s   = time.Second
	on1 = "@" + address
	on2 = "@" + second
)

// viewRow is a view and what is to be found in it.
type viewRow struct {
	name string
	view View
	want string // as outline writes it
}

func check(t *testing.T, rows []viewRow) {
	t.Helper()
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			got := Diagnose(tt.view)
			if outline(got) != tt.want {
				t.Errorf("got %q, want %q", outline(got), tt.want)
			}
			for _, f := range got {
				if f.Summary == "" || f.Remedy == "" || f.Evidence == nil || f.Since.IsZero() || f.Since.After(now) {
					t.Errorf("%s: got an incomplete finding %+v", f.Code, f)
				}
				if strings.ContainsAny(f.Summary, "{}") || strings.Contains(f.Summary, "unknown") {
					t.Errorf("%s: got summary %q, want its names filled in", f.Code, f.Summary)
				}
			}
		})
	}
}

func TestEngineThatServesNobody(t *testing.T) {
	check(t, []viewRow{
		{"a port that refuses and never answered", view(engines(gone(false, 40*s, "connection_refused")), waiting("a", 31*s)), "engine_unreachable" + on1 + "[a]"},
		{"the same with nobody waiting", view(engines(gone(false, 40*s, "connection_refused"))), "engine_unreachable" + on1},
		{"the same for a moment only", view(engines(gone(false, 5*s, "connection_refused"))), ""},
		{"a 503 of an engine that starts", view(engines(moving(engine.Rank{}, func(e *engine.Status) {
			*e = engine.Status{Address: address, State: engine.Loading, Since: at(-40 * s), Err: "status_503", Age: -1}
		})), request("a", inflight.PhaseEngineInit, 31*s)), "engine_loading" + on1 + "[a]"},
		{"a port that refuses after it was up", view(engines(gone(true, 40*s, "connection_refused")), decoding("a", 31*s), decoding("b", 35*s)), "engine_dead" + on1 + "[a b]"},
		{"the same with a caller of an answer that is not streamed", view(engines(gone(true, 40*s, "connection_refused")), waiting("a", 31*s, unstreamed)), "engine_dead" + on1 + "[a]"},
		{"an engine that is kept alive after its death: /health 503, /metrics frozen", view(engines(moving(engine.Rank{Running: value(8)},
			still(40*s), state(engine.Down, 40*s, "status_503"))), waiting("a", 31*s)), "engine_dead" + on1 + "[a]"},
		{"the same when it was dead before we came", view(engines(moving(engine.Rank{Running: value(8)},
			still(40*s), state(engine.Down, 40*s, "status_503"), func(e *engine.Status) { e.EverUp = false })), waiting("a", 31*s)), "engine_dead" + on1 + "[a]"},
		{"an API server that takes connections and says nothing", view(engines(gone(true, 40*s, "timeout")), waiting("a", 31*s)), "engine_wedged" + on1 + "[a]"},
		{"an engine that sleeps", view(engines(moving(engine.Rank{Running: value(0), Asleep: value(1)}, still(time.Hour), state(engine.Asleep, 50*s, ""))),
			waiting("a", 31*s, unstreamed)), "engine_asleep" + on1 + "[a]"},
		{"a paused engine: nothing runs and all that was running waits", view(engines(moving(engine.Rank{Running: value(0), WaitingCapacity: value(1), KVCache: value(0)},
			still(40*s))), decoding("a", 31*s)), "engine_asleep" + on1 + "[a]"},
		{"a paused engine of which the monitor says that it is wedged", view(engines(moving(engine.Rank{Running: value(0), WaitingCapacity: value(1), KVCache: value(0)},
			still(40*s), state(engine.Wedged, 30*s, ""))), decoding("a", 31*s)), "engine_asleep" + on1 + "[a]"},
	})
}

func TestWedge(t *testing.T) {
	check(t, []viewRow{
		{"streams beside frozen counters", view(engines(wedged()), decoding("a", 31*s), waiting("b", 32*s)), "engine_wedged" + on1 + "[a b]"},
		{"an answer that is not streamed beside frozen counters", view(engines(wedged()), waiting("a", 31*s, unstreamed)), "engine_wedged" + on1 + "[a]"},
		{"a request after the wedge, which no gauge counts", view(engines(moving(engine.Rank{Running: value(0)}, still(40*s))), waiting("a", 31*s)), "engine_wedged" + on1 + "[a]"},
		{"an engine that was never seen to move", view(engines(moving(engine.Rank{}, still(0), func(e *engine.Status) { e.LastProgress = time.Time{} })), decoding("a", 31*s)), "engine_wedged" + on1 + "[a]"},
		{"progress that was read one interval after it happened", view(engines(moving(engine.Rank{}, still(26*s))), decoding("a", 31*s)), "engine_wedged" + on1 + "[a]"},
		{"the monitor's word, with nobody stalled yet", view(engines(moving(engine.Rank{}, still(35*s), state(engine.Wedged, 20*s, ""))), decoding("a", 20*s)), "engine_wedged" + on1},
		{"the monitor's word, for less than the threshold", view(engines(moving(engine.Rank{}, still(25*s), state(engine.Wedged, 10*s, ""))), decoding("a", 20*s)), ""},
		{"one rank of two", view(engines(twoRanks(31*s)), decoding("a", 31*s), decoding("b", 1*s)), "engine_wedged" + on1 + "[a]"},
		{"one rank of two: an answer that is not streamed may be on the other", view(engines(twoRanks(25*s)), waiting("a", 31*s, unstreamed)), ""},
		{"no counters at all: the request may be alone with its silence", view(engines(moving(engine.Rank{}, func(e *engine.Status) { e.Snapshot, e.Before = nil, nil })),
			decoding("a", 31*s)), "no_progress" + on1 + "[a]"},
		{"a load balancer in front of several engines: counters say nothing", view(engines(moving(engine.Rank{}, still(40*s), func(e *engine.Status) { e.Mixed = true })),
			decoding("a", 31*s)), "no_progress" + on1 + "[a]"},
		{"an engine that stopped after the request was starved", view(engines(wedged()), decoding("a", 90*s)), "engine_wedged" + on1 + "[a]"},
		{"an idle engine that has lost the request", view(engines(moving(engine.Rank{Running: value(0)}, still(40*s))), decoding("a", 90*s)), "request_starved" + on1 + "[a]"},
		{"an idle engine while a request is being sent", view(engines(moving(engine.Rank{Running: value(0)}, still(time.Hour))), request("a", inflight.PhaseConnect, 31*s)), "no_progress" + on1 + "[a]"},
		{"an idle engine", view(engines(moving(engine.Rank{Running: value(0)}, still(time.Hour)))), ""},
	})
}

// twoRanks is an engine whose rank 1 has stood still so long while rank 0 moves.
func twoRanks(frozen time.Duration) engine.Status {
	return moving(engine.Rank{}, func(e *engine.Status) {
		for _, snapshot := range []*engine.Snapshot{e.Snapshot, e.Before} {
			snapshot.Ranks = append(snapshot.Ranks, engine.Rank{Rank: "1", Running: value(2), Waiting: value(0), GenerationTokens: value(1730)})
		}
		e.FrozenRanks, e.FrozenSince = []string{"1"}, at(-frozen)
	})
}

func TestQueueAndCache(t *testing.T) {
	full := engine.Rank{KVCache: value(0.99), WaitingCapacity: value(3)}
	check(t, []viewRow{
		{"a full cache with requests waiting", view(engines(moving(full)), waiting("a", 31*s), decoding("b", 31*s)), "kv_cache_exhausted" + on1 + "[a b]"},
		{"a full cache, with preemptions as its consequence", view(engines(moving(full, before(func(r *engine.Rank) { r.Preemptions = value(-4) }))), decoding("a", 31*s)), "kv_cache_exhausted" + on1 + "[a]"},
		{"a full cache with nobody waiting", view(engines(moving(engine.Rank{KVCache: value(0.99)})), decoding("a", 3*s)), ""},
		{"a stream that was thrown out, before vLLM counts it", view(engines(moving(engine.Rank{Running: value(1), WaitingCapacity: value(4), KVCache: value(0.42)})),
			decoding("a", 31*s)), "preemption_thrash" + on1 + "[a]"},
		{"preemptions that are counted, with nobody stalled", view(engines(moving(engine.Rank{Preemptions: value(6)}, before(func(r *engine.Rank) { r.Preemptions = value(0) })))), "preemption_thrash" + on1},
		{"a queue", view(engines(moving(engine.Rank{Running: value(8), WaitingCapacity: value(2)})), waiting("a", 31*s)), "queue_saturated" + on1 + "[a]"},
		{"a queue before waits are told by reason", view(engines(moving(engine.Rank{Running: value(8), Waiting: value(2)}, func(e *engine.Status) {
			e.Snapshot.Ranks[0].WaitingCapacity, e.Snapshot.Ranks[0].WaitingDeferred = engine.Value{}, engine.Value{}
		})), waiting("a", 31*s)), "queue_saturated" + on1 + "[a]"},
		{"a short queue with nobody stalled", view(engines(moving(engine.Rank{Running: value(8), WaitingCapacity: value(2)}))), ""},
		{"a queue as long as the batch", view(engines(moving(engine.Rank{Running: value(8), WaitingCapacity: value(8)}))), "queue_saturated" + on1},
		{"an engine that turns requests away", view(engines(moving(engine.Rank{}, func(e *engine.Status) {
			e.Snapshot.AdmissionRejections, e.Before.AdmissionRejections = value(4), value(0)
		}))), "queue_saturated" + on1},
		{"a queue of adapters", view(engines(moving(engine.Rank{WaitingDeferred: value(2), WaitingLoRA: true})), waiting("a", 31*s)), "queue_saturated" + on1 + "[a]"},
		{"a stream that came before those that wait", view(engines(moving(engine.Rank{Running: value(2), WaitingCapacity: value(1)})), waiting("a", 40*s), waiting("b", 5*s)), "request_starved" + on1 + "[a]"},
		{"an answer that is not streamed, beside a queue of others", view(engines(moving(engine.Rank{Running: value(8), WaitingCapacity: value(2)})), waiting("a", 31*s, unstreamed)), ""},
		{"an answer that is not streamed, and certainly in the queue", view(engines(moving(engine.Rank{Running: value(1), WaitingCapacity: value(1)})),
			waiting("a", 31*s, unstreamed), decoding("b", 1*s)), "queue_saturated" + on1 + "[a]"},
	})
}

func TestHarmlessAndForeignWaits(t *testing.T) {
	creeping := moving(engine.Rank{Running: value(1), KVCache: value(0.30)}, still(40*s), before(func(r *engine.Rank) { r.KVCache = value(0.20) }))
	check(t, []viewRow{
		{"a lone long prompt: no counter moves but the cache fills", view(engines(creeping), waiting("a", 31*s)), "long_prefill" + on1 + "[a]"},
		{"the same, not streamed", view(engines(creeping), waiting("a", 31*s, unstreamed)), "long_prefill" + on1 + "[a]"},
		{"the same before the cache's size was told", view(engines(func() engine.Status {
			e := creeping
			e.Snapshot = &engine.Snapshot{Taken: creeping.Snapshot.Taken, Ranks: creeping.Snapshot.Ranks}
			return e
		}()), waiting("a", 31*s)), "long_prefill" + on1 + "[a]"},
		{"a long prompt beside streams that go on slowly", view(engines(moving(engine.Rank{KVCache: value(0.6)}, before(func(r *engine.Rank) {
			r.KVCache, r.GenerationTokens = value(0.1), value(4990)
		}))), waiting("a", 31*s)), "long_prefill" + on1 + "[a]"},
		{"a cache that grows by what is generated", view(engines(moving(engine.Rank{KVCache: value(0.42)}, before(func(r *engine.Rank) { r.KVCache = value(0.4) }))), waiting("a", 31*s)), "request_starved" + on1 + "[a]"},
		{"a grammar that is compiled while nothing runs", view(engines(moving(engine.Rank{Running: value(0), WaitingDeferred: value(1)}, still(40*s))), waiting("a", 31*s)), "grammar_compile_wait" + on1 + "[a]"},
		{"a grammar that is compiled beside others", view(engines(moving(engine.Rank{WaitingDeferred: value(1)})), waiting("a", 31*s), decoding("b", s)), "grammar_compile_wait" + on1 + "[a]"},
		{"keys and values that do not come", view(engines(moving(engine.Rank{Running: value(0), WaitingDeferred: value(2), RemoteKVFailures: value(0)}, still(40*s))),
			waiting("a", 31*s), waiting("b", 33*s)), "remote_kv_wait" + on1 + "[a b]"},
		{"transfers that fail, with nobody stalled", view(engines(moving(engine.Rank{WaitingDeferred: value(2), RemoteKVFailures: value(3)}, before(func(r *engine.Rank) { r.RemoteKVFailures = value(1) })))), "remote_kv_wait" + on1},
		{"a front end without CPU time: the scheduler knows fewer than we have in flight", view(engines(moving(engine.Rank{Running: value(1)}, func(e *engine.Status) { e.Slow = true })),
			waiting("a", 31*s), decoding("b", s)), "frontend_starved" + on1 + "[a]"},
		{"the same with an idle engine", view(engines(moving(engine.Rank{Running: value(0)}, still(time.Hour), func(e *engine.Status) { e.Slow = true })), waiting("a", 31*s)), "frontend_starved" + on1 + "[a]"},
		{"a slow front end that has handed everything on", view(engines(moving(engine.Rank{}, func(e *engine.Status) { e.Slow = true })), decoding("a", s)), "frontend_starved" + on1},
		{"a caller who does not read", view(engines(busy()), decoding("a", 40*s, blockedFor(40*s))), "slow_client" + on1 + "[a]"},
		{
			"a caller who does not read, beside an engine that has died", view(engines(gone(true, 40*s, "connection_refused")), decoding("a", 40*s, blockedFor(40*s)), decoding("b", 40*s)),
			"slow_client" + on1 + "[a] engine_dead" + on1 + "[b]",
		},
		{"a write that has been blocked for less than the threshold", view(engines(busy()), decoding("a", 40*s, blockedFor(10*s))), ""},
		{"an engine that goes on for others", view(engines(busy()), decoding("a", 31*s), decoding("b", s)), "request_starved" + on1 + "[a]"},
		{"an answer that is not streamed beside an engine that goes on", view(engines(busy()), waiting("a", 299*s, unstreamed)), ""},
		{"the same after ten times the threshold", view(engines(busy()), waiting("a", 300*s, unstreamed)), "request_starved" + on1 + "[a]"},
		{"nothing is known of any engine", view(nil, decoding("a", 31*s), waiting("b", 31*s, unstreamed)), "no_progress[a]"},
		{"nothing is wrong", view(engines(busy()), decoding("a", 29*s), waiting("b", 29*s)), ""},
	})
}

func TestSeveralEngines(t *testing.T) {
	check(t, []viewRow{
		{"one of two is wedged", view(engines(wedged(), moving(engine.Rank{}, address2)), decoding("a", 31*s), decoding("b", s, on(second))), "engine_wedged" + on1 + "[a]"},
		{
			"two with a cause each", view(engines(gone(true, 40*s, "connection_refused"), moving(engine.Rank{}, still(40*s), address2)), decoding("a", 31*s), decoding("b", 31*s, on(second))),
			"engine_dead" + on1 + "[a] engine_wedged" + on2 + "[b]",
		},
		{"a request of which the engine is not known, beside one that is dead", view(engines(gone(true, 40*s, "connection_refused"), moving(engine.Rank{}, address2)), decoding("a", 31*s, on("vllm:8000"))), "engine_dead" + on1 + "[a]"},
		{"the same beside two that are well", view(engines(busy(), moving(engine.Rank{}, address2)), decoding("a", 31*s, on("vllm:8000"))), "no_progress[a]"},
		{"with one engine its other name does not matter", view(engines(wedged()), decoding("a", 31*s, on("vllm:8000"))), "engine_wedged" + on1 + "[a]"},
	})
}

func TestForgottenReadingsStaySilent(t *testing.T) {
	v := view(engines(busy()), decoding("a", 40*s), waiting("b", 31*s, unstreamed))
	v.StallAfter = 0
	if got := outline(Diagnose(v)); got != "request_starved"+on1+"[a]" {
		t.Errorf("a threshold of zero: got %q, want the default of 30 s", got)
	}
	if got := Diagnose(View{}); len(got) != 0 {
		t.Errorf("the zero view: got %q, want nothing", outline(got))
	}
	ended := decoding("a", 40*s)
	ended.Ended = true
	if got := Diagnose(view(engines(wedged()), ended)); len(got) != 0 {
		t.Errorf("a request that has ended: got %q, want nothing", outline(got))
	}
}

func TestEvidenceHasSecondsThatCanBeRead(t *testing.T) {
	for d, want := range map[time.Duration]string{
		4512 * time.Millisecond:   "4.512",
		1797*time.Millisecond + 1: "1.797",
		30 * time.Second:          "30",
		-time.Microsecond:         "0",
	} {
		if got := fmt.Sprint(seconds(d)); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}
