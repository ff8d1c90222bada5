package sse

import "strings"

// IsEventStream reports whether the value of a Content-Type header names an event stream. Case and
// parameters do not count: the format is always UTF-8, whatever a charset says. Another type must
// not be parsed as one.
func IsEventStream(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.Trim(mediaType, " \t"), "text/event-stream")
}
