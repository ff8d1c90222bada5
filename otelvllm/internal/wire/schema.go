package wire

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// node says what is of interest in a JSON value, and in those within it. T is what the values are kept in.
type node[T any] struct {
	// on is called for a scalar when it is complete, and for an object or array both when it opens and when it closes.
	// Nil passes the value by.
	on      func(*T, *visit)
	members []member[T] // of an object
	element *node[T]    // of an array
}

type member[T any] struct {
	name string
	node *node[T]
}

// find returns the node of the member with the given name, as it stands between its quotes. Nil means that it is of
// no interest.
func (n *node[T]) find(name []byte) *node[T] {
	var plain [64]byte
	for _, c := range name {
		if c == '\\' {
			name = appendUnquoted(plain[:0], name)
			break
		}
	}
	for i := range n.members {
		if n.members[i].name == string(name) {
			return n.members[i].node
		}
	}
	return nil
}

type kind uint8

const (
	kindNull kind = iota
	kindFalse
	kindTrue
	kindNumber
	kindString
	kindArray
	kindObject
)

// visit is a value that the scanner met at a node. It and its bytes are valid only during the call.
type visit struct {
	kind kind
	// raw is the literal of a number, or what stands between the quotes of a string; nil for every other kind. Of more
	// than maxRaw bytes only the first are here, and cut is true.
	raw []byte
	cut bool
	// start and end are offsets in the text. Those of a string include its quotes. An array or object that opens has no
	// end yet; one that closes has no start any more.
	start, end     int64
	closing, empty bool // an array or object closes; it had nothing in it
}

// text returns a string's value as valid UTF-8, and "" for every other kind. A long string is cut at a character.
func (v *visit) text() string {
	if v.kind != kindString {
		return ""
	}
	if !v.cut && isPlain(v.raw) {
		return string(v.raw)
	}
	text := string(appendUnquoted(make([]byte, 0, len(v.raw)), v.raw))
	if v.cut {
		text = strings.TrimRight(text, "\uFFFD") // halves of a character at the cut
	}
	return text
}

// textInto sets *dst to the string's value. It allocates nothing where that is *dst already.
func (v *visit) textInto(dst *string) {
	if v.kind == kindString && !v.cut && string(v.raw) == *dst && isPlain(v.raw) {
		return
	}
	*dst = v.text()
}

// nonEmptyString reports whether v is a string with something in it.
func (v *visit) nonEmptyString() bool { return v.kind == kindString && len(v.raw) > 0 }

// integer returns the value of a whole number within ±2^53, where every reader of JSON agrees on it. A number with a
// fraction or an exponent is not one, nor is -0.
func (v *visit) integer() Int {
	raw := v.raw
	negative := len(raw) > 0 && raw[0] == '-'
	if negative {
		raw = raw[1:]
	}
	if v.kind != kindNumber || len(raw) > 16 || negative && string(raw) == "0" {
		return Int{}
	}
	var n int64
	for _, c := range raw {
		if c < '0' || c > '9' {
			return Int{}
		}
		n = n*10 + int64(c-'0')
	}
	if n > maxCount {
		return Int{}
	}
	if negative {
		n = -n
	}
	return Int{Value: n, Known: true}
}

// float returns the value of a number that a float64 can hold.
func (v *visit) float() Float {
	if v.kind != kindNumber || v.cut {
		return Float{}
	}
	f, err := strconv.ParseFloat(string(v.raw), 64)
	if err != nil || math.IsInf(f, 0) {
		return Float{}
	}
	return Float{Value: f, Known: true}
}

// isPlain reports whether raw needs no change to become a string's value.
func isPlain(raw []byte) bool {
	for _, c := range raw {
		if c == '\\' || c >= utf8.RuneSelf {
			return isPlainUTF8(raw)
		}
	}
	return true
}

func isPlainUTF8(raw []byte) bool {
	for _, c := range raw {
		if c == '\\' {
			return false
		}
	}
	return utf8.Valid(raw)
}

// Int is a whole number that may not be known.
type Int struct {
	Value int64
	Known bool
}

// Float is a finite number that may not be known.
type Float struct {
	Value float64
	Known bool
}

// maxCount is the largest count that is believed: the largest to which every whole number below is a float64.
const maxCount = 1 << 53
