package gpumetrics

// Kind is the kind of an instrument.
type Kind string

// The kinds of instruments.
const (
	Gauge         Kind = "gauge"
	Counter       Kind = "counter"
	UpDownCounter Kind = "up-down counter"
	Histogram     Kind = "histogram"
)

// definition is one metric. All readings of one metric share it.
type definition struct {
	name, unit  string
	kind        Kind
	whole       bool // the instrument takes whole numbers
	description string
}

// definitions are the metrics that readings give, in the order in which people look for them. The
// names hw.* are those of the hardware conventions v1.43; what they do not cover is nvidia.gpu.*.
// Numbers that the conventions' helpers would round to whole ones are kept as they are.
var definitions = []definition{
	{"hw.gpu.utilization", "1", Gauge, false, "Share of time in which the engine named by hw.gpu.task did any work, over the driver's last window of at most one second."},
	{"nvidia.gpu.memory.controller.utilization", "1", Gauge, false, "Share of time in which memory was read or written."},
	{"nvidia.gpu.graphics.utilization", "1", Gauge, false, "Share of cycles in which the graphics or compute engine was active, since the last reading."},
	{"nvidia.gpu.sm.utilization", "1", Gauge, false, "Share of cycles in which a multiprocessor had a warp, mean of all, since the last reading."},
	{"nvidia.gpu.sm.occupancy", "1", Gauge, false, "Warps that were resident, as a share of those that could be, since the last reading."},
	{"nvidia.gpu.tensor.utilization", "1", Gauge, false, "Share of cycles in which tensor cores were active, by pipe, since the last reading."},
	{"nvidia.gpu.dram.bandwidth.utilization", "1", Gauge, false, "Memory bandwidth in use, as a share of the GPU's, since the last reading."},
	{"nvidia.gpu.fp.utilization", "1", Gauge, false, "Share of cycles in which floating-point pipes were active, by precision, since the last reading."},
	{"nvidia.gpu.mma.stall.utilization", "1", Gauge, false, "Share of cycles in which matrix instructions were stalled."},

	{"hw.gpu.memory.limit", "By", UpDownCounter, true, "Size of the GPU's memory."},
	{"hw.gpu.memory.usage", "By", UpDownCounter, true, "Memory in use, without what the driver reserves."},
	{"hw.gpu.memory.utilization", "1", Gauge, false, "Memory in use as a share of the GPU's memory."},
	{"nvidia.gpu.memory.state.usage", "By", UpDownCounter, true, "Memory that is free, or reserved by the driver."},
	{"nvidia.gpu.bar1.limit", "By", UpDownCounter, true, "Size of the window through which the host sees the GPU's memory."},
	{"nvidia.gpu.bar1.usage", "By", UpDownCounter, true, "Part of that window that is in use."},
	{"nvidia.gpu.memory.protected.limit", "By", UpDownCounter, true, "Memory that confidential computing protects."},
	{"nvidia.gpu.memory.protected.usage", "By", UpDownCounter, true, "Protected memory in use."},

	{"hw.temperature", "Cel", Gauge, false, "Temperature of the GPU or of its memory."},
	{"hw.temperature.limit", "Cel", Gauge, false, "Temperature at which the GPU slows down (throttled), shuts off (critical), or the most it should have (max)."},
	{"nvidia.gpu.temperature.margin", "Cel", Gauge, false, "Degrees left until the GPU slows down; the least of several sensors, so that it cannot be computed from hw.temperature."},
	{"nvidia.gpu.temperature.margin.limit", "Cel", Gauge, false, "Margin at which the GPU slows down or shuts off."},

	{"hw.power", "W", Gauge, false, "Power drawn now."},
	{"nvidia.gpu.power.average", "W", Gauge, false, "Power drawn, mean of the last second."},
	{"nvidia.gpu.power.draw", "W", Gauge, false, "Power drawn by the module or by the memory, mean of the last second."},
	{"hw.energy", "J", Counter, false, "Energy used since this process began to watch."},
	{"nvidia.gpu.power.limit", "W", Gauge, false, "Limits of the power that the GPU may draw."},
	{"nvidia.gpu.power.edpp", "1", Gauge, false, "Factor of the limit on peak current."},

	{"nvidia.gpu.clock.frequency", "Hz", Gauge, false, "Clock now."},
	{"nvidia.gpu.clock.frequency.limit", "Hz", Gauge, false, "Highest clock."},
	{"nvidia.gpu.performance_state", "1", Gauge, true, "Performance state, from 0, the fastest, to 15."},
	{"nvidia.gpu.clock.event.active", "1", UpDownCounter, true, "1 while the reason holds the clock down, else 0."},
	{"nvidia.gpu.clock.event.duration", "s", Counter, false, "Time for which the reason held the clock down, also between two readings."},

	{"hw.gpu.io", "By", Counter, true, "Bytes over the PCIe link."},
	{"nvidia.gpu.pcie.throughput", "By/s", Gauge, false, "Bytes per second over the PCIe link in the driver's last window."},
	{"nvidia.gpu.pcie.link.generation", "1", Gauge, true, "PCIe generation in use; an idle GPU lowers it."},
	{"nvidia.gpu.pcie.link.generation.limit", "1", Gauge, true, "Highest PCIe generation of GPU and slot."},
	{"nvidia.gpu.pcie.link.width", "{lane}", Gauge, true, "PCIe lanes in use; fewer than the limit is a fault of slot or riser."},
	{"nvidia.gpu.pcie.link.width.limit", "{lane}", Gauge, true, "Most PCIe lanes of GPU and slot."},
	{"hw.errors", "{error}", Counter, true, "Errors of memory (corrected, uncorrected), of the PCIe link and of the links to other GPUs, since this process began to watch."},

	{"hw.network.up", "1", UpDownCounter, true, "1 if the link to other GPUs is up, else 0."},
	{"hw.network.bandwidth.limit", "By/s", UpDownCounter, true, "Speed of the link in one direction."},
	{"hw.network.io", "By", Counter, true, "Bytes over the links to other GPUs, all together or one by one."},
	{"nvidia.gpu.fabric.state", "1", UpDownCounter, true, "1 for the state in which the GPU's registration with the link fabric is, 0 for the others."},
	{"nvidia.gpu.fabric.health", "1", Gauge, true, "1 if the check of the link fabric is good, else 0."},

	{"nvidia.gpu.ecc.errors", "{error}", Counter, true, "Memory errors by place, since this process began to watch."},
	{"nvidia.gpu.ecc.lifetime", "{error}", UpDownCounter, true, "Memory errors that the card remembers."},
	{"nvidia.gpu.ecc.sram.threshold_exceeded", "1", UpDownCounter, true, "1 if the card has had more SRAM errors than the maker allows, else 0."},
	{"nvidia.gpu.memory.retired_pages", "{page}", UpDownCounter, true, "Pages of memory taken out of use, up to Volta and Turing."},
	{"nvidia.gpu.memory.retired_pages.pending", "1", UpDownCounter, true, "1 if a page is to be retired when the driver is loaded again, else 0."},
	{"nvidia.gpu.memory.remapped_rows", "{row}", UpDownCounter, true, "Rows of memory replaced by spare ones, from Ampere on."},
	{"nvidia.gpu.memory.remap.pending", "1", UpDownCounter, true, "1 if a row is to be replaced at the next reset, else 0."},
	{"nvidia.gpu.memory.remap.failure", "1", UpDownCounter, true, "1 if a row could not be replaced, else 0."},
	{"nvidia.gpu.memory.remap.banks", "{bank}", UpDownCounter, true, "Banks of memory by how many spare rows they have left."},
	{"nvidia.gpu.recovery.action", "1", UpDownCounter, true, "1 for what the driver asks to have done, 0 for the others."},
	{"nvidia.gpu.persistence", "1", UpDownCounter, true, "1 if the driver keeps the GPU ready while nobody uses it, else 0."},
	{"nvidia.gpu.confidential_compute", "1", UpDownCounter, true, "1 if confidential computing is on, else 0."},
	{"nvidia.gpu.mig.instances", "{instance}", UpDownCounter, true, "Instances into which the GPU is divided."},
	{"hw.fan.speed_ratio", "1", Gauge, false, "Speed that the fan is meant to have, as a share of its highest."},
	{"hw.fan.speed", "rpm", Gauge, false, "Speed of the fan."},
}

