//go:build linux && cgo && (amd64 || arm64) && !nonvml

package nvml

import "github.com/NVIDIA/go-nvml/pkg/nvml"

// symbols names the C functions of each call, one of which must be in the library: the wrapper of
// go-nvml uses the newest.
var symbols = [numCalls][]string{
	callInit:              {"nvmlInit_v2"},
	callShutdown:          {"nvmlShutdown"},
	callDriverVersion:     {"nvmlSystemGetDriverVersion"},
	callNVMLVersion:       {"nvmlSystemGetNVMLVersion"},
	callCUDAVersion:       {"nvmlSystemGetCudaDriverVersion_v2"},
	callConfidential:      {"nvmlSystemGetConfComputeState"},
	callCount:             {"nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"},
	callGPU:               {"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex"},
	callUUID:              {"nvmlDeviceGetUUID"},
	callName:              {"nvmlDeviceGetName"},
	callPCIBusID:          {"nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetPciInfo_v2", "nvmlDeviceGetPciInfo"},
	callSerial:            {"nvmlDeviceGetSerial"},
	callVBIOS:             {"nvmlDeviceGetVbiosVersion"},
	callGSPFirmware:       {"nvmlDeviceGetGspFirmwareVersion"},
	callNUMANode:          {"nvmlDeviceGetNumaNodeId"},
	callArchitecture:      {"nvmlDeviceGetArchitecture"},
	callComputeCapability: {"nvmlDeviceGetCudaComputeCapability"},
	callECCMode:           {"nvmlDeviceGetEccMode"},
	callPersistence:       {"nvmlDeviceGetPersistenceMode"},
	callFans:              {"nvmlDeviceGetNumFans"},
	callMIGMode:           {"nvmlDeviceGetMigMode"},
	callMIGMax:            {"nvmlDeviceGetMaxMigDeviceCount"},
	callMIGDevice:         {"nvmlDeviceGetMigDeviceHandleByIndex"},
	callGPUInstance:       {"nvmlDeviceGetGpuInstanceId"},
	callComputeInstance:   {"nvmlDeviceGetComputeInstanceId"},
	callAttributes:        {"nvmlDeviceGetAttributes_v2", "nvmlDeviceGetAttributes"},
	callFields:            {"nvmlDeviceGetFieldValues"},
	callUtilization:       {"nvmlDeviceGetUtilizationRates"},
	callEncoder:           {"nvmlDeviceGetEncoderUtilization"},
	callDecoder:           {"nvmlDeviceGetDecoderUtilization"},
	callJPEG:              {"nvmlDeviceGetJpgUtilization"},
	callOFA:               {"nvmlDeviceGetOfaUtilization"},
	callMemoryV2:          {"nvmlDeviceGetMemoryInfo_v2"},
	callMemory:            {"nvmlDeviceGetMemoryInfo"},
	callBAR1:              {"nvmlDeviceGetBAR1MemoryInfo"},
	callProtectedMemory:   {"nvmlDeviceGetConfComputeProtectedMemoryUsage"},
	callTemperature:       {"nvmlDeviceGetTemperature"},
	callMargin:            {"nvmlDeviceGetMarginTemperature"},
	callThreshold:         {"nvmlDeviceGetTemperatureThreshold"},
	callPower:             {"nvmlDeviceGetPowerUsage"},
	callEnforcedLimit:     {"nvmlDeviceGetEnforcedPowerLimit"},
	callEnergy:            {"nvmlDeviceGetTotalEnergyConsumption"},
	callClock:             {"nvmlDeviceGetClockInfo"},
	callMaxClock:          {"nvmlDeviceGetMaxClockInfo"},
	callPerformanceState:  {"nvmlDeviceGetPerformanceState"},
	callEventReasons:      {"nvmlDeviceGetCurrentClocksEventReasons"},
	callThrottleReasons:   {"nvmlDeviceGetCurrentClocksThrottleReasons"},
	callPCIeThroughput:    {"nvmlDeviceGetPcieThroughput"},
	callPCIeGeneration:    {"nvmlDeviceGetCurrPcieLinkGeneration"},
	callPCIeWidth:         {"nvmlDeviceGetCurrPcieLinkWidth"},
	callPCIeMaxGeneration: {"nvmlDeviceGetMaxPcieLinkGeneration"},
	callPCIeMaxWidth:      {"nvmlDeviceGetMaxPcieLinkWidth"},
	callPCIeReplay:        {"nvmlDeviceGetPcieReplayCounter"},
	callLinkState:         {"nvmlDeviceGetNvLinkState"},
	callFabric:            {"nvmlDeviceGetGpuFabricInfoV"},
	callFanSpeed:          {"nvmlDeviceGetFanSpeed_v2"},
	callFanRPM:            {"nvmlDeviceGetFanSpeedRPM"},
	callMemoryErrors:      {"nvmlDeviceGetMemoryErrorCounter"},
	callSRAMStatus:        {"nvmlDeviceGetSramEccErrorStatus"},
	callRemappedRows:      {"nvmlDeviceGetRemappedRows"},
	callRowHistogram:      {"nvmlDeviceGetRowRemapperHistogram"},
	callUnrepairable:      {"nvmlDeviceGetUnrepairableMemoryFlag_v1"},
	callComputeList: {
		"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2", "nvmlDeviceGetComputeRunningProcesses",
	},
	callMPSList: {
		"nvmlDeviceGetMPSComputeRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v2", "nvmlDeviceGetMPSComputeRunningProcesses",
	},
	callEventTypes:    {"nvmlDeviceGetSupportedEventTypes"},
	callEventCreate:   {"nvmlEventSetCreate"},
	callEventRegister: {"nvmlDeviceRegisterEvents"},
	callEventWait:     {"nvmlEventSetWait_v2", "nvmlEventSetWait"},
	callEventFree:     {"nvmlEventSetFree"},
	callGPMSupport:    {"nvmlGpmQueryDeviceSupport"},
	callGPMAlloc:      {"nvmlGpmSampleAlloc"},
	callGPMFree:       {"nvmlGpmSampleFree"},
	callGPMTake:       {"nvmlGpmSampleGet"},
	callGPMTakeMIG:    {"nvmlGpmMigSampleGet"},
	callGPMMetrics:    {"nvmlGpmMetricsGet"},
}

