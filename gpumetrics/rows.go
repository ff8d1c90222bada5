package gpumetrics

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// row says what becomes of one reading. The table of rows is the single place where readings,
// metrics and driver calls meet: instruments, documentation and the golden file are made from it.
type row struct {
	reading Reading
	metric  string // empty for what only counts towards hw.status
	attrs   attrs
	tier    Tier
	check   check
	scale   float64 // what one unit of the driver's is in the instrument's unit; 0 means 1
	part    string  // "nvlink" for what is told of all links together
	feature feature
	call    string // where NVIDIA's library tells it
	absent  string // when it is absent
}

type attrs []attribute.KeyValue

// with makes attributes of keys and values that follow each other.
func with(kv ...string) attrs {
	var a attrs
	for i := 0; i+1 < len(kv); i += 2 {
		a = append(a, attribute.String(kv[i], kv[i+1]))
	}
	return a
}

// String writes attributes as "key=value,key=value".
func (a attrs) String() string {
	var b strings.Builder
	for i, kv := range a {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(kv.Key) + "=" + kv.Value.String())
	}
	return b.String()
}

// feature is an option that a reading needs.
type feature uint8

const (
	always feature = iota
	profiling
	throughput
)

// Attribute keys of the conventions for hardware, version 1.43.
const (
	keyTask      = "hw.gpu.task"
	keyType      = "hw.type"
	keySensor    = "hw.sensor_location"
	keyLimit     = "hw.limit_type"
	keyDirection = "network.io.direction"
	keyError     = "error.type"
)

// Attribute keys that no convention covers.
const (
	keyPipe      = "nvidia.gpu.tensor.pipe"
	keyPrecision = "nvidia.gpu.fp.precision"
	keyMemState  = "nvidia.gpu.memory.state"
	keyScope     = "nvidia.gpu.power.scope"
	keyLimitKind = "nvidia.gpu.power.limit.kind"
	keyDomain    = "nvidia.gpu.clock.domain"
	keyReason    = "nvidia.gpu.clock.event.reason"
)

// Where rows say why a reading is absent, in words that several use.
const (
	inMIG       = "in MIG mode; on a vGPU without a licence"
	beforeGPM   = "before Hopper; without WithProfiling"
	newDriver   = "with older drivers"
	withoutECC  = "without ECC memory"
	beforeAda   = "before Ada"
	onAdaOrLate = "from Ada on, except some GeForce"
)

// rows are all readings, in the order of [Reading].
func rows() []row {
	var all []row
	for _, part := range [][]row{
		utilizationRows, memoryRows, temperatureRows, powerRows, clockRows,
		pcieRows, linkRows, fabricRows, memoryErrorRows, repairRows, setupRows,
	} {
		all = append(all, part...)
	}
	return all
}

