package wire

const (
	// maxDepth is how deep arrays and objects may be nested; a text that goes deeper counts as not valid.
	maxDepth = 512
	// maxTracked is how many levels a schema may have.
	maxTracked = 16
	// maxRaw is how many bytes of a name or a scalar are kept.
	maxRaw = 256
)

// state is what a scanner expects or is in the middle of.
type state uint8

const (
	wantValue     state = iota
	wantElement         // after "[": a value, or "]"
	wantName            // after "," in an object
	wantFirstName       // after "{": a name, or "}"
	wantColon
	wantComma // after a value within an array or object: a comma, or the end
	inString
	inEscape // after a backslash
	inHex    // after \u
	inNumber
	inLiteral
	atEnd // the value is complete; only white space may follow
	notJSON
)

// scanner reads one JSON text that comes in pieces, in memory that does not grow, and shows dst what its schema asks
// for. It stops at the first byte that makes the text invalid. Prepare it with reset.
type scanner[T any] struct {
	dst    *T
	root   *node[T]
	target *node[T] // of the value that comes next or is being read; nil: of no interest

	off    int64 // offset in the text of the next byte
	state  state
	num    numberState
	digits int    // of a \u escape that have come
	word   string // the rest of a literal

	depth   int
	object  bool                  // the innermost container is an object
	objects [maxDepth / 64]uint64 // by depth: a bit for each that is
	nodes   [maxTracked]*node[T]  // by depth: of each container that is of interest

	name bool // the string being read is a name
	want bool // the token being read is of interest
	kept int  // bytes of it in tok, from earlier pieces
	from int  // where it begins in the current piece
	v    visit
	tok  [maxRaw]byte
}

// reset prepares for another text.
func (s *scanner[T]) reset(root *node[T], dst *T) {
	s.root, s.dst, s.target = root, dst, root
	s.off, s.state, s.depth, s.object = 0, wantValue, 0, false
	s.want, s.kept = false, 0
}

// write takes the next piece of the text.
func (s *scanner[T]) write(p []byte) {
	s.from = 0
	for i := 0; i < len(p); {
		switch s.state {
		case inString:
			i = s.string(p, i)
		case inNumber:
			i = s.number(p, i)
		case inEscape, inHex:
			s.escape(p[i])
			i++
		case inLiteral:
			i = s.literal(p, i)
		case notJSON:
			i = len(p)
		default:
			if s.state <= wantElement && s.target == nil {
				if n := s.skipNumber(p[i:]); n > 0 {
					i += n
					continue
				}
			}
			if c := p[i]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
				s.structure(c, i)
			}
			i++
		}
	}
	if s.want {
		s.keep(p[s.from:])
	}
	s.off += int64(len(p))
}

// skipNumber passes over a number of no interest, such as the thousands of an embedding, and returns its length.
func (s *scanner[T]) skipNumber(p []byte) int {
	if p[0] > '9' || p[0] < '0' && p[0] != '-' {
		return 0
	}
	n := numberLen(p)
	if n > 0 {
		s.done()
	}
	return n
}

// whole reports whether what has come is a valid JSON text.
func (s *scanner[T]) whole() bool {
	return s.state == atEnd || s.depth == 0 && s.state == inNumber && s.num.complete()
}

// structure takes a byte between tokens, or the first of one.
func (s *scanner[T]) structure(c byte, at int) {
	state := s.state
	s.state = notJSON // unless c fits
	switch state {
	case wantValue:
		s.value(c, at)
	case wantElement:
		if c == ']' {
			s.close(at, true)
		} else {
			s.value(c, at)
		}
	case wantName, wantFirstName:
		if c == '"' {
			s.want = s.nodes[min(s.depth, maxTracked)-1] != nil && s.depth <= maxTracked
			s.beginString(at, true)
		} else if c == '}' && state == wantFirstName {
			s.close(at, true)
		}
	case wantColon:
		if c == ':' {
			s.state = wantValue
		}
	case wantComma:
		switch {
		case c == ',' && s.object:
			s.state = wantName
		case c == ',':
			s.state = wantValue
			s.targetElement()
		case c == '}' && s.object, c == ']' && !s.object:
			s.close(at, false)
		}
	}
}

