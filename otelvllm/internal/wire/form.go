package wire

import (
	"bytes"
	"mime"
	"strings"
)

const (
	// maxBoundary is the most bytes that RFC 2046 allows a boundary.
	maxBoundary = 70
	// maxFormLine is how much of a line before a field's value is kept; a longer one names no field of interest.
	maxFormLine = 1 << 10
)

// formState is what a formReader expects.
type formState uint8

const (
	formBoundary formState = iota // the first line of the form
	formHeader                    // a line before a value, or the empty one that ends them
	formValue
	formDelimited // the rest of the line that ended a value
	formEnd       // only what RFC 2046 calls an epilogue may follow
	notForm
)

// formReader reads the fields of a multipart/form-data body as it passes, and lets files go by. The boundary is taken
// from the body itself, whose first line it is, as no client writes anything before it. The reader keeps no more than a
// line and the first maxRaw bytes of a value.
type formReader struct {
	on func(name string, value *visit)

	state     formState
	line      []byte
	afterCR   bool   // the last byte of line, or the last one that it has no room for, is a CR
	delimiter []byte // what ends a value: a line break, two hyphens, the boundary
	matched   int    // bytes of the delimiter that the value so far ends with
	described bool   // the header Content-Disposition has come
	name      string // of the field whose value is read; "" for none
	value     visit
	kept      [maxRaw]byte
}

// write takes the next piece of the body.
func (f *formReader) write(p []byte) {
	for len(p) > 0 {
		switch f.state {
		case formValue:
			p = f.readValue(p)
		case formEnd, notForm:
			return
		case formBoundary, formHeader, formDelimited:
			n := bytes.IndexByte(p, '\n')
			if n < 0 {
				f.keepLine(p)
				return
			}
			f.keepLine(p[:n])
			p = p[n+1:]
			f.endLine(bytes.TrimSuffix(f.line, []byte{'\r'}))
			f.line, f.afterCR = f.line[:0], false
		}
	}
}

// keepLine keeps a part of a line. Two hyphens behind a boundary end the form, with or without a line break.
func (f *formReader) keepLine(part []byte) {
	room := maxFormLine - len(f.line)
	f.line = append(f.line, part[:min(len(part), room)]...)
	if len(part) > 0 {
		f.afterCR = part[len(part)-1] == '\r'
	}
	if f.state == formDelimited && bytes.HasPrefix(f.line, []byte("--")) {
		f.endValue()
		f.state = formEnd
	}
}

// endLine takes a whole line outside of a value.
func (f *formReader) endLine(line []byte) {
	switch f.state {
	case formBoundary:
		boundary, ok := bytes.CutPrefix(bytes.TrimRight(line, " \t"), []byte("--"))
		if !ok || len(boundary) == 0 || len(boundary) > maxBoundary {
			f.state = notForm
			return
		}
		f.delimiter = append([]byte("\r\n--"), boundary...)
		f.state = formHeader
	case formDelimited:
		if len(bytes.TrimRight(line, " \t")) > 0 {
			f.resumeValue(line)
			return
		}
		f.endValue()
		f.state = formHeader
	case formHeader:
		if len(line) == 0 {
			f.state, f.matched = formValue, 0
			f.value.raw, f.value.cut = f.kept[:0], false
		} else if len(line) < maxFormLine {
			f.header(string(line))
		}
	case formValue, formEnd, notForm:
	}
}

// header takes a line before a value.
func (f *formReader) header(line string) {
	key, value, _ := strings.Cut(line, ":")
	if f.described || !strings.EqualFold(strings.TrimSpace(key), "Content-Disposition") {
		return
	}
	f.described = true
	_, params, err := mime.ParseMediaType(value)
	if _, file := params["filename"]; err == nil && !file {
		f.name = params["name"]
	}
}

// readValue reads on in a value and returns what comes after it.
func (f *formReader) readValue(p []byte) []byte {
	for i := 0; i < len(p); {
		if f.matched == 0 {
			n := bytes.IndexByte(p[i:], '\r')
			if n < 0 {
				f.keepValue(p[i:])
				return nil
			}
			f.keepValue(p[i : i+n])
			i += n + 1
			f.matched = 1
			continue
		}
		// A CR stands nowhere else in the delimiter, so a mismatch can begin a new one only where it is.
		if p[i] != f.delimiter[f.matched] {
			f.keepValue(f.delimiter[:f.matched])
			f.matched = 0
			continue
		}
		i++
		if f.matched++; f.matched == len(f.delimiter) {
			f.state = formDelimited
			return p[i:]
		}
	}
	return nil
}

func (f *formReader) keepValue(part []byte) {
	if f.name == "" {
		return
	}
	room := maxRaw - len(f.value.raw)
	f.value.cut = f.value.cut || len(part) > room
	f.value.raw = append(f.value.raw, part[:min(len(part), room)]...)
}

// resumeValue goes on with a value in which the boundary was only the beginning of a line. The line's end may begin the
// delimiter.
func (f *formReader) resumeValue(line []byte) {
	f.state = formValue
	f.keepValue(f.delimiter)
	f.keepValue(line)
	if f.matched = 2; !f.afterCR {
		f.keepValue([]byte{'\n'})
		f.matched = 0
	}
}

func (f *formReader) endValue() {
	if f.name != "" {
		f.on(f.name, &f.value)
	}
	f.name, f.described = "", false
}
