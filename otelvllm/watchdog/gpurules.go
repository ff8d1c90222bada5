package watchdog

import (
	"slices"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
)

// What the rules make of a GPU's readings.
const (
	busyGPU    = 0.90 // utilization: a kernel runs nearly all the time
	idleGPU    = 0.05
	skewedGPU  = 0.30 // beside a busy one
	idlePower  = 0.30 // of the limit: cards idle at 10 to 20 %
	spinPower  = 0.15 // of what is between idle and the limit: a kernel that only spins draws less
	workPower  = 0.50 // real work draws more
	fullMemory = 0.98 // vLLM takes 92 % unless told otherwise
)

// XIDs by what NVIDIA's catalogue says to do about them.
var (
	// fatalXIDs ask for a reset of the GPU or a restart of the machine.
	fatalXIDs = []int{46, 48, 62, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 143, 145, 155, 156, 158}
	// processXIDs end the process that ran on the GPU.
	processXIDs = []int{13, 31, 45, 69, 80, 94}
)

// What an error that only ended a process says of itself, and what to do about it.
const (
	endedProgram = "the driver of GPU {gpu} reports XID {xid}, which ends the program that runs there, and the engine is gone or stands still"
	startAgain   = "start vLLM again: the error has ended the program and not the GPU; read dmesg for \"NVRM: Xid\"; if it comes back, run once with CUDA_LAUNCH_BLOCKING=1 " +
		"and --enforce-eager to name the kernel; XID 94 is a memory error that was contained: drain this host and reset the GPU when it suits"
)

// gpuLost looks at the driver's own reports. An error that only ends a process counts where the
// engine has ended or hangs: it says why.
func gpuLost(x *look) *sign {
	for i := range x.view.GPUs {
		g := &x.view.GPUs[i]
		if !g.Lost && !slices.Contains(fatalXIDs, g.XID) && (!slices.Contains(processXIDs, g.XID) && !g.Wedged || !x.localTrouble()) {
			continue
		}
		s := &sign{evidence: map[string]any{"gpu": g.ID, "xid": g.XID, "lost": g.Lost, "wedged": g.Wedged}}
		switch {
		case !g.Lost && !g.Wedged && slices.Contains(processXIDs, g.XID):
			s.summary, s.remedy = endedProgram, startAgain
		case g.XID != 0:
		case g.Lost:
			s.summary = "the driver has lost GPU {gpu}; what runs on it cannot go on"
		default:
			s.summary = "the driver does not answer for GPU {gpu}, and the engine stands still"
		}
		return s
	}
	return nil
}

func gpuMemory(x *look) *sign {
	for i := range x.view.GPUs {
		if g := &x.view.GPUs[i]; g.MemoryRatio.Known && g.MemoryRatio.V >= fullMemory {
			return &sign{evidence: map[string]any{"gpu": g.ID, "memory_percent": percent(g.MemoryRatio)}}
		}
	}
	return nil
}

func gpuThrottled(x *look) *sign {
	for i := range x.view.GPUs {
		if g := &x.view.GPUs[i]; g.Throttled {
			evidence := map[string]any{"gpu": g.ID}
			addRatio(evidence, "utilization_percent", g.Utilization)
			addRatio(evidence, "power_percent", g.PowerRatio)
			return &sign{evidence: evidence}
		}
	}
	return nil
}

// collectiveSkew looks for one rank that has left a collective: the others spin in it. GPUs that become idle one after
// another look like that for as long as some have not been read again.
func collectiveSkew(x *look) *sign {
	if !x.hangs() {
		return nil
	}
	var busy, idle *GPU
	for i := range x.view.GPUs {
		g := &x.view.GPUs[i]
		if !g.Utilization.Known {
			continue
		}
		if busy == nil || g.Utilization.V > busy.Utilization.V {
			busy = g
		}
		if idle == nil || g.Utilization.V < idle.Utilization.V {
			idle = g
		}
	}
	if busy == nil || busy.Utilization.V < busyGPU || idle.Utilization.V > skewedGPU {
		return nil
	}
	return &sign{read: earlier(busy.Read, idle.Read), evidence: map[string]any{
		"busy_gpu": busy.ID, "busy_percent": percent(busy.Utilization), "idle_gpu": idle.ID, "idle_percent": percent(idle.Utilization),
	}}
}