// own are the metrics that the monitor makes itself.
var own = []definition{
	statusMetric:      {"hw.status", "1", UpDownCounter, true, "1 for the state of the GPU, 0 for the others."},
	upMetric:          {"nvidia.gpu.up", "1", Gauge, true, "1 while the GPU answers, 0 while it is lost, wedged or silent for three intervals."},
	infoMetric:        {"nvidia.gpu.info", "1", Gauge, true, "Always 1; the attributes tell what the GPU is."},
	countMetric:       {"nvidia.gpu.count", "{gpu}", UpDownCounter, true, "GPUs that answer, without the parts of divided ones."},
	expectedMetric:    {"nvidia.gpu.count.expected", "{gpu}", UpDownCounter, true, "Most GPUs that were there since this process began to watch."},
	driverMetric:      {"nvidia.gpu.driver.state", "1", UpDownCounter, true, "1 for the state of the driver, 0 for the others."},
	xidMetric:         {"nvidia.gpu.xid.errors", "{error}", Counter, true, "Errors that the driver reported, by NVIDIA's code and what NVIDIA says to do."},
	xidTimeMetric:     {"nvidia.gpu.xid.last.timestamp", "s", Gauge, false, "When the driver last reported the code, in seconds since 1970."},
	processMetric:     {"nvidia.gpu.process.memory.usage", "By", UpDownCounter, true, "Memory that a process uses on the GPU, where processes were asked for."},
	ageMetric:         {"nvidia.gpu.sampler.age", "s", Gauge, false, "Time since the last good reading of the GPU; absent if there never was one."},
	wedgedMetric:      {"nvidia.gpu.sampler.wedged", "1", Gauge, true, "1 while a driver call for the GPU has not returned for five seconds."},
	inFlightMetric:    {"nvidia.gpu.sampler.inflight.duration", "s", Gauge, false, "Time for which the present driver call for the GPU has lasted, 0 if there is none."},
	slowMetric:        {"nvidia.gpu.sampler.slow", "{call}", Counter, true, "Readings that took longer than one second."},
	errorsMetric:      {"nvidia.gpu.sampler.errors", "{error}", Counter, true, "Readings that failed, by what the driver said."},
	eventAgeMetric:    {"nvidia.gpu.sampler.event.age", "s", Gauge, false, "Time since the driver last answered the wait for events; it grows when the wait hangs."},
	durationMetric:    {"nvidia.gpu.sampler.duration", "s", Histogram, false, "Time that taking the readings of one tier took."},
	energyShareMetric: {"vllm.request.gpu.energy", "J", Histogram, false, "Energy of the GPUs that fell to a request: each instant's divided equally among the requests running then."},
	timeShareMetric:   {"vllm.request.gpu.time", "s", Histogram, false, "GPU-seconds that fell to a request: time, divided equally among the requests running, times the GPUs."},
	energyTokenMetric: {"vllm.request.gpu.energy_per_token", "J/{token}", Histogram, false, "A request's share of energy divided by its output tokens."},
	unsettledMetric:   {"vllm.request.gpu.unsettled", "{request}", Counter, true, "Requests whose share could not be told, by why."},
}

// The metrics of own.
const (
	statusMetric = iota
	upMetric
	infoMetric
	countMetric
	expectedMetric
	driverMetric
	xidMetric
	xidTimeMetric
	processMetric
	ageMetric
	wedgedMetric
	inFlightMetric
	slowMetric
	errorsMetric
	eventAgeMetric
	durationMetric
	energyShareMetric
	timeShareMetric
	energyTokenMetric
	unsettledMetric
)

// buckets are the boundaries of the histograms.
var buckets = map[string][]float64{
	"nvidia.gpu.sampler.duration":       {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 50},
	"vllm.request.gpu.energy":           {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000, 100000},
	"vllm.request.gpu.time":             {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 500},
	"vllm.request.gpu.energy_per_token": {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100},
}
