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
	eventType = "event: " // with a line feed behind the type; most dialects have none
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

// shape is an event, from its type or eventHead to eventTail, without what stands between the quotes of its content, and
// without the number that counts the events where it comes later.
type shape struct {
	typ            string
	prefix, suffix []byte
	tail           []byte // what follows the number; nil: there is none, and suffix reaches to the end
	head           int    // how much of prefix comes before the data
}

// match returns the length of the event at the start of b that has one of the shapes and a valid string that is not
// empty in its place. Zero means that there is none.
func (s *shapes) match(b []byte) int {
	for i := range s.n {
		// The choices of a stream come by turns, in the same order.
		k := s.recent + i
		if k >= s.n {
			k -= s.n
		}
		if n := s.known[k].match(b); n > 0 {
			s.recent, s.misses = k, 0
			return n
		}
	}
	return 0
}

// matchData is match for the type and data of one event.
func (s *shapes) matchData(typ, data []byte) bool {
	for i := range s.n {
		inner := s.known[i] // what of it lies in the data
		inner.prefix = inner.prefix[inner.head:]
		end := &inner.suffix
		if inner.tail != nil {
			end = &inner.tail
		}
		*end = (*end)[:len(*end)-len(eventTail)]
		if n := inner.match(data); n > 0 && n == len(data) && string(typ) == inner.typ {
			s.recent, s.misses = i, 0
			return true
		}
	}
	return false
}

// match returns the length of what b begins with and has the shape, or 0.
func (k *shape) match(b []byte) int {
	if !bytes.HasPrefix(b, k.prefix) {
		return 0
	}
	rest := b[len(k.prefix):]
	length := stringEnd(rest)
	if length <= 0 || !bytes.HasPrefix(rest[length:], k.suffix) {
		return 0
	}
	n := len(k.prefix) + length + len(k.suffix)
	if k.tail == nil {
		return n
	}
	digits := digitsLen(b[n:])
	if digits == 0 || b[n] == '0' && digits > 1 || !bytes.HasPrefix(b[n+digits:], k.tail) {
		return 0
	}
	return n + digits + len(k.tail)
}

// learn remembers a shape: that of an event with the given type, which may be empty, and data, without the inside of the
// string at content and, if there is one, without the number at counter. An event whose number comes first is not
// remembered.
func (s *shapes) learn(typ, data []byte, content, counter span) {
	start, end := int(content.start)+1, int(content.end)-1
	if len(typ)+len(data)-(end-start) > maxShape || s.misses >= maxMisses || counter.told && counter.start < content.end {
		return
	}
	s.misses++
	memory := make([]byte, 0, len(eventType)+len(typ)+1+len(eventHead)+len(data)-(end-start)+len(eventTail))
	if len(typ) > 0 {
		memory = append(append(append(memory, eventType...), typ...), '\n')
	}
	memory = append(memory, eventHead...)
	head := len(memory)
	memory = append(memory, data[:start]...)
	at := len(memory)
	learned := shape{typ: string(typ), prefix: memory[:at:at], head: head}
	if counter.told {
		memory = append(memory, data[end:counter.start]...)
		learned.suffix = memory[at:len(memory):len(memory)]
		at, end = len(memory), int(counter.end)
	}
	memory = append(append(memory, data[end:]...), eventTail...)
	if counter.told {
		learned.tail = memory[at:]
	} else {
		learned.suffix = memory[at:]
	}
	s.known[s.next] = learned
	s.recent = s.next
	s.n = max(s.n, s.next+1)
	s.next = (s.next + 1) % maxShapes
}

// forget drops all shapes.
func (s *shapes) forget() { s.n, s.next, s.recent = 0, 0, 0 }
