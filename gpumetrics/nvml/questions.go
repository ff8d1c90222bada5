package nvml

import "github.com/otelvllm/otelvllm-go/gpumetrics"

// question is a call and the readings that its answer gives.
type question struct {
	tier gpumetrics.Tier
	call call
	arg  int
	// instead: it is asked only where another source of the same reading, asked before, told nothing.
	instead bool
	outputs []output
}

// output is one reading of an answer.
type output struct {
	reading  gpumetrics.Reading
	index    int     // in the answer's numbers
	scale    float64 // from the driver's unit to the reading's
	min, max float64 // what can be, in the driver's unit
	bits     uint8   // of a count, after which it wraps; 0 for what is no count
}

// What can be. Drivers have been seen to say success and to tell 4294967295 % or 0 W.
const (
	mostPercent = 100
	mostCelsius = 200
	mostMHz     = 20_000
	mostMW      = 20_000_000 // 20 kW, more than any board draws
	mostBytes   = 1 << 50
	mostSmall   = 1 << 16
	mostCount   = 1<<63 - 1
)

func percent(r gpumetrics.Reading, index int) output {
	return output{reading: r, index: index, scale: 0.01, max: mostPercent}
}

func celsius(r gpumetrics.Reading) []output {
	return []output{{reading: r, scale: 1, min: 1, max: mostCelsius}} // 0 is what a missing sensor tells
}

func clock(r gpumetrics.Reading) []output {
	return []output{{reading: r, scale: 1e6, max: mostMHz}}
}

func milliwatts(r gpumetrics.Reading) []output {
	return []output{{reading: r, scale: 1e-3, min: 1, max: mostMW}} // no GPU draws 0 W
}

func small(r gpumetrics.Reading, index int, least float64) output {
	return output{reading: r, index: index, scale: 1, min: least, max: mostSmall}
}

func byteCount(r gpumetrics.Reading, index int, least float64) output {
	return output{reading: r, index: index, scale: 1, min: least, max: mostBytes}
}

func onOff(r gpumetrics.Reading, index int) output {
	return output{reading: r, index: index, scale: 1, max: 1}
}

func count(r gpumetrics.Reading, bits uint8) []output {
	return []output{{reading: r, scale: 1, max: mostCount, bits: bits}}
}

// errorCounter is the argument of callMemoryErrors.
func errorCounter(uncorrected, location int) int { return uncorrected | location<<1 }

// Places of nvmlMemoryLocation_t.
const (
	placeDRAM = 2
	placeSRAM = 7
)