// value takes the first byte of a value.
func (s *scanner[T]) value(c byte, at int) {
	switch {
	case c == '"':
		s.want = s.wanted()
		s.beginString(at, false)
	case c == '{':
		s.open(kindObject, at)
	case c == '[':
		s.open(kindArray, at)
	case c == '-' || c >= '0' && c <= '9':
		s.want, s.kept, s.from, s.v.cut = s.wanted(), 0, at, false
		s.v.start = s.off + int64(at)
		s.state, s.num = inNumber, firstOfNumber(c)
	case c == 't':
		s.beginLiteral(kindTrue, "rue", at)
	case c == 'f':
		s.beginLiteral(kindFalse, "alse", at)
	case c == 'n':
		s.beginLiteral(kindNull, "ull", at)
	}
}

func (s *scanner[T]) wanted() bool { return s.target != nil && s.target.on != nil }

// open enters an array or object.
func (s *scanner[T]) open(k kind, at int) {
	if s.depth == maxDepth {
		return
	}
	if s.wanted() {
		s.v = visit{kind: k, start: s.off + int64(at)}
		s.target.on(s.dst, &s.v)
	}
	bit := uint64(1) << (s.depth % 64)
	s.object = k == kindObject
	if s.object {
		s.objects[s.depth/64] |= bit
		s.state = wantFirstName
	} else {
		s.objects[s.depth/64] &^= bit
		s.state = wantElement
	}
	if s.depth < maxTracked {
		s.nodes[s.depth] = s.target
	}
	s.depth++
	if !s.object {
		s.targetElement()
	}
}

// targetElement finds what is of interest in the next value of an array.
func (s *scanner[T]) targetElement() {
	s.target = nil
	if s.depth <= maxTracked {
		if n := s.nodes[s.depth-1]; n != nil {
			s.target = n.element
		}
	}
}

// close leaves an array or object.
func (s *scanner[T]) close(at int, empty bool) {
	k := kindArray
	if s.object {
		k = kindObject
	}
	s.depth--
	s.target = nil
	if s.depth < maxTracked {
		s.target = s.nodes[s.depth]
	}
	if s.depth > 0 {
		s.object = s.objects[(s.depth-1)/64]>>((s.depth-1)%64)&1 == 1
	}
	if s.wanted() {
		s.v = visit{kind: k, end: s.off + int64(at) + 1, closing: true, empty: empty}
		s.target.on(s.dst, &s.v)
	}
	s.done()
}

// done ends a value.
func (s *scanner[T]) done() {
	s.want = false
	s.state = wantComma
	if s.depth == 0 {
		s.state = atEnd
	}
}

// show ends a scalar and shows it if it is of interest.
func (s *scanner[T]) show(k kind, raw []byte, end int) {
	if s.want {
		s.v.kind, s.v.raw, s.v.end = k, raw, s.off+int64(end)
		s.v.closing, s.v.empty = false, false
		s.target.on(s.dst, &s.v)
	}
	s.done()
}

// keep keeps a part of a token of interest for the next piece of the text.
func (s *scanner[T]) keep(part []byte) {
	n := copy(s.tok[s.kept:], part)
	s.kept += n
	s.v.cut = s.v.cut || n < len(part)
}

// token returns the token that ends at end in p, at most maxRaw bytes of it, if it is of interest.
func (s *scanner[T]) token(p []byte, end int) []byte {
	switch part := p[s.from:end]; {
	case !s.want:
		return nil
	case s.kept > 0:
		s.keep(part)
		return s.tok[:s.kept]
	case len(part) > maxRaw:
		s.v.cut = true
		return part[:maxRaw]
	default:
		return part
	}
}
