package wire

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Words of eight equal bytes.
const (
	ones   = 0x0101010101010101
	tops   = 0x8080808080808080
	spaces = ones * 0x20
	quotes = ones * '"'
	slants = ones * '\\'
)

// plainLen returns how many bytes of b come before the first quote, backslash or control character, none of which may
// stand in a JSON string as they are.
func plainLen(b []byte) int {
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		q, s := w^quotes, w^slants
		// In each term the lowest byte whose top bit is set is one that was sought; higher ones may be set by a borrow.
		if hit := ((w-spaces)&^w | (q-ones)&^q | (s-ones)&^s) & tops; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// digitsLen returns how many digits b begins with.
func digitsLen(b []byte) int {
	const high, sixes, zeros = ones * 0xF0, ones * 6, ones * '0'
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		// The high half of a digit is 3, also after adding 6; no carry reaches a byte's neighbour if all eight are digits.
		if w := binary.LittleEndian.Uint64(b[i:]); w&high != zeros || (w+sixes)&high != zeros {
			break
		}
	}
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

// numberLen returns the length of the number that b begins with, or 0 if it is not one, or may go on after b.
func numberLen(b []byte) int {
	i := 0
	if b[0] == '-' {
		i = 1
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if n := digitsLen(b[i:]); n > 0 {
		i += n
	} else {
		return 0
	}
	if i < len(b) && b[i] == '.' {
		n := digitsLen(b[i+1:])
		if n == 0 {
			return 0
		}
		i += 1 + n
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		n := digitsLen(b[i:])
		if n == 0 {
			return 0
		}
		i += n
	}
	if i == len(b) {
		return 0
	}
	return i
}

// stringEnd returns the index of the quote that ends a JSON string whose inside b begins with, or -1 if b holds no
// valid end of it.
func stringEnd(b []byte) int {
	for i := 0; ; {
		i += plainLen(b[i:])
		if i == len(b) || b[i] < ' ' {
			return -1
		}
		if b[i] == '"' {
			return i
		}
		n := escapeLen(b[i:])
		if n == 0 {
			return -1
		}
		i += n
	}
}

// escapeLen returns the length of the escape sequence that b begins with, or 0 if it is not a whole and valid one.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if isEscape(b[1]) {
		return 2
	}
	if b[1] != 'u' || len(b) < 6 {
		return 0
	}
	for _, c := range b[2:6] {
		if hexDigit(c) < 0 {
			return 0
		}
	}
	return 6
}

// isEscape reports whether c after a backslash stands for a character.
func isEscape(c byte) bool {
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	}
	return false
}

// hexDigit returns the value of c as a hexadecimal digit, or -1.
func hexDigit(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10
	}
	return -1
}

// appendUnquoted appends the value of a JSON string, of which raw is the inside, as valid UTF-8: half of a surrogate
// pair and each byte that is not UTF-8 become U+FFFD, as with encoding/json. What is left of an escape sequence at the end
// of a cut string is dropped.
func appendUnquoted(dst, raw []byte) []byte {
	for len(raw) > 0 {
		switch c := raw[0]; {
		case c == '\\':
			r, n := unescape(raw)
			if n == 0 {
				return dst
			}
			dst, raw = utf8.AppendRune(dst, r), raw[n:]
		case c < utf8.RuneSelf:
			dst, raw = append(dst, c), raw[1:]
		default:
			r, n := utf8.DecodeRune(raw)
			dst, raw = utf8.AppendRune(dst, r), raw[n:]
		}
	}
	return dst
}

// unescape returns the character that raw's escape sequence stands for and the length of the sequence, or 0 where it
// is cut.
func unescape(raw []byte) (r rune, n int) {
	n = escapeLen(raw)
	if n != 6 {
		if n == 2 {
			r = simpleEscape(raw[1])
		}
		return r, n
	}
	if r = hexRune(raw[2:6]); !utf16.IsSurrogate(r) {
		return r, n
	}
	if rest := raw[6:]; len(rest) >= 6 && rest[0] == '\\' && escapeLen(rest) == 6 {
		if pair := utf16.DecodeRune(r, hexRune(rest[2:6])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, n
}

func simpleEscape(c byte) rune {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return rune(c)
}

func hexRune(digits []byte) (r rune) {
	for _, c := range digits {
		r = r<<4 | hexDigit(c)
	}
	return r
}
