package wire

import "bytes"

const (
	// maxShapes is how many shapes of events are remembered: a stream of several choices has one for each.
	maxShapes = 8
	// maxShape is the most bytes of an event that are remembered apart from its content.
	maxShape = 1 << 10
	// maxMisses is how many shapes are learned in a row without one of them ever coming again.
	maxMisses = 16
)

// What stands around the data of an event as vLLM sends it.
const (
	eventHead = "data: "
	eventTail = "\n\n"
)

// shapes remembers events that hold nothing but content: nearly all events of a stream are the same but for one
// string, and need no parsing once one of them was understood.
type shapes struct {
	known  [maxShapes]shape
	n      int // how many are known
	next   int // the one to forget next
	recent int // the one that came last
	misses int // how many were learned since one came again
}

// shape is an event, from eventHead to eventTail, without what stands between the quotes of its content.
type shape struct{ prefix, suffix []byte }

// match returns the length of the event at the start of b that has one of the shapes and a valid string that is not
// empty in its place. Zero means that there is none.
func (s *shapes) match(b []byte) int {
	for i := range s.n {
		// The choices of a stream come by turns, in the same order.
		k := s.recent + i
		if k >= s.n {
			k -= s.n
		}
		known := &s.known[k]
		if n := matchAround(b, known.prefix, known.suffix); n > 0 {
			s.recent, s.misses = k, 0
			return n
		}
	}
	return 0
}

// matchData is match for the data of one event.
func (s *shapes) matchData(data []byte) bool {
	for i := range s.n {
		known := &s.known[i]
		n := matchAround(data, known.prefix[len(eventHead):], known.suffix[:len(known.suffix)-len(eventTail)])
		if n > 0 && n == len(data) {
			s.recent, s.misses = i, 0
			return true
		}
	}
	return false
}

func matchAround(b, prefix, suffix []byte) int {
	if !bytes.HasPrefix(b, prefix) {
		return 0
	}
	rest := b[len(prefix):]
	length := stringEnd(rest)
	if length <= 0 || !bytes.HasPrefix(rest[length:], suffix) {
		return 0
	}
	return len(prefix) + length + len(suffix)
}

// learn remembers a shape: that of an event's data, without what stands between start and end.
func (s *shapes) learn(data []byte, start, end int) {
	size := len(eventHead) + start + len(data) - end + len(eventTail)
	if size > maxShape || s.misses >= maxMisses {
		return
	}
	s.misses++
	memory := append(append(make([]byte, 0, size), eventHead...), data[:start]...)
	at := len(memory)
	memory = append(append(memory, data[end:]...), eventTail...)
	s.known[s.next] = shape{prefix: memory[:at:at], suffix: memory[at:]}
	s.recent = s.next
	s.n = max(s.n, s.next+1)
	s.next = (s.next + 1) % maxShapes
}

// forget drops all shapes.
func (s *shapes) forget() { s.n, s.next, s.recent = 0, 0, 0 }
