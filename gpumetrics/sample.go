package gpumetrics

import "time"

// Sample is what one device told at one time. Its size is fixed and its parts keep their memory,
// so sampling does not allocate. One goroutine may use it at a time.
type Sample struct {
	// At is when the sample was begun. The monitor sets it.
	At     time.Time
	values [numReadings]value
	parts  []PartSample
	skip   bitset // what nobody waits for
	links  bool   // links are asked for one by one
}

// value is one reading: a gauge's number, or a count of the driver with the bits after which it wraps.
type value struct {
	v     float64
	count uint64
	bits  uint8
	known bool
	miss  Miss
	// detail is the driver's word for why it is missing.
	detail string
}

// bitset marks readings.
type bitset [(int(numReadings) + 63) / 64]uint64

func (b *bitset) has(r Reading) bool { return b[r/64]&(1<<(r%64)) != 0 }
func (b *bitset) add(r Reading)      { b[r/64] |= 1 << (r % 64) }
func (b *bitset) remove(r Reading)   { b[r/64] &^= 1 << (r % 64) }

// Miss says why a reading has no value.
type Miss uint8

// Why a reading is missing.
const (
	// NotAsked: the device was not asked for it.
	NotAsked Miss = iota
	// NotSupported: this GPU, driver or mode never has it; it is not asked again before the source
	// is opened anew.
	NotSupported
	// Denied: this process may not ask. It is asked again with growing pauses.
	Denied
	// Failed: the driver could not tell now, or told what cannot be.
	Failed
)

// String returns "not asked", "not supported", "denied" or "failed".
func (m Miss) String() string {
	switch m {
	case NotAsked:
		return "not asked"
	case NotSupported:
		return "not supported"
	case Denied:
		return "denied"
	case Failed:
		return "failed"
	}
	return "unknown"
}

// PartKind is a kind of part that a device has several of.
type PartKind uint8

// The kinds of parts.
const (
	Link PartKind = iota // NVLink
	Fan
	ChipLink // NVLink-C2C
)

// PartSample holds the readings of one part of a device.
type PartSample struct {
	Kind   PartKind
	Index  int
	values [numPartReadings]value
}

// Reset forgets all readings and parts, and keeps their memory.
func (s *Sample) Reset() {
	s.At = time.Time{}
	s.values = [numReadings]value{}
	s.parts = s.parts[:0]
	s.skip = bitset{}
	s.links = false
}

// Wants tells whether anybody waits for the reading. The monitor wants nothing that is switched off,
// that the device has told to be [NotSupported], or that was denied or has failed a short time ago.
// A device that asks its driver for less saves the GPU's time; one that does not look is right too.
func (s *Sample) Wants(r Reading) bool { return !s.skip.has(r) }

// Want says whether somebody waits for the reading, for tests of a [Source]: all are wanted of a new sample. A monitor
// decides by its options and by what the device has told.
func (s *Sample) Want(r Reading, wanted bool) {
	if wanted {
		s.skip.remove(r)
	} else {
		s.skip.add(r)
	}
}

// WantsLinkBytes tells whether anybody waits for [LinkBytesTransmit] and [LinkBytesReceive].
func (s *Sample) WantsLinkBytes() bool { return s.links }

// WantLinkBytes says whether somebody waits for them, for tests of a [Source]: a new sample wants none.
func (s *Sample) WantLinkBytes(wanted bool) { s.links = wanted }

// Set records a reading that is no count. A number that is not finite is recorded as a miss.
func (s *Sample) Set(r Reading, v float64) { s.values[r] = gauge(v) }

// SetState records a state.
func (s *Sample) SetState(r Reading, on bool) {
	if on {
		s.Set(r, 1)
		return
	}
	s.Set(r, 0)
}

// SetCount records a cumulative count as the driver tells it, in the driver's unit that the reading
// names, and the bits after which it starts again at 0: 32 or 64.
func (s *Sample) SetCount(r Reading, n uint64, bits uint8) {
	s.values[r] = value{count: n, bits: bits, known: true}
}

// Miss records why a reading has no value. detail names what failed, such as "NVML_ERROR_UNKNOWN";
// it must be one of a small fixed set of words, and is a value of the attribute error.type.
func (s *Sample) Miss(r Reading, why Miss, detail string) {
	s.values[r] = value{miss: why, detail: detail}
}

// Value returns a reading that is no count.
func (s *Sample) Value(r Reading) (v float64, known bool) { return s.values[r].v, s.values[r].known }

// Count returns a count as the driver told it.
func (s *Sample) Count(r Reading) (n uint64, known bool) { return s.values[r].count, s.values[r].known }

// Part adds a part and returns it. The pointer is valid until the next call.
func (s *Sample) Part(kind PartKind, index int) *PartSample {
	s.parts = append(s.parts, PartSample{Kind: kind, Index: index})
	return &s.parts[len(s.parts)-1]
}

// Parts returns the parts. The slice is the sample's own.
func (s *Sample) Parts() []PartSample { return s.parts }

// Set records a reading of the part that is no count.
func (p *PartSample) Set(r PartReading, v float64) { p.values[r] = gauge(v) }

// SetCount records a count of the part, as [Sample.SetCount] does.
func (p *PartSample) SetCount(r PartReading, n uint64, bits uint8) {
	p.values[r] = value{count: n, bits: bits, known: true}
}

// Value returns a reading of the part that is no count.
func (p *PartSample) Value(r PartReading) (v float64, known bool) {
	return p.values[r].v, p.values[r].known
}

// Count returns a count of the part as the driver told it.
func (p *PartSample) Count(r PartReading) (n uint64, known bool) {
	return p.values[r].count, p.values[r].known
}

func gauge(v float64) value {
	if v-v != 0 { // not a number or infinite
		return value{miss: Failed, detail: "not_a_number"}
	}
	return value{v: v, known: true}
}
