package livepage

import (
	"math"
	"strings"

	"github.com/otelvllm/otelvllm-go/otelvllm/health"
)

// hostView is the table of GPUs and the lines about this host and the engine's processes.
type hostView struct {
	GPUs      []gpuView
	Processes []pair
	Lines     []pair
}

// gpuView is one GPU.
type gpuView struct {
	ID, Name, Busy, Memory, Temperature, Power, Note string
	Warn                                             bool
}

// hostOf shows what a health document tells of the machine.
func hostOf(stats *health.Stats) hostView {
	var v hostView
	for i := range stats.GPUs {
		v.GPUs = append(v.GPUs, gpuOf(&stats.GPUs[i]))
	}
	for _, p := range stats.EngineProcesses {
		text := mebibytes(orNaN(p.RAMMB))
		if p.Threads != nil {
			text += ", " + counted(int(*p.Threads), "thread")
		}
		v.Processes = append(v.Processes, pair{strings.TrimPrefix(p.Name, "VLLM::"), text})
	}
	ram := mebibytes(orNaN(stats.SystemRAMUsedMB)) + " of " + mebibytes(orNaN(stats.SystemRAMTotalMB))
	if stats.SystemRAMPercent != nil {
		ram += ", " + percent(*stats.SystemRAMPercent)
	}
	v.Lines = []pair{
		{"host memory", ram},
		{"this process", mebibytes(orNaN(stats.ProcessRAMMB)) + ", " + number(countOrNaN(stats.ActiveThreads)) + " threads, " +
			number(float64(stats.Goroutines)) + " goroutines"},
	}
	return v
}

func gpuOf(g *health.GPUStats) gpuView {
	v := gpuView{ID: g.ID, Busy: percent(orNaN(g.Utilization)), Memory: percent(orNaN(g.MemoryPercent)), Temperature: unknown, Power: unknown}
	if g.Name != nil {
		v.Name = *g.Name
	}
	if g.MemoryUsedMB != nil && g.MemoryTotalMB != nil {
		v.Memory = number(math.Round(*g.MemoryUsedMB/1024)) + " of " + number(math.Round(*g.MemoryTotalMB/1024)) + space + "GiB"
	}
	if t := orNaN(g.Temperature); !math.IsNaN(t) {
		v.Temperature = number(math.Round(t)) + space + "°C"
	}
	if w := orNaN(g.Power); !math.IsNaN(w) {
		v.Power = number(math.Round(w))
		if limit := orNaN(g.PowerLimit); !math.IsNaN(limit) {
			v.Power += " of " + number(math.Round(limit))
		}
		v.Power += space + "W"
	}
	var notes []string
	throttled := g.Throttled != nil && *g.Throttled
	if g.State != nil && *g.State != "ok" && (*g.State != "degraded" || !throttled) { // else that is why it is degraded
		notes = append(notes, strings.ReplaceAll(*g.State, "_", " "))
	}
	if throttled {
		notes = append(notes, "throttled")
	}
	if g.XID != nil && *g.XID != 0 {
		notes = append(notes, "XID "+number(float64(*g.XID)))
	}
	v.Note, v.Warn = strings.Join(notes, ", "), len(notes) > 0
	return v
}