var libraryTexts = [numCalls]func(nvml.Interface) (string, nvml.Return){
	callDriverVersion: func(l nvml.Interface) (string, nvml.Return) { return l.SystemGetDriverVersion() },
	callNVMLVersion:   func(l nvml.Interface) (string, nvml.Return) { return l.SystemGetNVMLVersion() },
}

var libraryNumbers = [numCalls]func(nvml.Interface) (numbers, nvml.Return){
	callCUDAVersion: func(l nvml.Interface) (numbers, nvml.Return) {
		v, r := l.SystemGetCudaDriverVersion_v2()
		return one(v), r
	},
	callConfidential: func(l nvml.Interface) (numbers, nvml.Return) {
		s, r := l.SystemGetConfComputeState()
		return state(s.CcFeature != 0), r
	},
	callCount: func(l nvml.Interface) (numbers, nvml.Return) {
		n, r := l.DeviceGetCount()
		return one(n), r
	},
}

var deviceTexts = [numCalls]func(nvml.Device) (string, nvml.Return){
	callUUID:        func(d nvml.Device) (string, nvml.Return) { return d.GetUUID() },
	callName:        func(d nvml.Device) (string, nvml.Return) { return d.GetName() },
	callSerial:      func(d nvml.Device) (string, nvml.Return) { return d.GetSerial() },
	callVBIOS:       func(d nvml.Device) (string, nvml.Return) { return d.GetVbiosVersion() },
	callGSPFirmware: func(d nvml.Device) (string, nvml.Return) { return d.GetGspFirmwareVersion() },
	callPCIBusID: func(d nvml.Device) (string, nvml.Return) {
		pci, r := d.GetPciInfo()
		return busID(pci.Domain, pci.Bus, pci.Device), r
	},
}

var processLists = [numCalls]func(nvml.Device) ([]nvml.ProcessInfo, nvml.Return){
	callComputeList: func(d nvml.Device) ([]nvml.ProcessInfo, nvml.Return) { return d.GetComputeRunningProcesses() },
	callMPSList:     func(d nvml.Device) ([]nvml.ProcessInfo, nvml.Return) { return d.GetMPSComputeRunningProcesses() },
}

// one is an answer of one number.
func one[T ~int | ~int32 | ~uint32 | ~uint64](n T) numbers { return numbers{uint64(n)} }

func state(on bool) numbers {
	if on {
		return numbers{1}
	}
	return numbers{}
}
