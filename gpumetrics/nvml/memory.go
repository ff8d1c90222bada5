package nvml

import "github.com/otelvllm/otelvllm-go/gpumetrics"

// sampleMemory asks for the memory. The newer call tells apart what is used and what the driver
// reserves; the older one, for drivers before 510, counts what is reserved as used.
func (d *device) sampleMemory(s *gpumetrics.Sample) {
	if !s.Wants(gpumetrics.MemoryUsed) && !s.Wants(gpumetrics.MemoryTotal) {
		return
	}
	n, r := d.number(callMemoryV2, 0)
	if r == retSuccess && !plausible(n) {
		r = retAbsurd
	}
	if r == retSuccess {
		d.reserved = n[3]
		s.Set(gpumetrics.MemoryReserved, float64(n[3]))
	} else {
		miss(s, gpumetrics.MemoryReserved, r)
		if n, r = d.number(callMemory, 0); r == retSuccess && !plausible(n) {
			r = retAbsurd
		}
		n[1] -= min(n[1], d.reserved)
	}
	if r != retSuccess {
		for _, reading := range []gpumetrics.Reading{gpumetrics.MemoryTotal, gpumetrics.MemoryUsed, gpumetrics.MemoryFree} {
			miss(s, reading, r)
		}
		return
	}
	d.total = n[0]
	s.Set(gpumetrics.MemoryTotal, float64(n[0]))
	s.Set(gpumetrics.MemoryUsed, float64(n[1]))
	s.Set(gpumetrics.MemoryFree, float64(n[2]))
}

// plausible tells whether total, used, free and reserved can be. A GPU without memory of its own,
// and a driver that does not know, tell 0 or all ones.
func plausible(n numbers) bool {
	total := n[0]
	return total > 0 && total <= mostBytes && n[1] <= total && n[2] <= total && n[3] <= total
}

// reasons are the bits of nvmlDeviceGetCurrentClocksEventReasons. Idle and display clocks are no
// reason to look.
var reasons = [...]struct {
	bit     uint64
	reading gpumetrics.Reading
}{
	{0x2, gpumetrics.ClockEventApplications},
	{0x4, gpumetrics.ClockEventSWPowerCap},
	{0x8, gpumetrics.ClockEventHWSlowdown},
	{0x10, gpumetrics.ClockEventSyncBoost},
	{0x20, gpumetrics.ClockEventSWThermal},
	{0x40, gpumetrics.ClockEventHWThermal},
	{0x80, gpumetrics.ClockEventPowerBrake},
	{0x200, gpumetrics.ClockEventBoardLimit},
	{0x400, gpumetrics.ClockEventReliability},
}

// knownReasons bounds the mask: newer drivers may add bits, but not set the highest ones.
const knownReasons = 1 << 32

// sampleReasons asks what holds the clock down. Before driver 535 the call had another name.
func (d *device) sampleReasons(s *gpumetrics.Sample) {
	wanted := false
	for i := range reasons {
		wanted = wanted || s.Wants(reasons[i].reading)
	}
	if !wanted {
		return
	}
	n, r := d.number(callEventReasons, 0)
	if r.class() == classNever {
		n, r = d.number(callThrottleReasons, 0)
	}
	if r == retSuccess && n[0] >= knownReasons {
		r = retAbsurd
	}
	for i := range reasons {
		if r != retSuccess {
			miss(s, reasons[i].reading, r)
			continue
		}
		s.SetState(reasons[i].reading, n[0]&reasons[i].bit != 0)
	}
}

var fabricStates = [...]gpumetrics.Reading{
	gpumetrics.FabricNotSupported, gpumetrics.FabricNotStarted, gpumetrics.FabricInProgress, gpumetrics.FabricCompleted,
}

// fabricChecks are the parts of the fabric's health mask, two bits each: 0 not told, 1 bad, 2 good.
var fabricChecks = [...]struct {
	shift   uint
	reading gpumetrics.Reading
}{
	{0, gpumetrics.FabricBandwidthOK},
	{2, gpumetrics.FabricRouteRecoveryOK},
	{4, gpumetrics.FabricRouteHealthOK},
	{6, gpumetrics.FabricAccessTimeoutOK},
}

// fabricDriver is the first driver whose call about the fabric is safe: driver 535 crashes in it
// where it is asked for the newer versions of the answer.
const fabricDriver = 550

func (d *device) sampleFabric(s *gpumetrics.Sample) {
	if !s.Wants(gpumetrics.FabricCompleted) && !s.Wants(gpumetrics.FabricBandwidthOK) {
		return
	}
	n, r := numbers{}, retNotSupported
	if d.session.driverMajor() >= fabricDriver {
		if n, r = d.number(callFabric, 3); r.class() == classNever {
			n, r = d.number(callFabric, 2)
		}
	}
	if r == retSuccess && n[0] >= uint64(len(fabricStates)) {
		r = retAbsurd
	}
	for i, reading := range fabricStates {
		if r != retSuccess {
			miss(s, reading, r)
			continue
		}
		s.SetState(reading, n[0] == uint64(i))
	}
	for _, check := range fabricChecks {
		switch health := n[1] >> check.shift & 3; {
		case r != retSuccess:
			miss(s, check.reading, r)
		case health == 1, health == 2:
			s.SetState(check.reading, health == 2)
		default: // not told now; it may be once the GPU has joined
		}
	}
}
