package gpus

import (
	"math"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/otelvllm/health"
)

const mib = 1 << 20

// Health returns the GPUs, and the parts that they are divided into, as the health document has them,
// for [health.Source.GPUs]: nil where the driver cannot be asked, empty where it has no GPU.
func (v *View) Health() []health.GPUStats { return stats(v.monitor.Latest()) }

func stats(s gpumetrics.Snapshot) []health.GPUStats {
	if len(s.Devices) == 0 && s.State != gpumetrics.DriverNoDevices {
		return nil
	}
	list := make([]health.GPUStats, 0, len(s.Devices))
	for i := range s.Devices {
		list = append(list, stat(&s.Devices[i]))
	}
	return list
}

func stat(d *gpumetrics.DeviceSnapshot) health.GPUStats {
	g := health.GPUStats{
		ID: name(&d.Info), UUID: told(d.Info.ID), Name: told(d.Info.Model), State: told(state(d)),
		MemoryUsedMB: scaled(d, gpumetrics.MemoryUsed, 1.0/mib), MemoryTotalMB: scaled(d, gpumetrics.MemoryTotal, 1.0/mib),
		Utilization: scaled(d, gpumetrics.UtilizationGeneral, 100), Temperature: scaled(d, gpumetrics.TemperatureGPU, 1),
		Power: scaled(d, gpumetrics.Power, 1), PowerLimit: scaled(d, gpumetrics.PowerLimitEnforced, 1),
	}
	if g.MemoryUsedMB != nil && g.MemoryTotalMB != nil && *g.MemoryTotalMB > 0 {
		g.MemoryPercent = rounded(*g.MemoryUsedMB / *g.MemoryTotalMB * 100)
	}
	if _, ok := d.Value(gpumetrics.ClockEventHWThermal); ok {
		on := throttled(d)
		g.Throttled = &on
	}
	if d.Info.Parent == "" {
		xid := d.LastXID
		g.XID = &xid
	}
	return g
}

// state says in a word how a device is; empty if nothing is known yet.
func state(d *gpumetrics.DeviceSnapshot) string {
	switch {
	case d.Lost:
		return "lost"
	case d.Wedged:
		return "wedged"
	}
	return string(d.Status)
}

// scaled returns a reading times a factor, rounded to a tenth; nil if it is not known.
func scaled(d *gpumetrics.DeviceSnapshot, r gpumetrics.Reading, factor float64) *float64 {
	v, ok := d.Value(r)
	if !ok {
		return nil
	}
	return rounded(v * factor)
}

func rounded(v float64) *float64 {
	v = math.Round(v*10) / 10
	return &v
}

func told(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
