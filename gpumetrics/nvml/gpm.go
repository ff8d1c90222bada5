package nvml

import (
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// gpmState is a device's pair of GPM samples.
type gpmState struct {
	samples gpm
	why     ret // why there are none and never will be, else success
	taken   int // samples, up to 2, that the pair holds
	at      time.Time
	request []gpmMetric
}

// gpmReadings are the metrics of GPM in percent, by their number in nvml.h.
var gpmReadings = [...]struct {
	id      uint32
	reading gpumetrics.Reading
}{
	{1, gpumetrics.GraphicsUtilization},
	{2, gpumetrics.SMUtilization},
	{3, gpumetrics.SMOccupancy},
	{5, gpumetrics.TensorUtilizationAny},
	{6, gpumetrics.TensorUtilizationDFMA},
	{7, gpumetrics.TensorUtilizationHMMA},
	{9, gpumetrics.TensorUtilizationIMMA},
	{10, gpumetrics.DRAMBandwidthUtilization},
	{11, gpumetrics.FPUtilizationFP64},
	{12, gpumetrics.FPUtilizationFP32},
	{13, gpumetrics.FPUtilizationFP16},
}

// GPM's metrics of PCIe, in MiB per second.
const (
	gpmPCIeTransmit = 20
	gpmPCIeReceive  = 21
)

// gpmInterval is the least time between two samples for which NVIDIA says that they can be compared.
const gpmInterval = 100 * time.Millisecond

// sampleGPM takes a GPM sample and tells what happened since the one before. The first one gives no
// reading.
func (d *device) sampleGPM(s *gpumetrics.Sample) {
	wanted := false
	for i := range gpmReadings {
		wanted = wanted || s.Wants(gpmReadings[i].reading)
	}
	if !wanted {
		return
	}
	r := d.gpm.why
	if r == retSuccess {
		r = d.advanceGPM()
	}
	if r == retSuccess && d.gpm.taken == 2 {
		r = d.askGPM()
	}
	if r == retSuccess && d.gpm.taken < 2 {
		return
	}
	for i := range gpmReadings {
		if r != retSuccess {
			miss(s, gpmReadings[i].reading, r)
			continue
		}
		m := &d.gpm.request[i]
		switch {
		case m.ret != retSuccess:
			miss(s, gpmReadings[i].reading, m.ret)
		case !(m.value >= 0 && m.value <= mostPercent): // also what is not a number
			miss(s, gpmReadings[i].reading, retAbsurd)
		default:
			s.Set(gpmReadings[i].reading, m.value/100)
		}
	}
}

// advanceGPM takes the next sample. GPM is never asked for two GPUs at once: drivers crash then.
func (d *device) advanceGPM() ret {
	if d.stop != retSuccess {
		return d.stop
	}
	if !d.session.hold() {
		return retBusy
	}
	defer d.session.release()
	if r := d.prepareGPM(); r != retSuccess {
		return r
	}
	if d.xid.Swap(false) {
		d.gpm.taken = 0 // counters from before a reset cannot be compared with those after it
	}
	if d.gpm.taken > 0 && time.Since(d.gpm.at) < gpmInterval {
		return retSuccess
	}
	h, part := d.h, -1
	if d.gpu != nil {
		h, part = d.gpu.h, d.info.MIGGPUInstance
	}
	r := d.gpm.samples.take(h, part)
	if d.learn(r) == classNever {
		d.gpm.why = r
	}
	if r != retSuccess {
		d.gpm.taken = 0
		return r
	}
	d.gpm.taken, d.gpm.at = min(d.gpm.taken+1, 2), time.Now()
	return retSuccess
}

// prepareGPM makes the pair of samples where the GPU has GPM. All or nothing: a GPU that has a part
// of it has none.
func (d *device) prepareGPM() ret {
	if d.gpm.samples != nil {
		return retSuccess
	}
	h := d.h
	if d.gpu != nil {
		h = d.gpu.h
	}
	n, r := h.number(callGPMSupport, 0)
	if r == retSuccess && n[0] != 1 {
		r = retNotSupported
	}
	if r == retSuccess {
		d.gpm.samples, r = d.session.lib.newGPM()
	}
	if d.learn(r) == classNever {
		d.gpm.why = r
	}
	if r != retSuccess {
		d.gpm.samples = nil
	}
	return r
}

// askGPM fills the request with all metrics, percentages first.
func (d *device) askGPM() ret {
	if !d.session.hold() {
		return retBusy
	}
	defer d.session.release()
	d.gpm.request = d.gpm.request[:0]
	for i := range gpmReadings {
		d.gpm.request = append(d.gpm.request, gpmMetric{id: gpmReadings[i].id})
	}
	d.gpm.request = append(d.gpm.request, gpmMetric{id: gpmPCIeTransmit}, gpmMetric{id: gpmPCIeReceive})
	r := d.gpm.samples.metrics(d.gpm.request)
	if r != retSuccess {
		d.gpm.request = d.gpm.request[:0]
	}
	if d.learn(r) == classNever {
		d.gpm.why = r
	}
	return r
}

func (d *device) freeGPM() {
	if d.gpm.samples != nil {
		d.gpm.samples.free()
		d.gpm.samples = nil
	}
}

// sampleThroughput tells the rates of the PCIe link, where they are wanted: those of the last pair of GPM samples, else
// what the driver sees in a window of 20 ms each.
func (d *device) sampleThroughput(s *gpumetrics.Sample) {
	for i, reading := range []gpumetrics.Reading{gpumetrics.PCIeThroughputTransmit, gpumetrics.PCIeThroughputReceive} {
		if !s.Wants(reading) {
			continue
		}
		if at := len(gpmReadings) + i; at < len(d.gpm.request) {
			if m := d.gpm.request[at]; m.ret == retSuccess && m.value >= 0 && m.value < mostBytes>>20 {
				s.Set(reading, m.value*(1<<20))
				continue
			}
		}
		n, r := d.number(callPCIeThroughput, i)
		if r == retSuccess && n[0] >= 1<<32-1 {
			r = retAbsurd
		}
		if r != retSuccess {
			miss(s, reading, r)
			continue
		}
		s.Set(reading, float64(n[0])*1024)
	}
}
