package gpumetrics

import "math"

// check says which values of a reading can be true. Drivers have been seen to report success with
// all bits set, with 0 degrees, and with more than 100 percent.
type check uint8

const (
	any64       check = iota
	ratio             // 0 to 1
	factor            // 0 to 10
	state             // 0 or 1
	memory            // bytes, less than an exbibyte
	temperature       // degrees above 0: no running chip is colder, and 0 is what a failed reading gives
	degrees           // a difference of temperatures
	watts             // more than 0: an idle GPU draws some
	hertz
	performance // 0 to 15; 32 means unknown
	small       // 1 to 64
	positive
	level // a number of things, not all bits set

	// Counts of the driver. Each has a greatest rate, so that garbage does not become part of a sum.
	count    // events
	traffic  // bytes or kibibytes of a link
	energy   // mJ
	heldTime // ns
)

func (c check) counts() bool { return c >= count }

// ok tells whether a reading that is no count can be true.
func (c check) ok(v float64) bool {
	switch c {
	case ratio:
		return v >= 0 && v <= 1
	case factor:
		return v >= 0 && v <= 10
	case state:
		return v == 0 || v == 1
	case memory:
		return v >= 0 && v < 1<<60
	case temperature:
		return v > 0 && v < 200
	case degrees:
		return v > -200 && v < 200
	case watts:
		return v > 0 && v < 100_000
	case hertz:
		return v >= 0 && v < 1e11
	case performance:
		return v >= 0 && v <= 15
	case small:
		return v >= 1 && v <= 64
	case positive:
		return v >= 0 && v < 1e15
	case level:
		return v >= 0 && v < math.MaxUint32
	default:
		return true
	}
}

// rate is the most by which a count can grow in a second, in the driver's unit.
func (c check) rate() float64 {
	switch c {
	case traffic:
		return 1e13
	case energy:
		return 100_000 * 1e3 // 100 kW
	case heldTime:
		return 1e9
	default:
		return math.Inf(1)
	}
}
