package wire

// beginString starts a string at the quote at at.
func (s *scanner[T]) beginString(at int, name bool) {
	s.state, s.name = inString, name
	s.kept, s.from, s.v.cut = 0, at+1, false
	s.v.start = s.off + int64(at)
}

// string reads on in a string, and returns where it got to.
func (s *scanner[T]) string(p []byte, i int) int {
	i += plainLen(p[i:])
	if i == len(p) {
		return i
	}
	switch p[i] {
	case '"':
		s.endString(p, i)
	case '\\':
		s.state = inEscape
	default:
		s.state, s.want = notJSON, false
	}
	return i + 1
}

func (s *scanner[T]) endString(p []byte, i int) {
	raw := s.token(p, i)
	if !s.name {
		s.show(kindString, raw, i+1)
		return
	}
	s.target = nil
	if s.want && !s.v.cut {
		s.target = s.nodes[s.depth-1].find(raw)
	}
	s.state, s.want = wantColon, false
}

// escape takes a byte of an escape sequence.
func (s *scanner[T]) escape(c byte) {
	switch {
	case s.state == inHex && hexDigit(c) >= 0:
		if s.digits++; s.digits == 4 {
			s.state = inString
		}
	case s.state == inEscape && c == 'u':
		s.state, s.digits = inHex, 0
	case s.state == inEscape && isEscape(c):
		s.state = inString
	default:
		s.state, s.want = notJSON, false
	}
}

// beginLiteral starts null, true or false; rest is what must follow its first letter.
func (s *scanner[T]) beginLiteral(k kind, rest string, at int) {
	s.state, s.word = inLiteral, rest
	s.v = visit{kind: k, start: s.off + int64(at)}
}

// literal reads on in null, true or false, and returns where it got to.
func (s *scanner[T]) literal(p []byte, i int) int {
	word := s.word
	for ; i < len(p); i++ {
		if p[i] != word[0] {
			s.state = notJSON
			return i
		}
		if word = word[1:]; word == "" {
			s.want = s.wanted()
			s.show(s.v.kind, nil, i+1)
			return i + 1
		}
	}
	s.word = word
	return i
}

// numberState is where in a number a scanner is.
type numberState uint8

const (
	afterMinus numberState = iota
	afterZero              // a leading zero: no digit may follow
	inInteger
	afterPoint
	inFraction
	afterE
	afterSign // of the exponent
	inExponent
)

// complete reports whether the number may end here.
func (n numberState) complete() bool {
	return n == afterZero || n == inInteger || n == inFraction || n == inExponent
}

func firstOfNumber(c byte) numberState {
	switch c {
	case '-':
		return afterMinus
	case '0':
		return afterZero
	}
	return inInteger
}

// number reads on in a number, and returns where it got to.
func (s *scanner[T]) number(p []byte, i int) int {
	for n := s.num; i < len(p); i++ {
		if n == inInteger || n == inFraction || n == inExponent {
			if i += digitsLen(p[i:]); i == len(p) {
				break
			}
		}
		next, ok := n.next(p[i])
		if !ok {
			s.endNumber(p, i, n)
			return i
		}
		n, s.num = next, next
	}
	return i
}

func (s *scanner[T]) endNumber(p []byte, i int, n numberState) {
	if !n.complete() {
		s.state, s.want = notJSON, false
		return
	}
	s.show(kindNumber, s.token(p, i), i)
}

// next returns the state after c, or false if c is no part of the number.
func (n numberState) next(c byte) (numberState, bool) {
	digit := c >= '0' && c <= '9'
	switch n {
	case afterMinus:
		if digit {
			return firstOfNumber(c), true
		}
	case afterZero, inInteger:
		if c == '.' {
			return afterPoint, true
		}
		if c == 'e' || c == 'E' {
			return afterE, true
		}
	case afterPoint:
		return inFraction, digit
	case inFraction:
		if c == 'e' || c == 'E' {
			return afterE, true
		}
	case afterE:
		if c == '+' || c == '-' {
			return afterSign, true
		}
		return inExponent, digit
	case afterSign:
		return inExponent, digit
	case inExponent:
	}
	return n, false
}
