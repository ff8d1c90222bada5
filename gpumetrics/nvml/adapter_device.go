//go:build linux && cgo && (amd64 || arm64) && !nonvml

package nvml

import "github.com/NVIDIA/go-nvml/pkg/nvml"

// asker asks a GPU for the numbers of one call.
type asker = func(d nvml.Device, arg int) (numbers, nvml.Return)

var deviceNumbers = [numCalls]asker{
	callNUMANode:     func(d nvml.Device, _ int) (numbers, nvml.Return) { v, r := d.GetNumaNodeId(); return one(v), r },
	callArchitecture: func(d nvml.Device, _ int) (numbers, nvml.Return) { v, r := d.GetArchitecture(); return one(v), r },
	callComputeCapability: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		major, minor, r := d.GetCudaComputeCapability()
		return numbers{uint64(major), uint64(minor)}, r
	},
	callECCMode: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		current, pending, r := d.GetEccMode()
		return numbers{uint64(current), uint64(pending)}, r
	},
	callPersistence: func(d nvml.Device, _ int) (numbers, nvml.Return) { v, r := d.GetPersistenceMode(); return one(v), r },
	callFans:        func(d nvml.Device, _ int) (numbers, nvml.Return) { v, r := d.GetNumFans(); return one(v), r },
	callMIGMode: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		current, pending, r := d.GetMigMode()
		return numbers{uint64(current), uint64(pending)}, r
	},
	callMIGMax:          func(d nvml.Device, _ int) (numbers, nvml.Return) { v, r := d.GetMaxMigDeviceCount(); return one(v), r },
	callGPUInstance:     func(d nvml.Device, _ int) (numbers, nvml.Return) { v, r := d.GetGpuInstanceId(); return one(v), r },
	callComputeInstance: func(d nvml.Device, _ int) (numbers, nvml.Return) { v, r := d.GetComputeInstanceId(); return one(v), r },
	callAttributes: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		a, r := d.GetAttributes()
		return numbers{uint64(a.GpuInstanceSliceCount), uint64(a.ComputeInstanceSliceCount), a.MemorySizeMB}, r
	},
	callUtilization: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		u, r := d.GetUtilizationRates()
		return numbers{uint64(u.Gpu), uint64(u.Memory)}, r
	},
	callEncoder: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		v, _, r := d.GetEncoderUtilization()
		return one(v), r
	},
	callDecoder: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		v, _, r := d.GetDecoderUtilization()
		return one(v), r
	},
	callJPEG: func(d nvml.Device, _ int) (numbers, nvml.Return) { v, _, r := d.GetJpgUtilization(); return one(v), r },
	callOFA:  func(d nvml.Device, _ int) (numbers, nvml.Return) { v, _, r := d.GetOfaUtilization(); return one(v), r },
	callMemoryV2: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		m, r := d.GetMemoryInfo_v2()
		return numbers{m.Total, m.Used, m.Free, m.Reserved}, r
	},
	callMemory: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		m, r := d.GetMemoryInfo()
		return numbers{m.Total, m.Used, m.Free}, r
	},
	callBAR1: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		m, r := d.GetBAR1MemoryInfo()
		return numbers{m.Bar1Total, m.Bar1Used}, r
	},
	callProtectedMemory: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		m, r := d.GetConfComputeProtectedMemoryUsage()
		return numbers{m.Total, m.Used}, r
	},
	callTemperature: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		v, r := d.GetTemperature(nvml.TEMPERATURE_GPU)
		return one(v), r
	},
	callMargin: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		v, r := d.GetMarginTemperature()
		return one(v.MarginTemperature), r
	},
	callThreshold: func(d nvml.Device, kind int) (numbers, nvml.Return) {
		v, r := d.GetTemperatureThreshold(nvml.TemperatureThresholds(kind))
		return one(v), r
	},
	callEnforcedLimit: func(d nvml.Device, _ int) (numbers, nvml.Return) { v, r := d.GetEnforcedPowerLimit(); return one(v), r },
	callPower:         func(d nvml.Device, _ int) (numbers, nvml.Return) { v, r := d.GetPowerUsage(); return one(v), r },
	callEnergy: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		v, r := d.GetTotalEnergyConsumption()
		return one(v), r
	},
	callClock: func(d nvml.Device, domain int) (numbers, nvml.Return) {
		v, r := d.GetClockInfo(nvml.ClockType(domain))
		return one(v), r
	},
	callMaxClock: func(d nvml.Device, domain int) (numbers, nvml.Return) {
		v, r := d.GetMaxClockInfo(nvml.ClockType(domain))
		return one(v), r
	},
	callPerformanceState: func(d nvml.Device, _ int) (numbers, nvml.Return) { v, r := d.GetPerformanceState(); return one(v), r },
	callEventReasons: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		v, r := d.GetCurrentClocksEventReasons()
		return one(v), r
	},
	callThrottleReasons: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		v, r := d.GetCurrentClocksThrottleReasons()
		return one(v), r
	},
	callPCIeThroughput: func(d nvml.Device, direction int) (numbers, nvml.Return) {
		v, r := d.GetPcieThroughput(nvml.PcieUtilCounter(direction))
		return one(v), r
	},
	callPCIeGeneration: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		v, r := d.GetCurrPcieLinkGeneration()
		return one(v), r
	},
	callPCIeWidth: func(d nvml.Device, _ int) (numbers, nvml.Return) { v, r := d.GetCurrPcieLinkWidth(); return one(v), r },
	callPCIeMaxGeneration: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		v, r := d.GetMaxPcieLinkGeneration()
		return one(v), r
	},
	callPCIeMaxWidth: func(d nvml.Device, _ int) (numbers, nvml.Return) { v, r := d.GetMaxPcieLinkWidth(); return one(v), r },
	callPCIeReplay: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		v, r := d.GetPcieReplayCounter()
		return numbers{uint64(uint32(v))}, r
	},
	callLinkState: func(d nvml.Device, link int) (numbers, nvml.Return) { v, r := d.GetNvLinkState(link); return one(v), r },
	callFabric: func(d nvml.Device, version int) (numbers, nvml.Return) {
		if version == 2 {
			f, r := d.GetGpuFabricInfoV().V2()
			return numbers{uint64(f.State), uint64(f.HealthMask), uint64(f.Status)}, r
		}
		f, r := d.GetGpuFabricInfoV().V3()
		return numbers{uint64(f.State), uint64(f.HealthMask), uint64(f.Status)}, r
	},
	callFanSpeed: func(d nvml.Device, fan int) (numbers, nvml.Return) { v, r := d.GetFanSpeed_v2(fan); return one(v), r },
	callFanRPM:   func(d nvml.Device, _ int) (numbers, nvml.Return) { v, r := d.GetFanSpeedRPM(); return one(v.Speed), r },
	callMemoryErrors: func(d nvml.Device, kind int) (numbers, nvml.Return) {
		v, r := d.GetMemoryErrorCounter(nvml.MemoryErrorType(kind&1), nvml.VOLATILE_ECC, nvml.MemoryLocation(kind>>1))
		return one(v), r
	},
	callSRAMStatus: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		s, r := d.GetSramEccErrorStatus()
		return state(s.BThresholdExceeded != 0), r
	},
	callRemappedRows: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		cor, unc, pending, failed, r := d.GetRemappedRows()
		return numbers{uint64(cor), uint64(unc), state(pending)[0], state(failed)[0]}, r
	},
	callRowHistogram: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		h, r := d.GetRowRemapperHistogram()
		return numbers{uint64(h.Max), uint64(h.High), uint64(h.Partial), uint64(h.Low), uint64(h.None)}, r
	},
	callUnrepairable: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		s, r := d.GetUnrepairableMemoryFlag_v1()
		return state(s.BUnrepairableMemory != 0), r
	},
	callEventTypes: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		v, r := d.GetSupportedEventTypes()
		return one(v), r
	},
	callGPMSupport: func(d nvml.Device, _ int) (numbers, nvml.Return) {
		s, r := d.GpmQueryDeviceSupport()
		return one(s.IsSupportedDevice), r
	},
}
