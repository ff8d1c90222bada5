package nvml

// library is all that the source asks of NVML as a whole. go-nvml stands behind it, a fake in tests.
type library interface {
	// open loads the library and calls nvmlInit.
	open() ret
	// shutdown calls nvmlShutdown. It is called once for an open that succeeded.
	shutdown() ret
	number(c call) (numbers, ret)
	text(c call) (string, ret)
	gpu(index int) (handle, ret)
	newEvents() (events, ret)
	newGPM() (gpm, ret)
}

// handle is all that the source asks of one GPU or MIG instance. fields is called by one goroutine
// at a time; the others may be called beside it.
type handle interface {
	// number asks for what is told in numbers. arg is a clock's domain, a fan, a link or another
	// kind, as the call says.
	number(c call, arg int) (numbers, ret)
	text(c call) (string, ret)
	// fields asks for several numbers at once and puts the answers into the fields.
	fields(batch []field) ret
	instance(index int) (handle, ret)
	// processes appends the processes that the call lists.
	processes(c call, buf []process) ([]process, ret)
}

// numbers are the numbers that one call tells, in the order that the call's comment names.
type numbers [5]uint64

// field is one question of nvmlDeviceGetFieldValues and its answer.
type field struct {
	id, scope uint32
	ret       ret
	kind      valueKind
	bits      uint64 // the value as the driver wrote it
	// timestamp and latency are in microseconds.
	timestamp, latency int64
}

// valueKind is nvmlValueType_t.
type valueKind uint32

const (
	kindDouble valueKind = iota
	kindUint
	kindUlong
	kindUlonglong
	kindSlonglong
	kindInt
	kindUshort
)

// process is one entry of a list of processes.
type process struct {
	pid    uint32
	memory uint64
}

// events is an NVML event set.
type events interface {
	register(h handle, types uint64) ret
	// wait blocks at most so many milliseconds.
	wait(ms uint32) (event, ret)
	free() ret
}

// event is one event. is tells whether it is of the GPU h.
type event struct {
	types, data uint64
	is          func(h handle) bool
}

// gpm holds two of NVML's GPM samples, which only make sense as a pair: the older and the newer one.
type gpm interface {
	// take takes a new sample and makes the one before it the older one; where it fails, both stay.
	// instance is the number of a GPU instance, or negative for the whole GPU.
	take(h handle, instance int) ret
	// metrics fills in what happened between the two.
	metrics(m []gpmMetric) ret
	free() ret
}

// gpmMetric is one question of nvmlGpmMetricsGet and its answer.
type gpmMetric struct {
	id    uint32
	ret   ret
	value float64
}

// call names one function of NVML that this package may call.
type call uint8

// The calls. What the numbers of an answer are is said where there is more than one.
const (
	callInit call = iota
	callShutdown
	callDriverVersion
	callNVMLVersion
	callCUDAVersion
	callConfidential // 1 where confidential computing is on
	callCount
	callGPU
	callUUID
	callName
	callPCIBusID
	callSerial
	callVBIOS
	callGSPFirmware
	callNUMANode
	callArchitecture
	callComputeCapability // major, minor
	callECCMode           // current, pending
	callPersistence
	callFans
	callMIGMode // current, pending
	callMIGMax
	callMIGDevice
	callGPUInstance
	callComputeInstance
	callAttributes // GPU slices, compute slices, MiB of memory
	callFields
	callUtilization // GPU, memory controller
	callEncoder
	callDecoder
	callJPEG
	callOFA
	callMemoryV2        // total, used, free, reserved
	callMemory          // total, used with reserved, free
	callBAR1            // total, used
	callProtectedMemory // total, used
	callTemperature
	callMargin // a signed number
	callThreshold
	callPower
	callEnforcedLimit
	callEnergy
	callClock
	callMaxClock
	callPerformanceState
	callEventReasons
	callThrottleReasons
	callPCIeThroughput
	callPCIeGeneration
	callPCIeWidth
	callPCIeMaxGeneration
	callPCIeMaxWidth
	callPCIeReplay
	callLinkState
	callFabric // state, health mask
	callFanSpeed
	callFanRPM
	callMemoryErrors // arg: see errorCounter
	callSRAMStatus   // 1 where the threshold was exceeded
	callRemappedRows // corrected, uncorrected, pending, failed
	callRowHistogram // max, high, partial, low, none
	callUnrepairable // 1 where memory cannot be repaired
	callComputeList  // processes
	callMPSList      // processes under MPS
	callEventTypes   // the bits of the events the GPU can tell
	callEventCreate
	callEventRegister
	callEventWait
	callEventFree
	callGPMSupport // 1 where supported
	callGPMAlloc
	callGPMFree
	callGPMTake
	callGPMTakeMIG
	callGPMMetrics

	numCalls
)
