package sse

import (
	"bytes"
	"math"
	"time"
)

// maxName is the most bytes that are kept of an event's type, and the most that an ID may have.
const maxName = 1 << 10

// maxRetry is the longest reconnection time in milliseconds that a time.Duration can hold.
const maxRetry = math.MaxInt64 / int64(time.Millisecond)

// What stands in the place of a reconnection time that is not one.
const (
	noDigits  = -1 // no digit has come yet
	notDigits = -2 // something else than a digit has come
)

// field says what the line being read is.
type field uint8

const (
	fieldNone    field = iota // no line has begun
	fieldName                 // its name is not complete yet
	fieldData                 // data
	fieldEvent                // event
	fieldID                   // id
	fieldRetry                // retry
	fieldComment              // a line that begins with a colon
	fieldUnknown              // any other name: the standard says to ignore it
)

// fieldOf returns the field with the given name, which is what stands before the colon.
func fieldOf(name []byte) field {
	switch string(name) {
	case "data":
		return fieldData
	case "event":
		return fieldEvent
	case "id":
		return fieldID
	case "retry":
		return fieldRetry
	case "":
		return fieldComment
	}
	return fieldUnknown
}

// wholeLine takes a line that lies inside one Write, without its end.
func (p *Parser) wholeLine(line []byte) {
	if len(line) == 0 {
		p.dispatch()
		return
	}
	name, value, _ := bytes.Cut(line, []byte{':'})
	switch f := fieldOf(name); f {
	case fieldData:
		p.wholeData(trimSpace(value))
	case fieldEvent:
		p.open = true
		p.truncated = p.typ.set(trimSpace(value), maxName) || p.truncated
	default:
		p.begin(f)
		p.value(value)
		p.endLine()
	}
}

// lastLine takes a line that a blank line follows, if it is the only data field of its event, as
// in nearly every event of an engine. It delivers the event at once and reports whether it did:
// then the blank line is dealt with.
func (p *Parser) lastLine(line []byte) bool {
	if p.hasData || len(line) < 5 || string(line[:5]) != "data:" {
		return false
	}
	value := trimSpace(line[5:])
	if len(value) > p.maxData() {
		return false
	}
	p.deliver(value)
	return true
}

// wholeData takes the value of a data field that lies inside one Write.
func (p *Parser) wholeData(value []byte) {
	p.open = true
	if p.hasData {
		p.beginData()
		p.truncated = p.data.append(value, p.maxData()) || p.truncated
		return
	}
	p.hasData = true
	p.truncated = p.data.set(value, p.maxData()) || p.truncated
}

// part takes a piece of a line that is longer than what one Write brought of it.
func (p *Parser) part(piece []byte) {
	if len(piece) == 0 {
		return
	}
	if p.field == fieldNone {
		p.field, p.nameLen = fieldName, 0
	}
	if p.field == fieldName {
		name, value, complete := bytes.Cut(piece, []byte{':'})
		p.nameLen += copy(p.name[p.nameLen:], name)
		if !complete {
			return
		}
		p.begin(fieldOf(p.name[:p.nameLen]))
		piece = value
	}
	p.value(piece)
}

// begin starts the value of a field.
func (p *Parser) begin(f field) {
	p.field, p.first = f, true
	switch f {
	case fieldData:
		p.beginData()
	case fieldEvent:
		p.typ.clear()
	case fieldID:
		p.nextID, p.badID = p.nextID[:0], false
	case fieldRetry:
		p.nextRetry = noDigits
	case fieldNone, fieldName, fieldComment, fieldUnknown:
	}
}

// beginData separates the data field that begins from the one before.
func (p *Parser) beginData() {
	if p.hasData {
		p.truncated = p.data.append([]byte{'\n'}, p.maxData()) || p.truncated
	}
	p.hasData = true
}

// value takes a piece of the value of the field that has begun.
func (p *Parser) value(piece []byte) {
	if len(piece) == 0 {
		return
	}
	if p.first {
		p.first = false
		piece = trimSpace(piece)
	}
	switch p.field {
	case fieldData:
		p.truncated = p.data.append(piece, p.maxData()) || p.truncated
	case fieldEvent:
		p.truncated = p.typ.append(piece, maxName) || p.truncated
	case fieldID:
		if p.badID = p.badID || len(p.nextID)+len(piece) > maxName || bytes.IndexByte(piece, 0) >= 0; !p.badID {
			p.nextID = append(p.nextID, piece...)
		}
	case fieldRetry:
		p.retryDigits(piece)
	case fieldNone, fieldName, fieldComment, fieldUnknown:
	}
}

// retryDigits takes a piece of a reconnection time, which counts only if all of it is digits.
func (p *Parser) retryDigits(piece []byte) {
	for _, c := range piece {
		if c < '0' || c > '9' {
			p.nextRetry = notDigits
		}
		if p.nextRetry == notDigits {
			return
		}
		p.nextRetry = min(maxRetry, max(p.nextRetry, 0)*10+int64(c-'0'))
	}
}

// endLine ends a line that came through part, or through begin and value.
func (p *Parser) endLine() {
	if p.field == fieldName { // a line without a colon is a field with an empty value
		p.begin(fieldOf(p.name[:p.nameLen]))
	}
	f := p.field
	p.field = fieldNone
	switch f {
	case fieldComment:
		if p.OnComment != nil {
			if p.open { // a panic of OnComment ends Write before it keeps what it has of the event
				p.keep()
			}
			p.OnComment()
		}
		return
	case fieldID:
		if !p.badID {
			p.id, p.nextID = p.nextID, p.id
		}
	case fieldRetry:
		if p.nextRetry >= 0 {
			p.retry, p.hasRetry = p.nextRetry, true
		}
	case fieldNone, fieldName, fieldData, fieldEvent, fieldUnknown:
	}
	p.open = true
}

// trimSpace drops the one space that may follow the colon.
func trimSpace(value []byte) []byte {
	if len(value) > 0 && value[0] == ' ' {
		return value[1:]
	}
	return value
}
