package nvml

import (
	"math"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// Fields that are told of one link each; the scope is the link.
const (
	fieldLinkTransmit = 138 // KiB
	fieldLinkReceive  = 139
	fieldLinkSent     = 202 // bytes, from Blackwell on
	fieldLinkReceived = 204
	fieldLinkSpeed    = 164 // MB per second
	fieldLinkState    = 165
	fieldChipState    = 171
	fieldChipSpeed    = 172
)

// linkCounter is a count that drivers tell only of single links, from Blackwell on, so that the sum
// is made here.
type linkCounter struct {
	tier    gpumetrics.Tier
	id      uint32
	reading gpumetrics.Reading
	divisor uint64 // from the driver's unit to the reading's
}

var linkCounters = [...]linkCounter{
	{gpumetrics.Fast, fieldLinkSent, gpumetrics.LinkTransmit, 1024},
	{gpumetrics.Fast, fieldLinkReceived, gpumetrics.LinkReceive, 1024},
	{gpumetrics.Slow, 206, gpumetrics.LinkMalformed, 1},
	{gpumetrics.Slow, 207, gpumetrics.LinkBufferOverrun, 1},
	{gpumetrics.Slow, 208, gpumetrics.LinkRx, 1},
	{gpumetrics.Slow, 209, gpumetrics.LinkRxRemote, 1},
	{gpumetrics.Slow, 211, gpumetrics.LinkIntegrity, 1},
	{gpumetrics.Slow, 212, gpumetrics.LinkTxDiscard, 1},
	{gpumetrics.Slow, 214, gpumetrics.LinkRecoveryFailed, 1},
	{gpumetrics.Slow, 219, gpumetrics.LinkEffective, 1},
	{gpumetrics.Slow, 221, gpumetrics.LinkSymbol, 1},
}

// linkCounts is what was told of each link. A link that is down tells nothing, and the sum must not
// fall by what it had told: that would look like a counter that began anew.
type linkCounts struct {
	last  [len(linkCounters)][]uint64
	never [len(linkCounters)]bool
}

// sampleLinkTraffic tells the bytes of all links where the sum that older GPUs tell is not there.
func (d *device) sampleLinkTraffic(s *gpumetrics.Sample) { d.sumLinks(gpumetrics.Fast, s) }

func (d *device) sumLinks(tier gpumetrics.Tier, s *gpumetrics.Sample) {
	for i := range linkCounters {
		c := &linkCounters[i]
		if _, known := s.Value(c.reading); known || c.tier != tier || !s.Wants(c.reading) {
			continue
		}
		if d.info.Links <= 0 || d.links.never[i] {
			miss(s, c.reading, retNotSupported)
			continue
		}
		if r := d.sumLink(i); r != retSuccess {
			miss(s, c.reading, r)
			continue
		}
		var sum uint64
		for _, n := range d.links.last[i] {
			sum += n
		}
		s.SetCount(c.reading, sum/c.divisor, 64)
	}
}

// sumLink asks for one count of every link.
func (d *device) sumLink(i int) ret {
	d.linkBatch(linkCounters[i].id)
	d.askFields(d.batch)
	if d.links.last[i] == nil {
		d.links.last[i] = make([]uint64, d.info.Links)
	}
	told, never, problem := 0, 0, retSuccess
	for link := range d.batch {
		f := &d.batch[link]
		n, _, ok := f.count()
		switch {
		case f.ret.class() == classNever, f.ret == retSuccess && f.blank():
			never++
		case f.ret != retSuccess:
			problem = f.ret
			if c := f.ret.class(); c == classLost || c == classLibrary {
				d.learn(f.ret)
			}
		case !ok:
			problem = retAbsurd
		default:
			told++
			d.links.last[i][link] = n
		}
	}
	switch {
	case problem != retSuccess:
		return problem
	case told == 0 && never == len(d.batch):
		d.links.never[i] = true
		return retNotSupported
	}
	return retSuccess
}

// linkBatch makes a batch of one field for each link.
func (d *device) linkBatch(id uint32) {
	d.batch = d.batch[:0]
	for link := range d.info.Links {
		d.batch = append(d.batch, field{id: id, scope: uint32(link)})
	}
}

// sampleLinks tells the state and speed of each link, and its bytes where somebody wants them.
func (d *device) sampleLinks(s *gpumetrics.Sample) {
	d.sumLinks(gpumetrics.Slow, s)
	if d.info.Links > 0 {
		d.sampleNVLinks(s)
	}
	if d.chipLinks > 0 {
		d.batch = d.batch[:0]
		for link := range d.chipLinks {
			d.batch = append(d.batch, field{id: fieldChipState, scope: uint32(link)}, field{id: fieldChipSpeed, scope: uint32(link)})
		}
		d.askFields(d.batch)
		for link := range d.chipLinks {
			d.putLink(s, gpumetrics.ChipLink, link, d.batch[2*link:])
		}
	}
}

func (d *device) sampleNVLinks(s *gpumetrics.Sample) {
	bytes := s.WantsLinkBytes()
	fields := []uint32{fieldLinkState, fieldLinkSpeed}
	if bytes {
		fields = append(fields, fieldLinkTransmit, fieldLinkReceive, fieldLinkSent, fieldLinkReceived)
	}
	d.batch = d.batch[:0]
	for link := range d.info.Links {
		for _, id := range fields {
			d.batch = append(d.batch, field{id: id, scope: uint32(link)})
		}
	}
	d.askFields(d.batch)
	for link := range d.info.Links {
		answers := d.batch[link*len(fields):]
		if answers[0].ret.class() == classNever { // before driver 525 there is only the call
			if n, r := d.number(callLinkState, link); r == retSuccess {
				answers[0] = field{id: fieldLinkState, kind: kindUint, bits: n[0]}
			}
		}
		part := d.putLink(s, gpumetrics.Link, link, answers)
		if bytes {
			putTraffic(part, gpumetrics.LinkBytesTransmit, &answers[2], &answers[4])
			putTraffic(part, gpumetrics.LinkBytesReceive, &answers[3], &answers[5])
		}
	}
}

// putTraffic puts the count of a link: in KiB as GPUs up to Hopper tell it, else in bytes.
func putTraffic(part *gpumetrics.PartSample, reading gpumetrics.PartReading, kib, bytes *field) {
	if n, bits, ok := kib.count(); kib.ret == retSuccess && !kib.blank() && ok {
		part.SetCount(reading, n, bits)
	} else if n, _, ok := bytes.count(); bytes.ret == retSuccess && !bytes.blank() && ok {
		part.SetCount(reading, n/1024, 64)
	}
}

// putLink adds a link with its state and speed, the first two of the answers. A link of which the
// driver tells nothing has no readings.
func (d *device) putLink(s *gpumetrics.Sample, kind gpumetrics.PartKind, link int, answers []field) *gpumetrics.PartSample {
	part := s.Part(kind, link)
	state, speed := &answers[0], &answers[1]
	if c := state.ret.class(); c == classLost || c == classLibrary {
		d.learn(state.ret)
	}
	v, ok := state.value()
	if state.ret != retSuccess || !ok || v > math.MaxUint8 {
		return part
	}
	up := 0.0
	if v != 0 {
		up = 1
	}
	part.Set(gpumetrics.LinkUp, up)
	if v, ok := speed.value(); speed.ret == retSuccess && ok && v > 0 && v < math.MaxUint32 {
		part.Set(gpumetrics.LinkBandwidthLimit, v*1e6)
	}
	return part
}

// sampleFans tells the speed of each fan. NVML tells revolutions of the first one only.
func (d *device) sampleFans(s *gpumetrics.Sample) {
	for fan := range d.info.Fans {
		part := s.Part(gpumetrics.Fan, fan)
		if n, r := d.number(callFanSpeed, fan); r == retSuccess && n[0] <= 2*mostPercent { // it may exceed 100
			part.Set(gpumetrics.FanSpeedRatio, float64(n[0])/100)
		}
		if fan > 0 {
			continue
		}
		if n, r := d.number(callFanRPM, 0); r == retSuccess && n[0] <= mostSmall {
			part.Set(gpumetrics.FanSpeed, float64(n[0]))
		}
	}
}
