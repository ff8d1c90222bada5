package watchdog

import (
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
)

// gpu is a card at work.
func gpu(id string, utilization, power float64, change ...func(*GPU)) GPU {
	g := GPU{ID: id, Utilization: value(utilization), PowerRatio: value(power), MemoryRatio: value(0.92)}
	for _, c := range change {
		c(&g)
	}
	return g
}

func withGPUs(v View, gpus ...GPU) View {
	v.GPUs = gpus
	return v
}

func TestGPUs(t *testing.T) {
	lost := gpu("3", 0, 0, func(g *GPU) { g.Lost = true })
	stuck := view(engines(wedged()), decoding("a", 31*s))
	local := wedged()
	local.Address = "127.0.0.1:8000"
	check(t, []viewRow{
		{"a lost GPU is why the engine stands still", withGPUs(stuck, lost), "gpu_lost" + on1 + "[a]"},
		{"a lost GPU is why the engine died", withGPUs(view(engines(gone(true, 40*s, "connection_refused")), decoding("a", 31*s)), lost), "gpu_lost" + on1 + "[a]"},
		{"a lost GPU that the engine does not use", withGPUs(view(engines(busy()), decoding("a", 31*s)), lost), "gpu_lost request_starved" + on1 + "[a]"},
		{"a fatal XID with nobody stalled", withGPUs(view(nil), gpu("0", 0, 0.1, func(g *GPU) { g.XID = 79 })), "gpu_lost"},
		{"an XID that ends a process, beside an engine that died", withGPUs(view(engines(gone(true, 40*s, "connection_refused"))), gpu("0", 0, 0.1, func(g *GPU) { g.XID = 31 })), "gpu_lost"},
		{"the same beside an engine that is well", withGPUs(view(engines(busy())), gpu("0", 0.9, 0.8, func(g *GPU) { g.XID = 31 })), ""},
		{"an XID to ignore", withGPUs(stuck, gpu("0", 0, 0.1, func(g *GPU) { g.XID = 43 })), "engine_wedged" + on1 + "[a]"},
		{"full memory", withGPUs(view(engines(busy())), gpu("0", 0.9, 0.8, func(g *GPU) { g.MemoryRatio = value(0.99) })), "gpu_memory_exhausted"},
		{"full memory beside an engine that is gone: another process holds it", withGPUs(view(engines(gone(true, 40*s, "connection_refused")), decoding("a", 31*s)),
			gpu("0", 0, 0.1, func(g *GPU) { g.MemoryRatio = value(0.99) })), "gpu_memory_exhausted" + on1 + "[a]"},
		{"the memory that vLLM takes by default", withGPUs(view(engines(busy())), gpu("0", 0.9, 0.8)), ""},
		{"a kernel that spins", withGPUs(stuck, gpu("0", 1, 0.15)), "gpu_stalled" + on1 + "[a]"},
		{"a spinning kernel's readings beside an engine that is well", withGPUs(view(engines(busy()), decoding("a", s)), gpu("0", 1, 0.15)), ""},
		{"an idle GPU beside frozen counters is a consequence", withGPUs(stuck, gpu("0", 0, 0.1)), "engine_wedged" + on1 + "[a]"},
		{"an idle GPU where there are no counters", withGPUs(view(engines(moving(engine.Rank{}, func(e *engine.Status) { e.Snapshot, e.Before = nil, nil })), decoding("a", 31*s)),
			gpu("0", 0.01, 0.1)), "gpu_stalled" + on1 + "[a]"},
		{"a rank that has left the collective", withGPUs(stuck, gpu("0", 1, 0.2), gpu("1", 0, 0.1), gpu("2", 1, 0.2)), "collective_skew" + on1 + "[a]"},
		{"the same beside an engine that is well: another program's GPU", withGPUs(view(engines(busy()), decoding("a", s)), gpu("0", 1, 0.6), gpu("1", 0, 0.1)), ""},
		{"a GPU that works hard while no counter moves: a long step", withGPUs(stuck, gpu("0", 1, 0.8)), "long_prefill" + on1 + "[a]"},
		{"the same for too long", withGPUs(view(engines(moving(engine.Rank{}, still(400*s))), decoding("a", 301*s)), gpu("0", 1, 0.8)), "engine_wedged" + on1 + "[a]"},
		{"a throttled GPU", withGPUs(view(engines(busy())), gpu("0", 0.9, 0.5, func(g *GPU) { g.Throttled = true })), "gpu_throttled"},
		{"a lost GPU says all about itself", withGPUs(view(nil), gpu("0", 0.9, 0.5, func(g *GPU) { g.Throttled, g.Lost = true, true })), "gpu_lost"},
		{"of several engines only one on this host has these GPUs", withGPUs(view(engines(wedged(), moving(engine.Rank{}, address2)), decoding("a", 31*s)), lost), "gpu_lost engine_wedged" + on1 + "[a]"},
		{"the one on this host", withGPUs(view(engines(local, moving(engine.Rank{}, address2)), decoding("a", 31*s, on("127.0.0.1:8000"))), lost), "gpu_lost@127.0.0.1:8000[a]"},
		{"nothing is known of any engine", withGPUs(view(nil, decoding("a", 31*s)), lost), "gpu_lost[a]"},
	})
}

// TestAnErrorThatEndsAProgramAsksForNoReset compares what is said of errors by what NVIDIA's catalogue says to do.
func TestAnErrorThatEndsAProgramAsksForNoReset(t *testing.T) {
	dead := engines(gone(true, 40*s, "connection_refused"))
	for _, tt := range []struct {
		name, summary, remedy string
		change                func(*GPU)
	}{
		{"it ended the program", "GPU 0 reports XID 94, which ends the program", "start vLLM again", func(g *GPU) { g.XID = 94 }},
		{"the GPU is gone too", "GPU 0 is lost or reports a fatal error (XID 94)", "reset the GPU or reboot", func(g *GPU) { g.XID, g.Lost = 94, true }},
		{"the driver does not answer either", "GPU 0 is lost or reports a fatal error (XID 94)", "reset the GPU or reboot", func(g *GPU) { g.XID, g.Wedged = 94, true }},
		{"it asks for a reset", "GPU 0 is lost or reports a fatal error (XID 95)", "reset the GPU or reboot", func(g *GPU) { g.XID = 95 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := Diagnose(withGPUs(view(dead, decoding("a", 31*s)), gpu("0", 0, 0.1, tt.change)))
			if len(found) != 1 || !strings.Contains(found[0].Summary, tt.summary) || !strings.Contains(found[0].Remedy, tt.remedy) {
				t.Errorf("got %+v, want %q and %q", found, tt.summary, tt.remedy)
			}
		})
	}
}

func TestFrontEndUsesAllOfACore(t *testing.T) {
	v := view(engines(moving(engine.Rank{Running: value(0)}, still(time.Hour))), waiting("a", 31*s))
	v.Host.CPUBusy = value(0.99)
	check(t, []viewRow{{"a core at 99 % and nothing in the scheduler", v, "frontend_starved" + on1 + "[a]"}})
	v.Host.CPUBusy = value(0.5)
	check(t, []viewRow{{"a core at 50 %", v, "engine_wedged" + on1 + "[a]"}})
}
