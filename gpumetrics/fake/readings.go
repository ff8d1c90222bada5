package fake

import (
	"math"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// once tells what does not change.
func (c *card) once(s *gpumetrics.Sample) {
	m := &c.gpu.Model
	s.Set(gpumetrics.ClockLimitGraphics, m.SMClock)
	s.Set(gpumetrics.ClockLimitSM, m.SMClock)
	s.Set(gpumetrics.ClockLimitMemory, m.MemoryClock)
	s.Set(gpumetrics.ClockLimitVideo, m.VideoClock)
	s.SetState(gpumetrics.PersistenceMode, true)
	if m.HBM {
		s.SetState(gpumetrics.ConfidentialCompute, false)
	} else {
		unsupported(s, gpumetrics.ConfidentialCompute)
	}
	if m.Margin {
		s.Set(gpumetrics.MarginLimitShutdown, -8)
		s.Set(gpumetrics.MarginLimitSlowdown, -2)
		s.Set(gpumetrics.MarginLimitGPUMax, 0)
		s.Set(gpumetrics.MarginLimitMemoryMax, 0)
		unsupported(s, gpumetrics.TemperatureLimitShutdown, gpumetrics.TemperatureLimitSlowdown, gpumetrics.TemperatureLimitGPUMax, gpumetrics.TemperatureLimitMemoryMax)
		return
	}
	s.Set(gpumetrics.TemperatureLimitShutdown, 101)
	s.Set(gpumetrics.TemperatureLimitSlowdown, 96)
	s.Set(gpumetrics.TemperatureLimitGPUMax, 90)
	unsupported(s, gpumetrics.TemperatureLimitMemoryMax,
		gpumetrics.MarginLimitShutdown, gpumetrics.MarginLimitSlowdown, gpumetrics.MarginLimitGPUMax, gpumetrics.MarginLimitMemoryMax)
}

// fast tells what moves.
func (c *card) fast(s *gpumetrics.Sample) {
	g, m := &c.gpu.Model, &c.meter
	c.utilization(s)
	memory(s, g.Memory, g.Reserved, m.now.Memory)
	s.Set(gpumetrics.TemperatureGPU, math.Round(m.temperature))
	s.Set(gpumetrics.Power, math.Round(m.power*1000)/1000)
	s.Set(gpumetrics.PowerAverage, math.Round(m.average*1000)/1000)
	s.SetCount(gpumetrics.Energy, count(m.energy), 64)
	s.Set(gpumetrics.PowerLimitEnforced, g.MaxPower)
	if g.Margin {
		s.Set(gpumetrics.TemperatureMargin, math.Round(throttleAt-m.temperature))
	} else {
		unsupported(s, gpumetrics.TemperatureMargin)
	}
	if g.HBM {
		s.Set(gpumetrics.TemperatureMemory, math.Round(m.temperature)+5)
		s.SetCount(gpumetrics.ECCCorrected, 0, 64)
		s.SetCount(gpumetrics.ECCUncorrected, 0, 64)
	} else {
		unsupported(s, gpumetrics.TemperatureMemory, gpumetrics.ECCCorrected, gpumetrics.ECCUncorrected)
	}
	c.clocks(s)
	s.SetCount(gpumetrics.PCIeTransmit, count(m.pcieOut), 64)
	s.SetCount(gpumetrics.PCIeReceive, count(m.pcieIn), 64)
	s.SetCount(gpumetrics.PCIeReplay, 9, 64)
	s.SetCount(gpumetrics.PCIeReplayRollover, 0, 64)
	if g.Links > 0 {
		s.SetCount(gpumetrics.LinkTransmit, count(m.links), 64)
		s.SetCount(gpumetrics.LinkReceive, count(m.links*0.98), 64)
	} else {
		unsupported(s, gpumetrics.LinkTransmit, gpumetrics.LinkReceive)
	}
	for r := gpumetrics.RecoveryNone; r <= gpumetrics.RecoverySystemReboot; r++ {
		s.SetState(r, r == gpumetrics.RecoveryNone)
	}
}

// utilization tells how busy the card is. A divided one tells nothing of it.
func (c *card) utilization(s *gpumetrics.Sample) {
	a, work := c.meter.now, c.work()
	if len(c.gpu.Instances) > 0 {
		unsupported(s, gpumetrics.UtilizationGeneral, gpumetrics.MemoryControllerUtilization)
	} else {
		s.Set(gpumetrics.UtilizationGeneral, math.Round(clamp(a.Utilization)*100)/100)
		s.Set(gpumetrics.MemoryControllerUtilization, math.Round(work*70)/100)
	}
	if !c.gpu.Model.Profiling {
		for r := gpumetrics.GraphicsUtilization; r <= gpumetrics.MMAStallUtilization; r++ {
			unsupported(s, r)
		}
		return
	}
	s.Set(gpumetrics.GraphicsUtilization, clamp(a.Utilization))
	s.Set(gpumetrics.SMUtilization, clamp(a.Utilization)*0.93)
	s.Set(gpumetrics.SMOccupancy, work*0.31)
	s.Set(gpumetrics.TensorUtilizationAny, work*0.38)
	s.Set(gpumetrics.TensorUtilizationHMMA, work*0.38)
	s.Set(gpumetrics.TensorUtilizationIMMA, 0)
	s.Set(gpumetrics.TensorUtilizationDFMA, 0)
	s.Set(gpumetrics.DRAMBandwidthUtilization, work*0.84)
	s.Set(gpumetrics.FPUtilizationFP16, work*0.05)
	s.Set(gpumetrics.FPUtilizationFP32, work*0.08)
	s.Set(gpumetrics.FPUtilizationFP64, 0)
	unsupported(s, gpumetrics.MMAStallUtilization)
}

// work is what the card gets done of all it could, from 0 to 1: spinning is none.
func (c *card) work() float64 {
	g := &c.gpu.Model
	used := (c.meter.power-g.IdlePower)/(g.MaxPower-g.IdlePower) - spinPower*clamp(c.meter.now.Utilization)
	return clamp(used / (1 - spinPower))
}

// clock is that of the multiprocessors.
func (c *card) clock() float64 {
	m, clock := &c.meter, c.gpu.Model.SMClock
	switch {
	case m.hot || m.now.PowerBrake:
		return clock * 0.55
	case capped(m.power, &c.gpu):
		return clock * 0.85
	case m.now.Utilization < 0.05:
		return min(345e6, clock)
	}
	return clock
}

// clocks tells the clocks and what holds them down.
func (c *card) clocks(s *gpumetrics.Sample) {
	g, m := &c.gpu.Model, &c.meter
	clock, isCapped := c.clock(), capped(m.power, &c.gpu)
	s.Set(gpumetrics.ClockGraphics, clock)
	s.Set(gpumetrics.ClockSM, clock)
	s.Set(gpumetrics.ClockMemory, g.MemoryClock)
	s.Set(gpumetrics.PerformanceState, c.performance())
	for r := gpumetrics.ClockEventApplications; r <= gpumetrics.ClockEventReliability; r++ {
		s.SetState(r, false)
	}
	s.SetState(gpumetrics.ClockEventSWPowerCap, isCapped)
	s.SetState(gpumetrics.ClockEventHWThermal, m.hot)
	s.SetState(gpumetrics.ClockEventPowerBrake, m.now.PowerBrake)
	s.SetState(gpumetrics.ClockEventHWSlowdown, m.hot || m.now.PowerBrake)
	for r := gpumetrics.ClockEventTimePower; r <= gpumetrics.ClockEventTimePowerBrake; r++ {
		s.SetCount(r, 0, 64)
	}
	s.SetCount(gpumetrics.ClockEventTimePower, count(m.heldPower), 64)
	s.SetCount(gpumetrics.ClockEventTimeThermal, count(m.heldThermal), 64)
	s.SetCount(gpumetrics.ClockEventTimeHWThermal, count(m.heldHW), 64)
	s.SetCount(gpumetrics.ClockEventTimePowerBrake, count(m.heldBrake), 64)
	s.SetCount(gpumetrics.ClockEventTimeLowUtilization, count(m.low), 64)
}

// performance is the state of the card: those of data centres stay at the fastest.
func (c *card) performance() float64 {
	if !c.gpu.Model.HBM && c.meter.now.Utilization < 0.05 {
		return 8
	}
	return 0
}

// slow tells what moves little.
func (c *card) slow(s *gpumetrics.Sample) {
	g, m := &c.gpu.Model, &c.meter
	if len(c.gpu.Instances) > 0 {
		unsupported(s, gpumetrics.UtilizationEncoder, gpumetrics.UtilizationDecoder, gpumetrics.UtilizationJPEG, gpumetrics.UtilizationOFA)
	} else {
		s.Set(gpumetrics.UtilizationEncoder, 0)
		s.Set(gpumetrics.UtilizationDecoder, 0)
		s.Set(gpumetrics.UtilizationJPEG, 0)
		s.Set(gpumetrics.UtilizationOFA, 0)
	}
	s.Set(gpumetrics.ClockVideo, g.VideoClock*c.clock()/g.SMClock)
	s.Set(gpumetrics.BAR1Used, 3*mib)
	s.Set(gpumetrics.PowerLimitRequested, g.MaxPower)
	s.Set(gpumetrics.PowerLimitDefault, g.MaxPower)
	s.Set(gpumetrics.PowerLimitMin, math.Round(g.MaxPower/3.5))
	s.Set(gpumetrics.PowerLimitMax, g.MaxPower)
	s.Set(gpumetrics.PCIeLinkGeneration, float64(g.PCIe))
	s.Set(gpumetrics.PCIeLinkGenerationLimit, float64(g.PCIe))
	s.Set(gpumetrics.PCIeLinkWidth, 16)
	s.Set(gpumetrics.PCIeLinkWidthLimit, 16)
	for r := gpumetrics.PCIeCorrectable; r <= gpumetrics.PCIeRecovery; r++ {
		s.SetCount(r, 0, 64)
	}
	if g.HBM {
		s.Set(gpumetrics.BAR1Total, 128<<30)
		s.Set(gpumetrics.PowerMemory, math.Round(60+m.power*0.05))
	} else {
		s.Set(gpumetrics.BAR1Total, 16<<30)
		unsupported(s, gpumetrics.PowerMemory)
	}
	unsupported(s, gpumetrics.PowerModule, gpumetrics.RetiredPagesSingleBit, gpumetrics.RetiredPagesDoubleBit, gpumetrics.RetiredPagesPending)
	c.reliability(s)
	c.parts(s)
}

// reliability tells what the card remembers of errors, and its fabric.
func (c *card) reliability(s *gpumetrics.Sample) {
	hbm, divided := c.gpu.Model.HBM, len(c.gpu.Instances) > 0
	if !hbm || divided {
		for r := gpumetrics.RemappedRowsCorrected; r <= gpumetrics.RemapBanksNone; r++ {
			unsupported(s, r)
		}
	} else {
		for r := gpumetrics.RemappedRowsCorrected; r <= gpumetrics.RemapBanksNone; r++ {
			s.Set(r, 0)
		}
		s.Set(gpumetrics.RemapBanksMax, 2560)
	}
	if hbm {
		s.Set(gpumetrics.MIGInstances, float64(len(c.gpu.Instances)))
		s.SetState(gpumetrics.UnrepairableMemory, false)
	} else {
		unsupported(s, gpumetrics.MIGInstances, gpumetrics.UnrepairableMemory)
	}
	for r := gpumetrics.ECCLifetimeCorrected; r <= gpumetrics.ECCLifetimeUncorrected; r++ {
		tell(s, r, hbm, func() { s.Set(r, 0) })
	}
	for r := gpumetrics.ECCCorrectedDRAM; r <= gpumetrics.ECCUncorrectedSRAM; r++ {
		tell(s, r, hbm, func() { s.SetCount(r, 0, 64) })
	}
	for r := gpumetrics.FabricNotSupported; r <= gpumetrics.FabricCompleted; r++ {
		tell(s, r, hbm, func() { s.SetState(r, r == gpumetrics.FabricCompleted) })
	}
	for r := gpumetrics.FabricBandwidthOK; r <= gpumetrics.FabricAccessTimeoutOK; r++ {
		unsupported(s, r)
	}
	s.Miss(gpumetrics.ECCSRAMThresholdExceeded, gpumetrics.Denied, "no_permission")
}

func tell(s *gpumetrics.Sample, r gpumetrics.Reading, supported bool, set func()) {
	if !supported {
		unsupported(s, r)
		return
	}
	set()
}

// parts tells of links and fans.
func (c *card) parts(s *gpumetrics.Sample) {
	g := &c.gpu.Model
	for i := range g.Links {
		p := s.Part(gpumetrics.Link, i)
		p.Set(gpumetrics.LinkUp, 1)
		p.Set(gpumetrics.LinkBandwidthLimit, g.LinkSpeed)
	}
	for i := range g.Fans {
		ratio := clamp((c.meter.temperature - 50) / 40)
		p := s.Part(gpumetrics.Fan, i)
		p.Set(gpumetrics.FanSpeedRatio, math.Round(ratio*100)/100)
		p.Set(gpumetrics.FanSpeed, math.Round(ratio*3000))
	}
	for r := gpumetrics.LinkCRCFlit; r <= gpumetrics.LinkECCData; r++ {
		tell(s, r, g.Links > 0, func() { s.SetCount(r, 0, 64) })
	}
	for r := gpumetrics.LinkMalformed; r <= gpumetrics.LinkSymbol; r++ {
		unsupported(s, r)
	}
}
