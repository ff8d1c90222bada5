package gpus

import (
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// How long an error report matters.
const (
	// lasting is for one that ends a program: what hangs or died because of it does so soon.
	lasting = 10 * time.Minute
	// recovered is for how long after a fatal one a GPU must be seen at work before it counts as
	// reset: kernels that were running may still look busy.
	recovered = 2 * time.Minute
)

// Watchdog returns the GPUs as the watchdog's rules want them, for [watchdog.Watchdog.GPUs]. Parts of
// a divided GPU are left out: their work is the GPU's, and only the GPU tells its power.
func (v *View) Watchdog() []watchdog.GPU { return v.rules(v.monitor.Latest(), time.Now()) }

func (v *View) rules(s gpumetrics.Snapshot, now time.Time) []watchdog.GPU {
	list := make([]watchdog.GPU, 0, len(s.Devices))
	for i := range s.Devices {
		if d := &s.Devices[i]; d.Info.Parent == "" {
			list = append(list, v.rule(d, now))
		}
	}
	return list
}

func (v *View) rule(d *gpumetrics.DeviceSnapshot, now time.Time) watchdog.GPU {
	g := watchdog.GPU{
		ID: name(&d.Info), Lost: d.Lost, Wedged: d.Wedged, Throttled: throttled(d),
		Utilization: reading(d, gpumetrics.UtilizationGeneral), MemoryRatio: memoryRatio(d), Read: d.At,
	}
	limit := reading(d, gpumetrics.PowerLimitEnforced)
	g.PowerRatio = divided(reading(d, gpumetrics.Power), limit)
	g.IdlePowerRatio = divided(engine.Value{V: d.MinPower, Known: d.MinPower > 0}, limit)
	g.XID = v.matters(d, &g, now)
	return g
}

// matters returns the code of the last error that still matters, 0 if none does. A fatal one matters
// until the GPU is seen at work again.
func (v *View) matters(d *gpumetrics.DeviceSnapshot, g *watchdog.GPU, now time.Time) int {
	if xid, at := v.lastFatal(d.Info.ID); xid != 0 {
		works := d.Up && d.Status != gpumetrics.StatusFailed && g.Utilization.Known && g.Utilization.V > 0.05 &&
			g.PowerRatio.Known && g.PowerRatio.V > g.IdlePowerRatio.V+0.15
		if !works || now.Sub(at) < recovered {
			return xid
		}
	}
	if d.LastXID != 0 && !fatal(d.LastXID) && now.Sub(d.LastXIDAt) < lasting {
		return d.LastXID
	}
	return 0
}

// throttled tells that heat or the power supply holds the clock down. The power cap does so under any
// full load.
func throttled(d *gpumetrics.DeviceSnapshot) bool {
	for _, r := range [...]gpumetrics.Reading{
		gpumetrics.ClockEventHWThermal, gpumetrics.ClockEventSWThermal, gpumetrics.ClockEventPowerBrake, gpumetrics.ClockEventHWSlowdown,
	} {
		if on, ok := d.Value(r); ok && on == 1 {
			return true
		}
	}
	return false
}

// memoryRatio is the share that is used of what can be: the driver keeps some for itself.
func memoryRatio(d *gpumetrics.DeviceSnapshot) engine.Value {
	used, free := reading(d, gpumetrics.MemoryUsed), reading(d, gpumetrics.MemoryFree)
	if used.Known && free.Known {
		return divided(used, engine.Value{V: used.V + free.V, Known: true})
	}
	return divided(used, reading(d, gpumetrics.MemoryTotal))
}

func reading(d *gpumetrics.DeviceSnapshot, r gpumetrics.Reading) engine.Value {
	v, ok := d.Value(r)
	return engine.Value{V: v, Known: ok}
}

func divided(a, b engine.Value) engine.Value {
	if !a.Known || !b.Known || b.V <= 0 {
		return engine.Value{}
	}
	return engine.Value{V: a.V / b.V, Known: true}
}
