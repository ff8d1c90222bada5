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

// shapes remembers events that hold nothing but content: nearly all events of a stream are the same but for one
// string, and need no parsing once one of them was understood.
type shapes struct {
	known  [maxShapes]shape
	n      int
	next   int // the one to forget next
	recent int
	misses int
}

// shape is an event's data without what stands between the quotes of its content.
type shape struct{ prefix, suffix []byte }

// match returns the length of the text at the start of b that has one of the shapes, and a valid, non-empty string
// in its place. Zero means that there is none.
func (s *shapes) match(b []byte) int {
	if s.n == 0 {
		return 0
	}
	if n := s.known[s.recent].match(b); n > 0 {
		s.misses = 0
		return n
	}
	for i := range s.n {
		if i == s.recent {
			continue
		}
		if n := s.known[i].match(b); n > 0 {
			s.recent, s.misses = i, 0
			return n
		}
	}
	return 0
}

func (s *shape) match(b []byte) int {
	if !bytes.HasPrefix(b, s.prefix) {
		return 0
	}
	rest := b[len(s.prefix):]
	length := stringEnd(rest)
	if length <= 0 || !bytes.HasPrefix(rest[length:], s.suffix) {
		return 0
	}
	return len(s.prefix) + length + len(s.suffix)
}

// learn remembers a shape: text without what stands between start and end.
func (s *shapes) learn(text []byte, start, end int) {
	size := len(text) - (end - start)
	if size > maxShape || s.misses >= maxMisses {
		return
	}
	s.misses++
	memory := append(append(make([]byte, 0, size), text[:start]...), text[end:]...)
	s.known[s.next] = shape{prefix: memory[:start:start], suffix: memory[start:]}
	s.recent = s.next
	s.n = max(s.n, s.next+1)
	s.next = (s.next + 1) % maxShapes
}