// questions are asked of GPUs.
var questions = []question{
	{gpumetrics.Once, callThreshold, 0, false, celsius(gpumetrics.TemperatureLimitShutdown)},
	{gpumetrics.Once, callThreshold, 1, false, celsius(gpumetrics.TemperatureLimitSlowdown)},
	{gpumetrics.Once, callThreshold, 2, false, celsius(gpumetrics.TemperatureLimitMemoryMax)},
	{gpumetrics.Once, callThreshold, 3, false, celsius(gpumetrics.TemperatureLimitGPUMax)},
	{gpumetrics.Once, callMaxClock, 0, false, clock(gpumetrics.ClockLimitGraphics)},
	{gpumetrics.Once, callMaxClock, 1, false, clock(gpumetrics.ClockLimitSM)},
	{gpumetrics.Once, callMaxClock, 2, false, clock(gpumetrics.ClockLimitMemory)},
	{gpumetrics.Once, callMaxClock, 3, false, clock(gpumetrics.ClockLimitVideo)},
	{gpumetrics.Once, callPCIeMaxGeneration, 0, false, []output{small(gpumetrics.PCIeLinkGenerationLimit, 0, 1)}},
	{gpumetrics.Once, callPCIeMaxWidth, 0, false, []output{small(gpumetrics.PCIeLinkWidthLimit, 0, 1)}},
	{gpumetrics.Once, callPersistence, 0, false, []output{onOff(gpumetrics.PersistenceMode, 0)}},

	{gpumetrics.Fast, callUtilization, 0, false, []output{
		percent(gpumetrics.UtilizationGeneral, 0), percent(gpumetrics.MemoryControllerUtilization, 1),
	}},
	{gpumetrics.Fast, callTemperature, 0, false, celsius(gpumetrics.TemperatureGPU)},
	{gpumetrics.Fast, callMargin, 0, false, []output{
		{reading: gpumetrics.TemperatureMargin, scale: 1, min: -mostCelsius, max: mostCelsius},
	}},
	{gpumetrics.Fast, callClock, 0, false, clock(gpumetrics.ClockGraphics)},
	{gpumetrics.Fast, callClock, 1, false, clock(gpumetrics.ClockSM)},
	{gpumetrics.Fast, callClock, 2, false, clock(gpumetrics.ClockMemory)},
	{gpumetrics.Fast, callPerformanceState, 0, false, []output{
		{reading: gpumetrics.PerformanceState, scale: 1, max: 15},
	}}, // 32: not known
	{gpumetrics.Fast, callPower, 0, true, milliwatts(gpumetrics.Power)},
	{gpumetrics.Fast, callEnforcedLimit, 0, true, milliwatts(gpumetrics.PowerLimitEnforced)},
	{gpumetrics.Fast, callEnergy, 0, true, count(gpumetrics.Energy, 64)},
	{gpumetrics.Fast, callPCIeReplay, 0, true, count(gpumetrics.PCIeReplay, 32)},

	{gpumetrics.Slow, callEncoder, 0, false, []output{percent(gpumetrics.UtilizationEncoder, 0)}},
	{gpumetrics.Slow, callDecoder, 0, false, []output{percent(gpumetrics.UtilizationDecoder, 0)}},
	{gpumetrics.Slow, callClock, 3, false, clock(gpumetrics.ClockVideo)},
	{gpumetrics.Slow, callJPEG, 0, false, []output{percent(gpumetrics.UtilizationJPEG, 0)}},
	{gpumetrics.Slow, callOFA, 0, false, []output{percent(gpumetrics.UtilizationOFA, 0)}},
	{gpumetrics.Slow, callBAR1, 0, false, []output{byteCount(gpumetrics.BAR1Total, 0, 1), byteCount(gpumetrics.BAR1Used, 1, 0)}},
	{gpumetrics.Slow, callProtectedMemory, 0, false, []output{
		byteCount(gpumetrics.ProtectedMemoryTotal, 0, 0), byteCount(gpumetrics.ProtectedMemoryUsed, 1, 0),
	}},
	{gpumetrics.Slow, callPCIeGeneration, 0, false, []output{small(gpumetrics.PCIeLinkGeneration, 0, 1)}},
	{gpumetrics.Slow, callPCIeWidth, 0, false, []output{small(gpumetrics.PCIeLinkWidth, 0, 1)}},
	{gpumetrics.Slow, callMemoryErrors, errorCounter(0, placeDRAM), false, count(gpumetrics.ECCCorrectedDRAM, 64)},
	{gpumetrics.Slow, callMemoryErrors, errorCounter(1, placeDRAM), false, count(gpumetrics.ECCUncorrectedDRAM, 64)},
	{gpumetrics.Slow, callMemoryErrors, errorCounter(0, placeSRAM), false, count(gpumetrics.ECCCorrectedSRAM, 64)},
	{gpumetrics.Slow, callMemoryErrors, errorCounter(1, placeSRAM), false, count(gpumetrics.ECCUncorrectedSRAM, 64)},
	{gpumetrics.Slow, callSRAMStatus, 0, false, []output{onOff(gpumetrics.ECCSRAMThresholdExceeded, 0)}},
	{gpumetrics.Slow, callRemappedRows, 0, true, []output{
		small(gpumetrics.RemappedRowsCorrected, 0, 0), small(gpumetrics.RemappedRowsUncorrected, 1, 0),
		onOff(gpumetrics.RemapPending, 2), onOff(gpumetrics.RemapFailure, 3),
	}},
	{gpumetrics.Slow, callRowHistogram, 0, false, []output{
		small(gpumetrics.RemapBanksMax, 0, 0), small(gpumetrics.RemapBanksHigh, 1, 0), small(gpumetrics.RemapBanksPartial, 2, 0),
		small(gpumetrics.RemapBanksLow, 3, 0), small(gpumetrics.RemapBanksNone, 4, 0),
	}},
	{gpumetrics.Slow, callUnrepairable, 0, false, []output{onOff(gpumetrics.UnrepairableMemory, 0)}},
}

// instanceQuestions are asked of MIG instances in the slow tier.
var instanceQuestions = []question{
	{gpumetrics.Slow, callBAR1, 0, false, []output{byteCount(gpumetrics.BAR1Total, 0, 1), byteCount(gpumetrics.BAR1Used, 1, 0)}},
	{gpumetrics.Slow, callMemoryErrors, errorCounter(0, placeSRAM), false, count(gpumetrics.ECCCorrectedSRAM, 64)},
	{gpumetrics.Slow, callMemoryErrors, errorCounter(1, placeSRAM), false, count(gpumetrics.ECCUncorrectedSRAM, 64)},
}

func (d *device) sampleQuestions(tier gpumetrics.Tier, s *gpumetrics.Sample) {
	for i := range questions {
		if questions[i].tier == tier {
			d.put(questions[i], s)
		}
	}
}

// put asks the question, if anybody wants to know, and puts the answer into the sample.
func (d *device) put(q question, s *gpumetrics.Sample) {
	wanted := false
	for i := range q.outputs {
		if _, known := s.Value(q.outputs[i].reading); known && q.instead {
			continue
		}
		wanted = wanted || s.Wants(q.outputs[i].reading)
	}
	if !wanted {
		return
	}
	n, r := d.number(q.call, q.arg)
	for i := range q.outputs {
		o := &q.outputs[i]
		if _, known := s.Value(o.reading); known && q.instead {
			continue
		}
		if r != retSuccess {
			miss(s, o.reading, r)
			continue
		}
		o.put(n[o.index], s)
	}
}

// put puts a number of the driver into the sample, if it can be.
func (o *output) put(n uint64, s *gpumetrics.Sample) {
	if v := float64(int64(n)); v < o.min || v > o.max || o.bits == 32 && n >= 1<<32-1 {
		miss(s, o.reading, retAbsurd)
		return
	}
	if o.bits > 0 {
		s.SetCount(o.reading, n, o.bits)
		return
	}
	s.Set(o.reading, float64(int64(n))*o.scale)
}
