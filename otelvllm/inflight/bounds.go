package inflight

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// What is kept of a string, in bytes, and of a request's spans.
const (
	maxString = 256
	maxSpans  = 64
)

// clean returns s as valid UTF-8 of at most maxString bytes. It is s itself where nothing had to
// change, and else a copy.
func clean(s string) string {
	if len(s) <= maxString && utf8.ValidString(s) {
		return s
	}
	// The replacement of an invalid sequence may be longer than the sequence, hence the second cut.
	return strings.Clone(cut(strings.ToValidUTF8(cut(s), "\uFFFD")))
}

// cut returns the first maxString bytes of s, or a few less, so as not to cut a character in two.
func cut(s string) string {
	if len(s) <= maxString {
		return s
	}
	n := maxString
	for n > maxString-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func cleanSpans(spans []Span) []Span {
	spans = slices.Clone(spans[:min(len(spans), maxSpans)])
	for i := range spans {
		spans[i].Name = clean(spans[i].Name)
	}
	return spans
}