var utilizationRows = []row{
	{reading: UtilizationGeneral, metric: "hw.gpu.utilization", attrs: with(keyTask, "general"), tier: Fast, check: ratio, call: "nvmlDeviceGetUtilizationRates", absent: inMIG},
	{reading: UtilizationEncoder, metric: "hw.gpu.utilization", attrs: with(keyTask, "encoder"), tier: Slow, check: ratio, call: "nvmlDeviceGetEncoderUtilization", absent: inMIG},
	{reading: UtilizationDecoder, metric: "hw.gpu.utilization", attrs: with(keyTask, "decoder"), tier: Slow, check: ratio, call: "nvmlDeviceGetDecoderUtilization", absent: inMIG},
	{reading: UtilizationJPEG, metric: "hw.gpu.utilization", attrs: with(keyTask, "jpeg"), tier: Slow, check: ratio, call: "nvmlDeviceGetJpgUtilization", absent: "in MIG mode; " + newDriver},
	{reading: UtilizationOFA, metric: "hw.gpu.utilization", attrs: with(keyTask, "ofa"), tier: Slow, check: ratio, call: "nvmlDeviceGetOfaUtilization", absent: "in MIG mode; " + newDriver},
	{reading: MemoryControllerUtilization, metric: "nvidia.gpu.memory.controller.utilization", tier: Fast, check: ratio, call: "nvmlDeviceGetUtilizationRates", absent: inMIG},
	{reading: GraphicsUtilization, metric: "nvidia.gpu.graphics.utilization", tier: Fast, check: ratio, feature: profiling, call: "nvmlGpmMetricsGet 1", absent: beforeGPM},
	{reading: SMUtilization, metric: "nvidia.gpu.sm.utilization", tier: Fast, check: ratio, feature: profiling, call: "nvmlGpmMetricsGet 2", absent: beforeGPM},
	{reading: SMOccupancy, metric: "nvidia.gpu.sm.occupancy", tier: Fast, check: ratio, feature: profiling, call: "nvmlGpmMetricsGet 3", absent: beforeGPM},
	{reading: TensorUtilizationAny, metric: "nvidia.gpu.tensor.utilization", attrs: with(keyPipe, "any"), tier: Fast, check: ratio, feature: profiling, call: "nvmlGpmMetricsGet 5", absent: beforeGPM},
	{reading: TensorUtilizationHMMA, metric: "nvidia.gpu.tensor.utilization", attrs: with(keyPipe, "hmma"), tier: Fast, check: ratio, feature: profiling, call: "nvmlGpmMetricsGet 7", absent: beforeGPM},
	{reading: TensorUtilizationIMMA, metric: "nvidia.gpu.tensor.utilization", attrs: with(keyPipe, "imma"), tier: Fast, check: ratio, feature: profiling, call: "nvmlGpmMetricsGet 9", absent: beforeGPM},
	{reading: TensorUtilizationDFMA, metric: "nvidia.gpu.tensor.utilization", attrs: with(keyPipe, "dfma"), tier: Fast, check: ratio, feature: profiling, call: "nvmlGpmMetricsGet 6", absent: beforeGPM},
	{reading: DRAMBandwidthUtilization, metric: "nvidia.gpu.dram.bandwidth.utilization", tier: Fast, check: ratio, feature: profiling, call: "nvmlGpmMetricsGet 10", absent: beforeGPM},
	{reading: FPUtilizationFP16, metric: "nvidia.gpu.fp.utilization", attrs: with(keyPrecision, "fp16"), tier: Fast, check: ratio, feature: profiling, call: "nvmlGpmMetricsGet 13", absent: beforeGPM},
	{reading: FPUtilizationFP32, metric: "nvidia.gpu.fp.utilization", attrs: with(keyPrecision, "fp32"), tier: Fast, check: ratio, feature: profiling, call: "nvmlGpmMetricsGet 12", absent: beforeGPM},
	{reading: FPUtilizationFP64, metric: "nvidia.gpu.fp.utilization", attrs: with(keyPrecision, "fp64"), tier: Fast, check: ratio, feature: profiling, call: "nvmlGpmMetricsGet 11", absent: beforeGPM},
	{reading: MMAStallUtilization, metric: "nvidia.gpu.mma.stall.utilization", tier: Fast, check: ratio, feature: profiling, call: "nvmlDeviceGetFieldValues 297", absent: "before Blackwell; " + newDriver},
}

var memoryRows = []row{
	{reading: MemoryTotal, metric: "hw.gpu.memory.limit", tier: Fast, check: memory, call: "nvmlDeviceGetMemoryInfo_v2", absent: "where memory is the host's"},
	{reading: MemoryUsed, metric: "hw.gpu.memory.usage", tier: Fast, check: memory, call: "nvmlDeviceGetMemoryInfo_v2", absent: "where memory is the host's"},
	{reading: MemoryUtilization, metric: "hw.gpu.memory.utilization", tier: Fast, check: ratio, call: "computed: usage ÷ limit", absent: "where usage or limit is"},
	{reading: MemoryFree, metric: "nvidia.gpu.memory.state.usage", attrs: with(keyMemState, "free"), tier: Fast, check: memory, call: "nvmlDeviceGetMemoryInfo_v2", absent: "where memory is the host's"},
	{reading: MemoryReserved, metric: "nvidia.gpu.memory.state.usage", attrs: with(keyMemState, "reserved"), tier: Fast, check: memory, call: "nvmlDeviceGetMemoryInfo_v2", absent: "before driver 510"},
	{reading: BAR1Total, metric: "nvidia.gpu.bar1.limit", tier: Slow, check: memory, call: "nvmlDeviceGetBAR1MemoryInfo", absent: "on GH200 and GB10"},
	{reading: BAR1Used, metric: "nvidia.gpu.bar1.usage", tier: Slow, check: memory, call: "nvmlDeviceGetBAR1MemoryInfo", absent: "on GH200 and GB10"},
	{reading: ProtectedMemoryTotal, metric: "nvidia.gpu.memory.protected.limit", tier: Slow, check: memory, call: "nvmlDeviceGetConfComputeProtectedMemoryUsage", absent: "without confidential computing"},
	{reading: ProtectedMemoryUsed, metric: "nvidia.gpu.memory.protected.usage", tier: Slow, check: memory, call: "nvmlDeviceGetConfComputeProtectedMemoryUsage", absent: "without confidential computing"},
}

