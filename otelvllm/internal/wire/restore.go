package wire

import (
	"bytes"
	"slices"
)

// dataName is the name of an event's data, with the colon.
const dataName = "data:"

// maxHeld is the most bytes that a Restorer holds back; an event that waits longer goes out as it came.
const maxHeld = 64 << 10

// Restorer gives the caller of a stream for which [Endpoint.InjectUsage] asked for usage the bytes that it would have
// got without: the usage event is taken out, and the system_fingerprint, which vLLM puts there instead of on the
// events with a finish reason, is put back on those. They wait for it; every other byte passes at once, apart from the
// beginning of an event that may be the usage event. The zero value is ready. It is not safe for concurrent use.
type Restorer struct {
	buf   []byte // from the engine
	out   int    // up to where the caller has read
	ready int    // up to where the caller may read
	pos   int    // up to where it was looked at

	event  block
	line   lineKind
	named  int   // how many bytes of its name have come
	data   int   // where its value begins, if it is data; below zero where the caller has read that
	pastCR bool  // the last line ended with a CR: a LF belongs to it
	dropLF bool  // and was taken out
	waits  []int // closing brackets of events with a finish reason that wait for the fingerprint
	off    bool  // the engine tells usage to everyone: nothing is ours to take out

	scan   scanner[answer]
	answer answer
	shapes shapes
}

// block is an event that is coming in.
type block struct {
	start, lines, dataLines int
}

type lineKind uint8

const (
	lineNone lineKind = iota
	lineName          // it may be data
	lineData
	lineOther
)

var restoreSchema = func() *node[answer] {
	n := answerSchema(generationUsage, choicesOf(append(chatDelta, completionText...)), []member[answer]{
		{"system_fingerprint", &node[answer]{on: func(a *answer, v *visit) {
			a.fingerprint = span{told: true, text: v.kind == kindString, start: v.start, end: v.end}
		}}},
	})
	n.on = func(a *answer, v *visit) { a.end = v.end }
	return n
}()

// Holding reports whether an event with a finish reason waits for the usage event.
func (r *Restorer) Holding() bool { return len(r.waits) > 0 }

// Release lets everything go out that is held, as it came. It is for the end of the stream, and for when the wait was
// too long.
func (r *Restorer) Release() {
	r.waits = r.waits[:0]
	r.ready = len(r.buf)
}

// Read fills p with bytes for the caller and returns how many there were, which is 0 if none are ready.
func (r *Restorer) Read(p []byte) int {
	n := copy(p, r.buf[r.out:r.ready])
	r.out += n
	return n
}

// Write takes the next bytes from the engine. It keeps no reference to p.
func (r *Restorer) Write(p []byte) {
	r.compact()
	r.buf = append(r.buf, p...)
	for !r.off && r.pos < len(r.buf) {
		r.next()
	}
	if !r.Holding() {
		r.ready = max(r.ready, r.safe())
	}
	if r.off || len(r.buf)-r.ready > maxHeld {
		r.Release()
	}
}

// compact drops what the caller has read.
func (r *Restorer) compact() {
	n := r.out
	if n == 0 {
		return
	}
	if rest := r.buf[n:]; cap(r.buf) > 2*maxHeld && len(rest) < maxHeld {
		r.buf = append([]byte(nil), rest...)
	} else {
		r.buf = r.buf[:copy(r.buf, rest)]
	}
	r.out, r.ready, r.pos = 0, r.ready-n, max(r.pos-n, 0)
	r.event.start, r.data = r.event.start-n, r.data-n
	for i := range r.waits {
		r.waits[i] -= n
	}
}

// safe returns up to where the caller may read when no event waits: to the end, unless the event that is coming in may
// have to go or to wait.
func (r *Restorer) safe() int {
	a, e := &r.answer, &r.event
	switch {
	case e.lines == 0:
		return len(r.buf)
	case r.line == lineName && e.lines == 1:
		return e.start
	case e.lines > 1, e.dataLines == 0:
		return len(r.buf) // an event of ours is one line
	case a.finishing():
		return e.start
	case a.position >= 0, a.failure.told, r.scan.state == notJSON, e.start < r.ready:
		return len(r.buf)
	}
	return e.start
}

// next looks at the next bytes, at least one.
func (r *Restorer) next() {
	switch rest := r.buf[r.pos:]; r.line {
	case lineNone:
		r.startLine(rest)
	case lineName:
		r.nameLine(rest[0])
	case lineData, lineOther:
		n := bytes.IndexAny(rest, "\r\n")
		if n < 0 {
			n = len(rest)
		}
		if r.line == lineData {
			r.scan.write(rest[:n])
		}
		if r.pos += n; n < len(rest) {
			r.endLine()
		}
	}
}

// startLine looks at the first byte of a line.
func (r *Restorer) startLine(rest []byte) {
	if r.pastCR {
		r.pastCR = false
		if rest[0] == '\n' {
			r.swallowLF()
			return
		}
	}
	if rest[0] == '\n' || rest[0] == '\r' {
		r.endLine()
		return
	}
	if r.event.lines == 0 {
		r.event.start = r.pos
		if n := r.shapes.match(rest); n > 0 {
			r.pos += n
			r.event.start = r.pos
			return
		}
	}
	r.event.lines++
	r.line, r.named = lineName, 0
}

// swallowLF takes the LF of a line that ended with CR LF.
func (r *Restorer) swallowLF() {
	if r.dropLF {
		r.buf = slices.Delete(r.buf, r.pos, r.pos+1)
	} else {
		r.pos++
	}
	r.dropLF = false
	if r.event.lines == 0 {
		r.event.start = r.pos
	}
}

// nameLine looks at a byte of a line that may be data.
func (r *Restorer) nameLine(c byte) {
	if c != dataName[r.named] {
		r.line = lineOther
		return
	}
	r.pos++
	if r.named++; r.named == len(dataName) {
		r.line, r.data = lineData, r.pos
		r.event.dataLines++
		r.answer.reset()
		r.scan.reset(restoreSchema, &r.answer)
	}
}

// endLine takes the end of a line; an empty one ends the event.
func (r *Restorer) endLine() {
	blank := r.line == lineNone
	r.pastCR = r.buf[r.pos] == '\r'
	r.line = lineNone
	r.pos++
	if r.pastCR && r.pos < len(r.buf) && r.buf[r.pos] == '\n' {
		r.pastCR = false
		r.pos++
	}
	if blank {
		r.endEvent()
		r.event = block{start: r.pos}
	}
}
