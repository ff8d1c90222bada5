package nvml

import (
	"errors"
	"fmt"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// Processes appends the processes that compute on the device, under MPS or not. A GPU that is
// divided has none of its own: its instances list them. The list of graphics processes is not asked
// for, because it takes milliseconds during which the driver serves nobody else.
func (d *device) Processes(buf []gpumetrics.Process) ([]gpumetrics.Process, error) {
	if !d.session.enter() {
		return buf, fmt.Errorf("NVML was closed: %w", gpumetrics.ErrReopen)
	}
	defer d.session.leave()
	if err := d.gone(); err != nil {
		return buf, err
	}
	if len(d.instances) > 0 {
		return buf, nil
	}
	if !d.session.hold() {
		return buf, errors.New("list processes: another GPU's driver call has not returned")
	}
	defer d.session.release()
	d.list = d.list[:0]
	list, r := d.h.processes(callComputeList, d.list)
	if r == retSuccess {
		d.list = list
		if list, mps := d.h.processes(callMPSList, d.list); mps == retSuccess {
			d.list = list
		}
	}
	d.stop, d.fault = retSuccess, nil
	switch d.learn(r) {
	case classOK:
		return d.appendProcesses(buf), nil
	case classNever:
		return buf, gpumetrics.ErrUnsupported
	case classLost, classLibrary:
		return buf, d.fault
	default:
		return buf, fmt.Errorf("list processes: %s", r.text())
	}
}

// mostPID is the largest number of a process on Linux. Some drivers of the 535 series lay the list out
// in another way than they say, so that memory is read as a number.
const mostPID = 1 << 22

// appendProcesses appends each process once: one that has several contexts is listed several times
// by some drivers.
func (d *device) appendProcesses(buf []gpumetrics.Process) []gpumetrics.Process {
	first, most := len(buf), uint64(mostBytes)
	if d.total > 0 {
		most = d.total
	}
next:
	for _, p := range d.list {
		if p.pid == 0 || p.pid > mostPID {
			continue
		}
		for i := first; i < len(buf); i++ {
			if buf[i].PID == int(p.pid) {
				continue next
			}
		}
		process := gpumetrics.Process{PID: int(p.pid)}
		if p.memory <= most { // all ones: the driver does not know
			process.Memory, process.KnownMemory = p.memory, true
		}
		buf = append(buf, process)
	}
	return buf
}
