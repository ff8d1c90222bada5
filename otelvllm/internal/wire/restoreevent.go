package wire

import (
	"bytes"
	"slices"
)

// finishing reports whether a choice has a finish reason.
func (a *answer) finishing() bool {
	return a.choice.reason != "" || slices.ContainsFunc(a.choices, func(c choice) bool { return c.reason != "" })
}

// endEvent decides what becomes of the event that is complete now.
func (r *Restorer) endEvent() {
	if r.event.dataLines == 0 {
		return // a comment, which changes nothing
	}
	a := &r.answer
	read := r.event.lines == 1 && r.scan.whole() && a.lists < 2 // of two, the first may have gone out when the second comes
	switch {
	case !read, a.failed(false) != nil:
		r.release()
	case a.usageTold && a.noChoices:
		r.endUsage()
	case a.usageTold:
		// Nobody asked for usage beside content, so the engine tells it to everyone and would have sent all of this.
		r.off = true
	case a.finishing() && !a.fingerprint.told:
		r.wait()
	case !r.Holding():
		r.learn()
	}
}

// release lets everything go out up to the end of the event.
func (r *Restorer) release() {
	r.waits = r.waits[:0]
	r.ready = max(r.ready, r.pos)
}

// wait holds the event, from where it has not gone out yet, until the fingerprint comes.
func (r *Restorer) wait() {
	bracket := r.data + int(r.answer.end) - 1
	if len(r.waits) == maxChoices || bracket < r.ready {
		r.release()
		return
	}
	if !r.Holding() {
		r.ready = max(r.ready, r.event.start)
	}
	r.waits = append(r.waits, bracket)
}

// endUsage takes the usage event out and puts its fingerprint where it belongs.
func (r *Restorer) endUsage() {
	if r.event.start < r.ready {
		r.release() // some of it has gone out
		return
	}
	var fingerprint []byte
	if f := r.answer.fingerprint; f.text {
		fingerprint = bytes.Clone(r.buf[r.data+int(f.start) : r.data+int(f.end)])
	}
	r.buf = slices.Delete(r.buf, r.event.start, r.pos)
	r.pos, r.dropLF = r.event.start, r.pastCR
	if fingerprint != nil {
		member := append([]byte(`,"system_fingerprint":`), fingerprint...)
		for _, at := range slices.Backward(r.waits) {
			r.buf = slices.Insert(r.buf, at, member...)
			r.pos += len(member)
		}
	}
	r.release()
}

// learn remembers the shape of an event that holds nothing but content.
func (r *Restorer) learn() {
	start := r.data - len(dataName)
	if start < 0 || !r.answer.onlyContent() {
		return
	}
	event := r.buf[start:r.pos]
	if bytes.HasPrefix(event, []byte(eventHead)) && bytes.HasSuffix(event, []byte(eventTail)) {
		data := event[len(eventHead) : len(event)-len(eventTail)]
		content := r.answer.varied
		content.start, content.end = content.start-1, content.end-1 // the scanner was given the space before the data too
		r.shapes.learn(nil, data, content, span{})
	}
}
