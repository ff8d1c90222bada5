package engine

import (
	"math"
	"strconv"
)

// Value is a reading that may be missing: absent is not zero. The zero Value is not known.
type Value struct {
	V     float64
	Known bool
}

// known returns a Value of v, or an unknown one if v is not finite.
func known(v float64) Value {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return Value{}
	}
	return Value{V: v, Known: true}
}

// MarshalJSON writes a number, or null for a value that is not known.
func (v Value) MarshalJSON() ([]byte, error) {
	if !v.Known || math.IsNaN(v.V) || math.IsInf(v.V, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, v.V, 'g', -1, 64), nil
}

// String returns the number, or "unknown".
func (v Value) String() string {
	if !v.Known {
		return "unknown"
	}
	return strconv.FormatFloat(v.V, 'g', -1, 64)
}

// plus adds what is known of two values.
func (v Value) plus(w Value) Value {
	if !v.Known {
		return w
	}
	if w.Known {
		v.V += w.V
	}
	return v
}

// larger returns the larger of two values, as far as they are known.
func (v Value) larger(w Value) Value {
	if !v.Known || w.Known && w.V > v.V {
		return w
	}
	return v
}
