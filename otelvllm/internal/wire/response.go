package wire

import (
	"bytes"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/otelvllm/otelvllm-go/otelvllm/sse"
)

// ResponseReader reads an answer as it passes. It keeps at most one event's data (256 KiB; 4 MiB where a dialect repeats
// the whole answer in its last event), and nothing of a body that is not streamed. It is not safe for concurrent use.
type ResponseReader struct {
	endpoint *Endpoint
	format   format
	refused  bool // the status is an error's: only the error is read

	stream  sse.Parser
	between bool // no event and no line of the stream has begun
	scan    scanner[answer]
	answer  answer
	shapes  shapes
	choices []choice // by index, of the whole answer
	seen    Seen

	facts Facts
	read  bool // the body that is not streamed is in facts

	socket *socket // nil: it is no WebSocket
}

type format uint8

const (
	formatUnread format = iota
	formatStream
	formatBody
	formatSocket
)

// NewResponseReader returns a reader for one answer.
func (e *Endpoint) NewResponseReader() *ResponseReader { return &ResponseReader{endpoint: e} }

// Header takes the final status and headers of the answer. It must come before the body.
func (r *ResponseReader) Header(status int, h http.Header) {
	r.refused = status >= 400
	switch mediaType := mediaTypeOf(h); {
	case status == http.StatusSwitchingProtocols && r.endpoint.Socket:
		r.format, r.facts.Streamed = formatSocket, true
		r.listen(strings.Contains(strings.ToLower(strings.Join(h.Values("Sec-Websocket-Extensions"), ",")), "permessage-deflate"))
	case !isIdentity(h):
		r.facts.Opaque = true
		r.facts.Streamed = mediaType == "text/event-stream"
	case mediaType == "text/event-stream":
		r.format, r.facts.Streamed = formatStream, true
		r.stream.MaxData = r.endpoint.maxEvent
		r.stream.OnEvent, r.stream.OnComment = r.event, r.comment
	case mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"):
		r.format = formatBody
		r.answer.reset()
		r.scan.reset(r.endpoint.body, &r.answer)
	default:
		r.facts.Opaque = !r.readMetadata(h.Get("Metadata"))
	}
}

// readMetadata reads what vLLM tells beside an answer that is plain bytes: a header of the JSON that it would have sent.
// It reports whether there is such a header.
func (r *ResponseReader) readMetadata(text string) bool {
	if text == "" {
		return false
	}
	r.scan.reset(r.endpoint.body, &r.answer)
	r.scan.write([]byte(text))
	if r.scan.whole() {
		r.take()
	} else {
		r.facts.Invalid++
	}
	return r.scan.whole()
}

// mediaTypeOf returns the answer's media type in lower case, without parameters.
func mediaTypeOf(h http.Header) string {
	contentType := h.Get("Content-Type")
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil && mediaType == "" {
		// A parameter that is out of order does not hide the type, which stands before it.
		mediaType, _, _ = strings.Cut(contentType, ";")
		mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	}
	return mediaType
}

// isIdentity reports whether the body comes as it is. A compressed one is not read: to do so within bounds would cost
// more than it tells, and no engine compresses unless asked to.
func isIdentity(h http.Header) bool {
	for _, line := range h.Values("Content-Encoding") {
		for coding := range strings.SplitSeq(line, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
				return false
			}
		}
	}
	return true
}

// Write takes the next bytes of the body and returns what they completed. It never fails, and keeps no reference to p.
func (r *ResponseReader) Write(p []byte) Seen {
	switch r.format {
	case formatStream:
		r.seen = Seen{}
		r.writeStream(p)
		return r.seen
	case formatBody:
		r.scan.write(p)
		if r.read && !r.scan.whole() {
			// What looked like the end was not: the body is not JSON.
			r.facts, r.read = Facts{}, false
			r.choices = r.choices[:0]
		}
	case formatSocket:
		r.seen = Seen{}
		r.socket.toCaller.write(p)
		return r.seen
	case formatUnread:
	}
	return Seen{}
}

