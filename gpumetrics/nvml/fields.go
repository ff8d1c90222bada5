package nvml

import (
	"math"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// Field numbers of nvml.h that are asked for alone.
const (
	fieldLinkCount     = 91
	fieldChipLinkCount = 170
	fieldRecovery      = 230
	// allLinks as the scope of a field asks for the sum of all links.
	allLinks = math.MaxUint32
)

// fieldRow is one field of nvmlDeviceGetFieldValues and the reading that it gives.
type fieldRow struct {
	tier      gpumetrics.Tier
	id, scope uint32
	row       int // its place in fieldRows, filled in when a batch is made
	output
}

// counter is a field that only grows, by the width of the number that the driver tells.
func counter(tier gpumetrics.Tier, id uint32, r gpumetrics.Reading) fieldRow {
	return fieldRow{tier: tier, id: id, output: output{reading: r, scale: 1, max: mostCount, bits: 64}}
}

// power is a field in milliwatts.
func power(tier gpumetrics.Tier, id, scope uint32, r gpumetrics.Reading) fieldRow {
	return fieldRow{tier: tier, id: id, scope: scope, output: milliwatts(r)[0]}
}

func gauge(tier gpumetrics.Tier, id uint32, o output) fieldRow {
	return fieldRow{tier: tier, id: id, output: o}
}

func marginLimit(id uint32, r gpumetrics.Reading) fieldRow {
	return gauge(gpumetrics.Once, id, output{reading: r, scale: 1, min: -mostCelsius, max: mostCelsius})
}

func linkTraffic(id uint32, r gpumetrics.Reading) fieldRow {
	row := counter(gpumetrics.Fast, id, r)
	row.scope = allLinks
	return row
}

// fieldRows are the fields that are asked of a GPU. Those of one tier are asked in one call.
var fieldRows = [...]fieldRow{
	marginLimit(193, gpumetrics.MarginLimitShutdown),
	marginLimit(194, gpumetrics.MarginLimitSlowdown),
	marginLimit(195, gpumetrics.MarginLimitMemoryMax),
	marginLimit(196, gpumetrics.MarginLimitGPUMax),

	counter(gpumetrics.Fast, 83, gpumetrics.Energy),
	power(gpumetrics.Fast, 186, 0, gpumetrics.Power),
	power(gpumetrics.Fast, 185, 0, gpumetrics.PowerAverage),
	power(gpumetrics.Fast, 190, 0, gpumetrics.PowerLimitEnforced),
	gauge(gpumetrics.Fast, 82, celsius(gpumetrics.TemperatureMemory)[0]),
	gauge(gpumetrics.Fast, 297, percent(gpumetrics.MMAStallUtilization, 0)),
	counter(gpumetrics.Fast, 74, gpumetrics.ClockEventTimePower),
	counter(gpumetrics.Fast, 75, gpumetrics.ClockEventTimeThermal),
	counter(gpumetrics.Fast, 76, gpumetrics.ClockEventTimeSyncBoost),
	counter(gpumetrics.Fast, 77, gpumetrics.ClockEventTimeBoardLimit),
	counter(gpumetrics.Fast, 78, gpumetrics.ClockEventTimeLowUtilization),
	counter(gpumetrics.Fast, 79, gpumetrics.ClockEventTimeReliability),
	counter(gpumetrics.Fast, 81, gpumetrics.ClockEventTimeBaseClocks),
	counter(gpumetrics.Fast, 269, gpumetrics.ClockEventTimeSWThermal),
	counter(gpumetrics.Fast, 270, gpumetrics.ClockEventTimeHWThermal),
	counter(gpumetrics.Fast, 271, gpumetrics.ClockEventTimePowerBrake),
	counter(gpumetrics.Fast, 197, gpumetrics.PCIeTransmit),
	counter(gpumetrics.Fast, 198, gpumetrics.PCIeReceive),
	counter(gpumetrics.Fast, 94, gpumetrics.PCIeReplay),
	counter(gpumetrics.Fast, 95, gpumetrics.PCIeReplayRollover),
	linkTraffic(138, gpumetrics.LinkTransmit),
	linkTraffic(139, gpumetrics.LinkReceive),
	counter(gpumetrics.Fast, 3, gpumetrics.ECCCorrected),
	counter(gpumetrics.Fast, 4, gpumetrics.ECCUncorrected),
	gauge(gpumetrics.Fast, fieldRecovery, output{reading: gpumetrics.RecoveryNone, scale: 1, max: 7}),

	power(gpumetrics.Slow, 185, 1, gpumetrics.PowerModule),
	power(gpumetrics.Slow, 185, 2, gpumetrics.PowerMemory),
	power(gpumetrics.Slow, 192, 0, gpumetrics.PowerLimitRequested),
	power(gpumetrics.Slow, 189, 0, gpumetrics.PowerLimitDefault),
	power(gpumetrics.Slow, 187, 0, gpumetrics.PowerLimitMin),
	power(gpumetrics.Slow, 188, 0, gpumetrics.PowerLimitMax),
	gauge(gpumetrics.Slow, 274, output{reading: gpumetrics.PowerEDPp, scale: 0.01, min: 1, max: 1000}),
	counter(gpumetrics.Slow, 173, gpumetrics.PCIeCorrectable),
	counter(gpumetrics.Slow, 174, gpumetrics.PCIeNAKReceived),
	counter(gpumetrics.Slow, 175, gpumetrics.PCIeReceiver),
	counter(gpumetrics.Slow, 176, gpumetrics.PCIeBadTLP),
	counter(gpumetrics.Slow, 178, gpumetrics.PCIeBadDLLP),
	counter(gpumetrics.Slow, 179, gpumetrics.PCIeNonFatal),
	counter(gpumetrics.Slow, 180, gpumetrics.PCIeFatal),
	counter(gpumetrics.Slow, 181, gpumetrics.PCIeUnsupportedRequest),
	counter(gpumetrics.Slow, 182, gpumetrics.PCIeLCRC),
	counter(gpumetrics.Slow, 183, gpumetrics.PCIeLane),
	counter(gpumetrics.Slow, 169, gpumetrics.PCIeRecovery),
	counter(gpumetrics.Slow, 38, gpumetrics.LinkCRCFlit),
	counter(gpumetrics.Slow, 45, gpumetrics.LinkCRCData),
	counter(gpumetrics.Slow, 52, gpumetrics.LinkReplay),
	counter(gpumetrics.Slow, 59, gpumetrics.LinkRecovery),
	counter(gpumetrics.Slow, 160, gpumetrics.LinkECCData),
	gauge(gpumetrics.Slow, 5, output{reading: gpumetrics.ECCLifetimeCorrected, scale: 1, max: 1 << 53}),
	gauge(gpumetrics.Slow, 6, output{reading: gpumetrics.ECCLifetimeUncorrected, scale: 1, max: 1 << 53}),
	gauge(gpumetrics.Slow, 29, small(gpumetrics.RetiredPagesSingleBit, 0, 0)),
	gauge(gpumetrics.Slow, 30, small(gpumetrics.RetiredPagesDoubleBit, 0, 0)),
	gauge(gpumetrics.Slow, 31, onOff(gpumetrics.RetiredPagesPending, 0)),
	gauge(gpumetrics.Slow, 142, small(gpumetrics.RemappedRowsCorrected, 0, 0)),
	gauge(gpumetrics.Slow, 143, small(gpumetrics.RemappedRowsUncorrected, 0, 0)),
	gauge(gpumetrics.Slow, 144, onOff(gpumetrics.RemapPending, 0)),
	gauge(gpumetrics.Slow, 145, onOff(gpumetrics.RemapFailure, 0)),
}

// recoveries are the states of field 230, by its value.
var recoveries = [...]gpumetrics.Reading{
	gpumetrics.RecoveryNone, gpumetrics.RecoveryGPUReset, gpumetrics.RecoveryNodeReboot, gpumetrics.RecoveryDrainP2P,
	gpumetrics.RecoveryDrainAndReset, gpumetrics.RecoveryIMEX, gpumetrics.RecoveryBusReset, gpumetrics.RecoverySystemReboot,
}

// sampleFields asks for the tier's fields in one call: those that the GPU has and somebody wants.
func (d *device) sampleFields(tier gpumetrics.Tier, s *gpumetrics.Sample) {
	d.batch, d.rows = d.batch[:0], d.rows[:0]
	for i, row := range fieldRows {
		switch {
		case row.tier != tier || !s.Wants(row.reading):
		case d.noField[i]:
			d.missField(row, s, retNotSupported)
		default:
			row.row = i
			d.rows = append(d.rows, row)
			d.batch = append(d.batch, field{id: row.id, scope: row.scope})
		}
	}
	d.askFields(d.batch)
	for i := range d.rows {
		d.putField(d.rows[i], &d.batch[i], s)
	}
}

// askFields asks for fields in one call. A driver that rejects the call as a whole, as an old one
// may for a number that it does not know, is asked for each alone; those it rejects are not asked
// again.
func (d *device) askFields(batch []field) {
	if len(batch) == 0 {
		return
	}
	r := d.stop
	if r == retSuccess {
		r = d.h.fields(batch)
		d.learn(r)
	}
	if r == retSuccess {
		return
	}
	for i := range batch {
		batch[i].ret = r
		if r.class() != classNever || r == retNoFunction || len(batch) == 1 || d.stop != retSuccess {
			continue
		}
		if alone := d.h.fields(batch[i : i+1]); d.learn(alone) != classOK {
			batch[i].ret = alone
		}
	}
}

func (d *device) putField(row fieldRow, f *field, s *gpumetrics.Sample) {
	if f.ret == retSuccess && f.blank() {
		f.ret = retNotSupported
	}
	switch f.ret.class() {
	case classOK:
	case classNever:
		d.noField[row.row] = true
		d.missField(row, s, f.ret)
		return
	case classLost, classLibrary:
		d.learn(f.ret)
		d.missField(row, s, f.ret)
		return
	default:
		d.missField(row, s, f.ret)
		return
	}
	v, ok := f.value()
	if !ok || v < row.min || v > row.max {
		d.missField(row, s, retAbsurd)
		return
	}
	switch {
	case row.id == fieldRecovery:
		for i, reading := range recoveries {
			s.SetState(reading, i == int(v))
		}
	case row.bits > 0:
		n, bits, ok := f.count()
		if !ok {
			miss(s, row.reading, retAbsurd)
			return
		}
		s.SetCount(row.reading, n, bits)
	default:
		s.Set(row.reading, v*row.scale)
	}
}

func (d *device) missField(row fieldRow, s *gpumetrics.Sample, r ret) {
	if row.id == fieldRecovery {
		for _, reading := range recoveries {
			miss(s, reading, r)
		}
		return
	}
	miss(s, row.reading, r)
}
