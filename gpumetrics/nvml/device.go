package nvml

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// device is a GPU or a MIG instance. Its methods are called from the GPU's worker, one at a time.
type device struct {
	session *session
	h       handle
	gpu     *device // the GPU of an instance, else nil
	info    gpumetrics.Info

	instances []string // the UUIDs of a GPU's instances, when it was opened
	chipLinks int
	lost      bool

	never    [numCalls]uint64 // calls that the GPU does not have, a bit for each arg
	batch    []field
	rows     []fieldRow // of the batch, one for each field
	noField  [len(fieldRows)]bool
	links    linkCounts
	gpm      gpmState
	xid      atomic.Bool // an XID came since the last GPM sample
	list     []process
	total    uint64 // bytes of memory, and of those the driver's own, as told last
	reserved uint64

	// Of the sample that is being taken: why it ends early, and how many calls failed in a row.
	stop  ret
	fault error
	sick  int
}

func newDevice(s *session, h handle, gpu *device, info gpumetrics.Info) *device {
	d := &device{session: s, h: h, gpu: gpu, info: info, rows: make([]fieldRow, 0, len(fieldRows))}
	if gpu == nil {
		d.chipLinks = max(0, linkCount(h, fieldChipLinkCount))
	}
	return d
}

// Info returns what does not change while the source is open.
func (d *device) Info() gpumetrics.Info { return d.info }

// Sample asks for the readings of the tier. It returns [gpumetrics.ErrLost] when the driver has lost
// the GPU, and [gpumetrics.ErrReopen] when the library or the division of the GPU is not what it was
// when the source was opened.
func (d *device) Sample(tier gpumetrics.Tier, s *gpumetrics.Sample) error {
	if !d.session.enter() {
		return fmt.Errorf("NVML was closed: %w", gpumetrics.ErrReopen)
	}
	defer d.session.leave()
	if err := d.gone(); err != nil {
		return err
	}
	d.stop, d.fault, d.sick = retSuccess, nil, 0
	if d.gpu != nil {
		d.sampleInstance(tier, s)
		return d.fault
	}
	d.sampleFields(tier, s)
	d.sampleQuestions(tier, s)
	switch tier {
	case gpumetrics.Once:
		d.sampleConfidential(s)
	case gpumetrics.Fast:
		d.sampleMemory(s)
		d.sampleReasons(s)
		d.sampleLinkTraffic(s)
		d.sampleGPM(s)
	case gpumetrics.Slow:
		d.sampleThroughput(s)
		d.sampleFabric(s)
		d.sampleFans(s)
		d.sampleLinks(s)
		d.checkSetup(s)
	}
	return d.fault
}

// sampleInstance asks a MIG instance for the little that the driver tells of it.
func (d *device) sampleInstance(tier gpumetrics.Tier, s *gpumetrics.Sample) {
	switch tier {
	case gpumetrics.Fast:
		d.sampleMemory(s)
		d.sampleGPM(s)
	case gpumetrics.Slow:
		for _, q := range instanceQuestions {
			d.put(q, s)
		}
	}
}

// gone returns the error of a device that needs not be asked.
func (d *device) gone() error {
	switch {
	case d.session.reopen.Load():
		return fmt.Errorf("the GPUs or their driver have changed: %w", gpumetrics.ErrReopen)
	case d.lost, d.gpu != nil && d.gpu.lost:
		return gpumetrics.ErrLost
	}
	return nil
}

// number makes one call, unless it is known to be in vain.
func (d *device) number(c call, arg int) (numbers, ret) {
	if d.stop != retSuccess {
		return numbers{}, d.stop
	}
	bit := uint64(1) << min(arg, 63)
	if d.never[c]&bit != 0 {
		return numbers{}, retNotSupported
	}
	n, r := d.h.number(c, arg)
	if d.learn(r) == classNever {
		d.never[c] |= bit
	}
	return n, r
}

// sickCalls is how many calls in a row may fail with a bad sign before the GPU is left alone until
// the next sample.
const sickCalls = 3

// learn sees what a call's return value means for the rest of the sample.
func (d *device) learn(r ret) class {
	c := r.class()
	switch c {
	case classLost:
		d.lost, d.stop = true, r
		if d.gpu != nil {
			d.gpu.lost = true
		}
		d.fault = fmt.Errorf("%s: %w", r, gpumetrics.ErrLost)
	case classLibrary:
		d.stop = r
		d.fault = fmt.Errorf("%s: %w", r, gpumetrics.ErrReopen)
	case classSick:
		if d.sick++; d.sick >= sickCalls {
			d.stop = r
		}
	default:
		d.sick = 0
	}
	return c
}

// miss marks a reading with why it has no value.
func miss(s *gpumetrics.Sample, reading gpumetrics.Reading, r ret) {
	why := gpumetrics.Failed
	switch r.class() {
	case classNever:
		why = gpumetrics.NotSupported
	case classDenied:
		why = gpumetrics.Denied
	}
	s.Miss(reading, why, r.String())
}

func (d *device) sampleConfidential(s *gpumetrics.Sample) {
	n, r := d.session.lib.number(callConfidential)
	if r != retSuccess {
		miss(s, gpumetrics.ConfidentialCompute, r)
		return
	}
	s.SetState(gpumetrics.ConfidentialCompute, n[0] != 0)
}

// checkSetup sees whether the GPU is still divided as it was when the source was opened, and, once
// for all GPUs, whether the driver is still the same.
func (d *device) checkSetup(s *gpumetrics.Sample) {
	if d == d.session.devices[0] {
		d.checkDriver()
	}
	n, r := d.number(callMIGMode, 0)
	if r != retSuccess {
		miss(s, gpumetrics.MIGInstances, r)
		return
	}
	enabled := n[0] == 1
	if enabled != d.info.MIGEnabled {
		d.changed("MIG mode has changed")
		return
	}
	var now []string
	if enabled {
		parts, r := instances(d.h)
		if r != retSuccess {
			d.learn(r)
			miss(s, gpumetrics.MIGInstances, r)
			return
		}
		for _, part := range parts {
			now = append(now, part.uuid)
		}
	}
	if !slices.Equal(now, d.instances) {
		d.changed("the MIG instances have changed")
		return
	}
	s.Set(gpumetrics.MIGInstances, float64(len(now)))
}

func (d *device) checkDriver() {
	if module := d.session.version(); differ(module, d.session.driver) {
		d.changed("the kernel module was replaced")
		return
	}
	if n, r := d.session.lib.number(callCount); r == retSuccess && n[0] != d.session.count {
		d.changed("there are " + strconv.FormatUint(n[0], 10) + " GPUs now")
	}
}

func (d *device) changed(what string) {
	d.session.reopen.Store(true)
	d.fault = fmt.Errorf("%s: %w", what, gpumetrics.ErrReopen)
}

// driverMajor is the first number of the driver's version, 0 where it is not known.
func (s *session) driverMajor() int {
	major, _, _ := strings.Cut(s.driver, ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		return 0
	}
	return n
}
