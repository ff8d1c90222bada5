package nvml

import "math"

// blank tells whether a field that the driver calls good was never filled in. That is how drivers
// with NVIDIA's bug 2009232 say that the GPU does not have it.
func (f *field) blank() bool { return f.timestamp == 0 && f.latency == 0 && f.kind == kindDouble }

// value returns the field's number, and false for what is none.
func (f *field) value() (float64, bool) {
	switch f.kind {
	case kindDouble:
		v := math.Float64frombits(f.bits)
		return v, v-v == 0
	case kindUint:
		return float64(uint32(f.bits)), true
	case kindUlong, kindUlonglong:
		return float64(f.bits), true
	case kindSlonglong:
		return float64(int64(f.bits)), true
	case kindInt:
		return float64(int32(f.bits)), true
	case kindUshort:
		return float64(uint16(f.bits)), true
	default:
		return 0, false
	}
}

// count returns the field's number as a count, with the bits after which it wraps. All ones are no
// count: that is how drivers write that they do not know.
func (f *field) count() (n uint64, bits uint8, ok bool) {
	switch f.kind {
	case kindUint:
		n = uint64(uint32(f.bits))
		return n, 32, n != math.MaxUint32
	case kindUlong, kindUlonglong:
		return f.bits, 64, f.bits != math.MaxUint64
	case kindUshort:
		n = uint64(uint16(f.bits))
		return n, 32, n != math.MaxUint16
	default:
		v, ok := f.value()
		if !ok || v < 0 || v > mostCount {
			return 0, 0, false
		}
		return uint64(v), 64, true
	}
}