// gpuStalled looks for a kernel that spins: once more, since the power of a GPU that has just become idle falls before its
// utilization, which is a mean. A GPU that is idle beside an engine whose counters stand still is a consequence; where
// there are no counters, it is all that shows it.
func gpuStalled(x *look) *sign {
	if x.hangs() {
		for i := range x.view.GPUs {
			g := &x.view.GPUs[i]
			if g.Utilization.Known && g.Utilization.V >= busyGPU && g.drawsLittle() {
				return &sign{read: g.Read, evidence: stalledGPU(g)}
			}
		}
	}
	if len(x.view.GPUs) == 0 || !x.blind() {
		return nil
	}
	for i := range x.view.GPUs {
		if u := x.view.GPUs[i].Utilization; !u.Known || u.V > idleGPU {
			return nil
		}
	}
	return &sign{
		weak: true, evidence: stalledGPU(&x.view.GPUs[0]),
		summary: "GPU {gpu} is idle although requests wait, and the engine gives no counters that would say why",
	}
}

// drawsLittle tells that the power is near what the card draws when idle. A card that was never seen
// idle has no such power to compare with.
func (g *GPU) drawsLittle() bool {
	limit := idlePower
	if idle := g.IdlePowerRatio; idle.Known && idle.V > 0 && idle.V < idlePower {
		limit = idle.V + spinPower*(1-idle.V)
	}
	return g.PowerRatio.Known && g.PowerRatio.V <= limit
}

func stalledGPU(g *GPU) map[string]any {
	evidence := map[string]any{"gpu": g.ID, "power_percent": nil}
	addRatio(evidence, "utilization_percent", g.Utilization)
	addRatio(evidence, "power_percent", g.PowerRatio)
	return evidence
}

// hangs tells that the engine on this host stands still. With several engines here the readings do
// not tell which GPU is whose.
func (x *look) hangs() bool {
	e := x.onlyLocal()
	return e != nil && e.still() && !e.deferredOnly() && !e.prefills() && !e.paused()
}

// blind tells that requests are silent and no counters tell what the engine does.
func (x *look) blind() bool {
	if len(x.engines) == 0 {
		return len(x.due) > 0
	}
	e := x.onlyLocal()
	return e != nil && e.Snapshot == nil && e.State == engine.Up && e.due > 0
}

// localTrouble tells that an engine on this host serves nobody, or that nothing is known of any
// while requests are silent.
func (x *look) localTrouble() bool {
	for _, e := range x.engines {
		if e.local && (e.still() || e.State == engine.Down) {
			return true
		}
	}
	return len(x.engines) == 0 && len(x.due) > 0
}

// computing tells that the engine's GPUs work hard although no counter moves: a long step. That is
// believed for ten times the threshold; a kernel can spin at full power too.
func (x *look) computing(e *reading) bool {
	if !e.still() || len(x.view.GPUs) == 0 || x.onlyLocal() != e || x.view.Now.Sub(e.oldestDue(x)) >= unstreamedFactor*x.after {
		return false
	}
	for i := range x.view.GPUs {
		g := &x.view.GPUs[i]
		if !g.Utilization.Known || g.Utilization.V < busyGPU || !g.PowerRatio.Known || g.PowerRatio.V < workPower {
			return false
		}
	}
	return true
}

func (x *look) onlyLocal() *reading {
	var only *reading
	for _, e := range x.engines {
		if !e.local {
			continue
		}
		if only != nil {
			return nil
		}
		only = e
	}
	return only
}

func addRatio(m map[string]any, name string, v engine.Value) {
	if v.Known {
		m[name] = percent(v)
	}
}
