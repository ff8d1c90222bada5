package otlp

import (
	"slices"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
)

// maxStringBytes is the length to which strings in spans and log records are cut. One attribute of
// megabytes would push hundreds of other spans out of the queue. The messages that a user chose to capture are
// JSON, of no use when cut, and have a limit of their own where they are captured.
const (
	maxStringBytes  = 4 << 10
	maxMessageBytes = 1 << 20
)

// maxBytes returns the limit for strings under a key.
func maxBytes(key attribute.Key) int {
	switch key {
	case "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions":
		return maxMessageBytes
	}
	return maxStringBytes
}

// Estimated memory in bytes beside the text itself. Memory is what a queue must not have too much of; encoded,
// the same span is about half as large. Short keys are constants of the program and cost nothing.
const (
	spanCost      = 480
	recordCost    = 640
	partCost      = 96 // an event or a link
	attributeCost = 64
	elementCost   = 16 // of a list
	shortKey      = 64
)

// One byte that is not UTF-8 makes protobuf refuse the whole batch, so every string is checked before an
// item enters the queue. What is clean already, nearly everything, is used as it is, without a copy.

// cleanString returns s as valid UTF-8 of at most maxStringBytes, cut between runes.
func cleanString(s string) string { return cleanText(s, maxStringBytes) }

func cleanText(s string, limit int) string {
	if len(s) <= limit && utf8.ValidString(s) {
		return s
	}
	// ToValidUTF8 may make the text longer, so it comes before the second cut.
	s = strings.ToValidUTF8(cut(s, limit), "\uFFFD")
	return strings.Clone(cut(s, limit)) // so that megabytes cut off are not kept
}

// cut returns at most limit bytes of s, without a part of a rune at the end.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := limit
	for end > limit-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// cleanAttributes returns attributes with clean keys and values, the same slice when they are, and their
// estimated size.
func cleanAttributes(attrs []attribute.KeyValue) (clean []attribute.KeyValue, bytes int) {
	copied := false
	for i, kv := range attrs {
		key := cleanString(string(kv.Key))
		value, n, same := cleanValue(kv.Value, maxBytes(kv.Key))
		bytes += attributeCost + max(len(key)-shortKey, 0) + n
		if same && key == string(kv.Key) {
			continue
		}
		if !copied {
			attrs, copied = slices.Clone(attrs), true
		}
		attrs[i] = attribute.KeyValue{Key: attribute.Key(key), Value: value}
	}
	return attrs, bytes
}

// cleanValue returns a clean v, its estimated memory beside the Value itself, and whether it is v itself.
func cleanValue(v attribute.Value, limit int) (clean attribute.Value, bytes int, same bool) {
	switch v.Type() {
	case attribute.STRING:
		s := cleanText(v.AsString(), limit)
		return orSame(v, attribute.StringValue(s), len(s), s == v.AsString())
	case attribute.BYTESLICE:
		b := v.AsByteSlice()
		short := b[:min(len(b), limit)]
		return orSame(v, attribute.ByteSliceValue(short), len(short), len(short) == len(b))
	case attribute.STRINGSLICE:
		return cleanStrings(v, limit)
	case attribute.SLICE:
		return cleanSlice(v, limit)
	case attribute.MAP:
		entries := v.AsMap()
		cleaned, n := cleanAttributes(entries)
		return orSame(v, attribute.MapValue(cleaned...), n, len(entries) == 0 || &cleaned[0] == &entries[0])
	case attribute.BOOLSLICE:
		return v, len(v.AsBoolSlice()), true
	case attribute.INT64SLICE:
		return v, elementCost * len(v.AsInt64Slice()), true
	case attribute.FLOAT64SLICE:
		return v, elementCost * len(v.AsFloat64Slice()), true
	default:
		return v, 0, true
	}
}

func orSame(v, clean attribute.Value, bytes int, same bool) (attribute.Value, int, bool) {
	if same {
		clean = v
	}
	return clean, bytes, same
}

func cleanStrings(v attribute.Value, limit int) (attribute.Value, int, bool) {
	list, bytes, same := v.AsStringSlice(), 0, true // AsStringSlice is a copy
	for i, s := range list {
		list[i] = cleanText(s, limit)
		same = same && list[i] == s
		bytes += len(list[i]) + elementCost
	}
	return orSame(v, attribute.StringSliceValue(list), bytes, same)
}

func cleanSlice(v attribute.Value, limit int) (attribute.Value, int, bool) {
	list, bytes, same := v.AsSlice(), 0, true // AsSlice is a copy
	for i, e := range list {
		clean, n, ok := cleanValue(e, limit)
		list[i] = clean
		same = same && ok
		bytes += n + attributeCost
	}
	return orSame(v, attribute.SliceValue(list...), bytes, same)
}

// cleanSet returns a set with clean keys and values, the same when it is clean.
func cleanSet(set attribute.Set) attribute.Set {
	for i := range set.Len() {
		kv, _ := set.Get(i)
		if _, _, same := cleanValue(kv.Value, maxBytes(kv.Key)); same && cleanString(string(kv.Key)) == string(kv.Key) {
			continue
		}
		attrs, _ := cleanAttributes(set.ToSlice())
		return attribute.NewSet(attrs...)
	}
	return set
}

// cleanScope returns a scope with clean texts.
func cleanScope(s instrumentation.Scope) instrumentation.Scope {
	return instrumentation.Scope{
		Name: cleanString(s.Name), Version: cleanString(s.Version), SchemaURL: cleanString(s.SchemaURL),
		Attributes: cleanSet(s.Attributes),
	}
}
