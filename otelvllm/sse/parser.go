package sse

import (
	"bytes"
	"time"
)

// DefaultMaxData is the limit in bytes that a [Parser] puts on the data of one event where
// [Parser.MaxData] is not set: 256 KiB.
const DefaultMaxData = 256 << 10

// byteOrderMark may stand once, at the very start of a stream.
const byteOrderMark = "\xEF\xBB\xBF"

// Event is one event of a stream. Its slices may share memory with the bytes given to
// [Parser.Write] or with the parser: they are valid only until OnEvent returns and must not be
// changed. Copy what is to be kept.
type Event struct {
	// Type is the value of the event's "event" field. It is nil where there was none or it was
	// empty, which the standard reads as the type "message".
	Type []byte
	// Data is the value of the event's "data" field. Several of them are joined by a line feed.
	// Data may be empty: an event without any data field is not an event, and is not delivered.
	Data []byte
	// ID is the last event ID of the stream: the value of the latest "id" field, in this event or
	// in an earlier one. It is empty if there was none.
	ID []byte
	// Truncated tells that Data was longer than [Parser.MaxData], or Type longer than 1 KiB, and
	// that only its beginning is here.
	Truncated bool
}

// Parser takes the bytes of an event stream through [Parser.Write], cut in any way, and calls back
// for the events they complete. The zero value is ready for use. A Parser serves one stream at a
// time and is not safe for concurrent use.
type Parser struct {
	// OnEvent is called for each event when the blank line that ends it has come, from within
	// Write and in the order of the stream. It must not call Write. Nil discards the events.
	OnEvent func(Event)
	// OnComment is called for each comment line, in the order of the stream, events included.
	// Servers send comments to keep a silent connection alive. Nil discards them.
	OnComment func()
	// MaxData is the most bytes of data that are kept of one event; zero or less means
	// [DefaultMaxData]. It bounds the memory of the parser, apart from about 4 KiB for the
	// event's type and ID. Set it before the first Write.
	MaxData int

	data, typ text
	hasData   bool // the event has a data field
	truncated bool // a part of the event was dropped
	open      bool // a field has come since the last blank line

	field   field   // of the line that the last Write left unfinished
	name    [6]byte // its name so far, cut to one byte more than the longest name that counts
	nameLen int
	first   bool // no byte of its value has come yet

	id, nextID []byte
	badID      bool // nextID holds a NUL or is too long

	retry, nextRetry int64 // milliseconds
	hasRetry         bool  // retry was told

	bom     int  // how many bytes at the start of the stream were those of a byte order mark; 3: past it
	afterCR bool // the last byte was a CR that ended a line: a LF that follows belongs to it
}

// Write parses b, calling OnEvent and OnComment for what b completes. It keeps no reference to b.
// It always returns len(b) and nil.
func (p *Parser) Write(b []byte) (int, error) {
	n := len(b)
	if p.afterCR || p.bom < len(byteOrderMark) {
		b = p.skipLeading(b)
	}
	// The places of the next LF and the next CR are kept apart, so that b is searched once for each
	// and a stream that uses only one of them costs no more than the length of b.
	lf, cr := -1, -1
	for pos := 0; pos < len(b); {
		if lf < pos {
			lf = indexFrom(b, pos, '\n')
		}
		if cr < pos {
			cr = indexFrom(b, pos, '\r')
		}
		end := min(lf, cr)
		if end == len(b) {
			p.part(b[pos:])
			break
		}
		line := b[pos:end]
		pos = end + 1
		if end == cr {
			// The line ends here whatever follows: waiting for a LF would delay the event.
			if pos == len(b) {
				p.afterCR = true
			} else if b[pos] == '\n' {
				pos++
			}
		}
		switch {
		case p.field != fieldNone:
			p.part(line)
			p.endLine()
		case pos < len(b) && b[pos] == '\n' && p.lastLine(line):
			pos++
		default:
			p.wholeLine(line)
		}
	}
	if p.open {
		p.keep()
	}
	return n, nil
}

// Pending reports whether a field, or the beginning of one, has come since the last blank line.
// Where the stream ends then, it was cut inside an event, which the standard says to discard.
// Comments are not fields.
func (p *Parser) Pending() bool {
	unfinished := p.field != fieldNone && p.field != fieldComment
	return p.open || unfinished || p.bom == 1 || p.bom == 2
}

// LastEventID returns the value of the latest "id" field, which a client that connects again sends
// as Last-Event-ID. It is empty if there was none. An ID with a NUL, or of more than 1 KiB, is
// ignored.
func (p *Parser) LastEventID() string { return string(p.id) }

// Retry returns the time that the stream asked its clients to wait before they connect again, and
// false if it did not say.
func (p *Parser) Retry() (time.Duration, bool) {
	return time.Duration(p.retry) * time.Millisecond, p.hasRetry
}

// Reset makes the parser ready for the start of another stream. It forgets everything about the
// last one, keeps OnEvent, OnComment and MaxData, and keeps its buffers unless they are large.
func (p *Parser) Reset() {
	p.data.clear()
	p.typ.clear()
	*p = Parser{
		OnEvent: p.OnEvent, OnComment: p.OnComment, MaxData: p.MaxData,
		data: p.data, typ: p.typ, id: p.id[:0], nextID: p.nextID[:0],
	}
}

// dispatch ends the event at a blank line.
func (p *Parser) dispatch() {
	if p.hasData {
		data := p.data.bytes()
		p.data.clear()
		p.deliver(data)
		return
	}
	p.typ.clear()
	p.truncated, p.open = false, false
}

// deliver ends the event, which has the given data. Slices are clipped so that appending to one
// does not write into what follows it, which may be the caller's own bytes.
func (p *Parser) deliver(data []byte) {
	e := Event{Data: data[:len(data):len(data)], ID: p.id[:len(p.id):len(p.id)], Truncated: p.truncated}
	if p.open {
		if t := p.typ.bytes(); len(t) > 0 {
			e.Type = t[:len(t):len(t)]
		}
		p.typ.clear()
		// All of the event is over before the call, so that nothing is left half done if OnEvent
		// panics. What e shares with the parser stays as it is until the next line.
		p.hasData, p.truncated, p.open = false, false, false
	}
	if p.OnEvent != nil {
		p.OnEvent(e)
	}
}

// keep makes what is known of the event independent of the bytes being written.
func (p *Parser) keep() {
	p.data.keep(p.maxData())
	p.typ.keep(maxName)
}

// skipLeading drops what begins b and belongs to no line: the LF of a CRLF whose CR came before,
// and a byte order mark at the start of the stream, also one that comes in pieces. Bytes that only
// began like a byte order mark are the beginning of the first line.
func (p *Parser) skipLeading(b []byte) []byte {
	if p.afterCR && len(b) > 0 {
		p.afterCR = false
		if b[0] == '\n' {
			b = b[1:]
		}
	}
	for len(b) > 0 && p.bom < len(byteOrderMark) {
		if b[0] != byteOrderMark[p.bom] {
			begun := byteOrderMark[:p.bom]
			p.bom = len(byteOrderMark)
			p.part([]byte(begun))
			break
		}
		p.bom++
		b = b[1:]
	}
	return b
}

func (p *Parser) maxData() int {
	if p.MaxData <= 0 {
		return DefaultMaxData
	}
	return p.MaxData
}

// indexFrom returns the index of the first c in b at or after pos, or len(b) if there is none.
func indexFrom(b []byte, pos int, c byte) int {
	if i := bytes.IndexByte(b[pos:], c); i >= 0 {
		return pos + i
	}
	return len(b)
}
