package gpumetrics

import (
	"math"
	"time"
)

// accumulator turns a count of the driver, which starts anywhere, wraps, and goes back to 0 when the
// driver is loaded again, into a sum that starts at 0 and never falls.
type accumulator struct {
	sum     float64 // in the instrument's unit
	last    uint64
	at      time.Time // of last; zero before the first reading
	suspect uint64    // a reading that was too high to be true
	doubt   bool
}

// add takes a reading in. It returns false if the count grew faster than anything can; then the
// reading is not part of the sum, and the next one is measured from whichever of the two it fits.
func (a *accumulator) add(n uint64, bits uint8, now time.Time, c check, scale float64) bool {
	if a.at.IsZero() {
		a.last, a.at = n, now
		return true
	}
	limit := c.rate() * (now.Sub(a.at).Seconds()*1.05 + 0.5)
	grown := growth(a.last, n, bits, limit)
	if float64(grown) > limit {
		if a.doubt && n >= a.suspect && float64(n-a.suspect) <= limit {
			a.last, a.at, a.doubt = n, now, false // the count has moved: go on from there, and add nothing
			return true
		}
		a.suspect, a.doubt = n, true
		return false
	}
	a.sum += float64(grown) * scale
	a.last, a.at, a.doubt = n, now, false
	return true
}

// growth is how much a count grew. One that fell from its last quarter into its first has wrapped,
// if it can have grown so fast; any other that fell has started again at 0.
func growth(last, n uint64, bits uint8, limit float64) uint64 {
	if n >= last {
		return n - last
	}
	size := uint64(math.MaxUint64)
	if bits == 32 {
		size = math.MaxUint32
	}
	if last >= size/4*3 && n <= size/4 {
		if wrapped := n + (size - last) + 1; float64(wrapped) <= limit {
			return wrapped
		}
	}
	return n
}

// plausibleCount tells whether a count can be one: not all bits set, and within its width.
func plausibleCount(n uint64, bits uint8) bool {
	if bits == 32 {
		return n < math.MaxUint32
	}
	return n != math.MaxUint64
}