// writeStream takes the next bytes of a stream. Whole events that only bring content, as nearly all do, are recognised
// before they are parsed.
func (r *ResponseReader) writeStream(p []byte) {
	for r.between && !r.facts.Done {
		n := r.shapes.match(p)
		if n == 0 {
			break
		}
		p = p[n:]
		r.seen.Events++
		r.content()
	}
	if len(p) == 0 {
		return
	}
	_, _ = r.stream.Write(p) // it never fails
	r.between = p[len(p)-1] == '\n' && !r.stream.Pending()
}

// End tells that the body came to its proper end.
func (r *ResponseReader) End() {
	if r.format == formatBody && r.scan.off > 0 && !r.scan.whole() {
		r.facts.Invalid++
		r.format = formatUnread
	}
}

// Facts returns what the answer told so far. They belong to the reader and are valid until the next Write. A body that
// is not streamed tells all of it when its last bracket has come.
func (r *ResponseReader) Facts() *Facts {
	if r.format == formatBody && !r.read && r.scan.whole() {
		r.read = true
		r.take()
	}
	if r.socket != nil {
		r.socket.settle(&r.facts)
	}
	return &r.facts
}

func (r *ResponseReader) comment() { r.seen.Comments++ }

// event takes an event of the stream.
func (r *ResponseReader) event(e sse.Event) {
	switch {
	case r.facts.Done:
		return
	case !e.Truncated && r.shapes.matchData(e.Type, e.Data):
		r.seen.Events++
		r.content()
	case string(bytes.TrimSpace(e.Data)) == "[DONE]":
		r.facts.Done = true
	default:
		r.seen.Events++
		r.fullEvent(e)
	}
}

func (r *ResponseReader) content() {
	r.seen.Contents++
	r.facts.Contents++
}

// fullEvent reads an event that is not known by its shape.
func (r *ResponseReader) fullEvent(e sse.Event) {
	r.answer.reset()
	if e.Truncated {
		r.facts.Oversize++
		r.facts.Done = r.endpoint.endsWith(string(e.Type)) // what it was is known without its data
	} else {
		r.scan.reset(r.endpoint.event, &r.answer)
		r.scan.write(e.Data)
		if r.scan.whole() {
			r.take()
		} else {
			r.facts.Invalid++
			r.answer.reset()
		}
	}
	if string(e.Type) == "error" {
		r.facts.Err = r.answer.failed(true)
	} else {
		r.learn(e)
	}
}

// learn remembers the shape of an event that holds nothing but content.
func (r *ResponseReader) learn(e sse.Event) {
	if a := &r.answer; !r.refused && a.onlyContent() {
		r.shapes.learn(e.Type, e.Data, a.varied, a.counter)
	}
}

// take puts a whole and valid text into the facts.
func (r *ResponseReader) take() {
	a, f := &r.answer, &r.facts
	if err := a.failed(r.refused); err != nil {
		f.Err = err
	}
	if r.refused {
		return
	}
	r.rename(&f.ID, a.id)
	r.rename(&f.Model, a.model)
	f.Invalid += a.usage.addTo(&f.Usage) + a.timings.addTo(&f.Timings)
	f.Done = f.Done || f.Streamed && r.endpoint.endsWith(a.kind.value())
	for _, c := range a.choices {
		r.choose(c)
	}
	if a.content && f.Streamed {
		r.content()
	}
}

// rename notes the answer's id or model. The last counts; where it changes, so does what known shapes stand for.
func (r *ResponseReader) rename(to *string, w word) {
	if w.told && *to != w.text {
		*to = w.text
		r.shapes.forget()
	}
}

// choose notes a choice of the answer, and why it ended if it did. A choice keeps its reason.
func (r *ResponseReader) choose(c choice) {
	i, found := slices.BinarySearchFunc(r.choices, c.index, func(c choice, index int64) int {
		return int(min(max(c.index-index, -1), 1))
	})
	switch {
	case !found && len(r.choices) == maxChoices:
		return
	case !found:
		r.choices = slices.Insert(r.choices, i, c)
		r.facts.FinishReasons = slices.Insert(r.facts.FinishReasons, i, c.reason)
	case c.reason != "":
		r.choices[i].reason, r.facts.FinishReasons[i] = c.reason, c.reason
	}
}