var temperatureRows = []row{
	{reading: TemperatureGPU, metric: "hw.temperature", attrs: with(keySensor, "gpu"), tier: Fast, check: temperature, call: "nvmlDeviceGetTemperature", absent: "on a vGPU"},
	{reading: TemperatureMemory, metric: "hw.temperature", attrs: with(keySensor, "memory"), tier: Fast, check: temperature, call: "nvmlDeviceGetFieldValues 82", absent: "without HBM"},
	{reading: TemperatureMargin, metric: "nvidia.gpu.temperature.margin", tier: Fast, check: degrees, call: "nvmlDeviceGetMarginTemperature", absent: beforeAda},
	{reading: TemperatureLimitShutdown, metric: "hw.temperature.limit", attrs: with(keySensor, "gpu", keyLimit, "critical"), check: temperature, call: "nvmlDeviceGetTemperatureThreshold", absent: onAdaOrLate},
	{reading: TemperatureLimitSlowdown, metric: "hw.temperature.limit", attrs: with(keySensor, "gpu", keyLimit, "throttled"), check: temperature, call: "nvmlDeviceGetTemperatureThreshold", absent: onAdaOrLate},
	{reading: TemperatureLimitGPUMax, metric: "hw.temperature.limit", attrs: with(keySensor, "gpu", keyLimit, "max"), check: temperature, call: "nvmlDeviceGetTemperatureThreshold", absent: onAdaOrLate},
	{reading: TemperatureLimitMemoryMax, metric: "hw.temperature.limit", attrs: with(keySensor, "memory", keyLimit, "max"), check: temperature, call: "nvmlDeviceGetTemperatureThreshold", absent: onAdaOrLate},
	{reading: MarginLimitShutdown, metric: "nvidia.gpu.temperature.margin.limit", attrs: with(keySensor, "gpu", keyLimit, "critical"), check: degrees, call: "nvmlDeviceGetFieldValues 193", absent: beforeAda},
	{reading: MarginLimitSlowdown, metric: "nvidia.gpu.temperature.margin.limit", attrs: with(keySensor, "gpu", keyLimit, "throttled"), check: degrees, call: "nvmlDeviceGetFieldValues 194", absent: beforeAda},
	{reading: MarginLimitGPUMax, metric: "nvidia.gpu.temperature.margin.limit", attrs: with(keySensor, "gpu", keyLimit, "max"), check: degrees, call: "nvmlDeviceGetFieldValues 196", absent: beforeAda},
	{reading: MarginLimitMemoryMax, metric: "nvidia.gpu.temperature.margin.limit", attrs: with(keySensor, "memory", keyLimit, "max"), check: degrees, call: "nvmlDeviceGetFieldValues 195", absent: beforeAda},
}

var powerRows = []row{
	{reading: Power, metric: "hw.power", attrs: with(keyType, "gpu"), tier: Fast, check: watts, call: "nvmlDeviceGetFieldValues 186, else nvmlDeviceGetPowerUsage", absent: "in MIG instances; on a vGPU"},
	{reading: PowerAverage, metric: "nvidia.gpu.power.average", tier: Fast, check: watts, call: "nvmlDeviceGetFieldValues 185", absent: "up to Turing; on GA100"},
	{reading: PowerModule, metric: "nvidia.gpu.power.draw", attrs: with(keyScope, "module"), tier: Slow, check: watts, call: "nvmlDeviceGetFieldValues 185, scope 1", absent: "without a Grace CPU"},
	{reading: PowerMemory, metric: "nvidia.gpu.power.draw", attrs: with(keyScope, "memory"), tier: Slow, check: watts, call: "nvmlDeviceGetFieldValues 185, scope 2", absent: "without HBM; before Hopper"},
	{reading: Energy, metric: "hw.energy", attrs: with(keyType, "gpu"), tier: Fast, check: energy, scale: 1e-3, call: "nvmlDeviceGetFieldValues 83, else nvmlDeviceGetTotalEnergyConsumption", absent: "before Volta; in MIG instances"},
	{reading: PowerLimitEnforced, metric: "nvidia.gpu.power.limit", attrs: with(keyLimitKind, "enforced"), tier: Fast, check: watts, call: "nvmlDeviceGetFieldValues 190, else nvmlDeviceGetEnforcedPowerLimit", absent: "in MIG instances; on a vGPU"},
	{reading: PowerLimitRequested, metric: "nvidia.gpu.power.limit", attrs: with(keyLimitKind, "requested"), tier: Slow, check: watts, call: "nvmlDeviceGetFieldValues 192", absent: "in MIG instances; on a vGPU"},
	{reading: PowerLimitDefault, metric: "nvidia.gpu.power.limit", attrs: with(keyLimitKind, "default"), tier: Slow, check: watts, call: "nvmlDeviceGetFieldValues 189", absent: "in MIG instances; on a vGPU"},
	{reading: PowerLimitMin, metric: "nvidia.gpu.power.limit", attrs: with(keyLimitKind, "min"), tier: Slow, check: watts, call: "nvmlDeviceGetFieldValues 187", absent: "in MIG instances; on a vGPU"},
	{reading: PowerLimitMax, metric: "nvidia.gpu.power.limit", attrs: with(keyLimitKind, "max"), tier: Slow, check: watts, call: "nvmlDeviceGetFieldValues 188", absent: "in MIG instances; on a vGPU"},
	{reading: PowerEDPp, metric: "nvidia.gpu.power.edpp", tier: Slow, check: factor, call: "nvmlDeviceGetFieldValues 274", absent: newDriver},
}
