package engine

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

// maxLine bounds a line of /metrics that is read, in bytes.
const maxLine = 64 << 10

// filter takes from the text of /metrics the samples that are wanted, each as name, labels, value and
// a line end. What else a dialect puts there does not reach the parser: comments, time stamps,
// exemplars, CR. Everything that remains is untyped, so that it does not matter how a front end
// types it, or twice.
type filter struct {
	in      *bufio.Reader
	out     bytes.Buffer
	origin  []int // the line of the input for each line of the output
	line    int
	samples int
	most    int
	valid   bool // a sample of any name was seen
}

// errMalformed is what is wrong with a line, before the line is known.
var errMalformed = errors.New("malformed sample")

// run reads all of the text.
func (f *filter) run(in io.Reader) error {
	f.in = bufio.NewReaderSize(in, maxLine)
	for {
		f.line++
		line, err := f.in.ReadSlice('\n')
		switch {
		case err == nil:
			end, err := f.take(line)
			if end || err != nil {
				return f.finish(err)
			}
		case errors.Is(err, bufio.ErrBufferFull):
			if err := f.passOver(line); err != nil {
				return err
			}
		case errors.Is(err, io.EOF):
			if len(bytes.TrimSpace(line)) > 0 && string(line) != "# EOF" {
				// A number that is cut may still look like one, and like a counter that went back.
				return fail("truncated", "the text ends within line %d", f.line)
			}
			return f.finish(nil)
		default:
			return err
		}
	}
}

func (f *filter) finish(err error) error {
	switch {
	case err != nil:
		return err
	case f.samples == 0:
		return fail("no_samples", "there is no sample in the answer")
	case !f.valid:
		return fail("malformed", "the answer is not a text of metrics")
	}
	return nil
}

// passOver skips the rest of a line that is too long, unless it is wanted.
func (f *filter) passOver(line []byte) error {
	if name, _ := cutName(line); wanted[string(name)] {
		return fail("malformed", "line %d has more than %d bytes", f.line, maxLine)
	}
	for {
		_, err := f.in.ReadSlice('\n')
		switch {
		case err == nil:
			return nil
		case errors.Is(err, io.EOF):
			return fail("truncated", "the text ends within line %d", f.line)
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// take reads one line. end tells that it is the mark at the end of an OpenMetrics text.
func (f *filter) take(line []byte) (end bool, err error) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return false, nil
	}
	if line[0] == '#' {
		return string(line) == "# EOF", nil
	}
	name, rest := cutName(line)
	if len(name) == 0 && line[0] != '{' {
		return false, fail("malformed", "line %d is not one of a text of metrics", f.line)
	}
	if f.samples++; f.samples > f.most {
		return false, fail("too_many_samples", "the answer has more than %d samples", f.most)
	}
	keep := wanted[string(name)]
	if !keep && f.valid {
		return false, nil
	}
	labels, value, ok := cutSample(rest)
	if _, err := strconv.ParseFloat(string(value), 64); err != nil && !errors.Is(err, strconv.ErrRange) {
		ok = false
	}
	if ok {
		f.valid = true
	}
	if !keep {
		return false, nil
	}
	if !ok {
		return false, &failure{"malformed", &lineError{f.line, errMalformed}}
	}
	f.out.Write(name)
	f.out.Write(labels)
	f.out.WriteByte(' ')
	f.out.Write(value)
	f.out.WriteByte('\n')
	f.origin = append(f.origin, f.line)
	return false, nil
}

// cutName returns the name at the start of a sample, and what follows it.
func cutName(line []byte) (name, rest []byte) {
	i := 0
	for i < len(line) && isNameByte(line[i]) {
		i++
	}
	return line[:i], line[i:]
}

func isNameByte(b byte) bool {
	return b == ':' || b == '_' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9'
}

// cutSample cuts what follows a name into the labels, braces included, and the value. What follows
// the value is left out: a time stamp, an exemplar.
func cutSample(rest []byte) (labels, value []byte, ok bool) {
	rest = bytes.TrimLeft(rest, " \t")
	if len(rest) > 0 && rest[0] == '{' {
		end := closingBrace(rest)
		if end < 0 {
			return nil, nil, false
		}
		labels, rest = rest[:end+1], rest[end+1:]
	}
	rest = bytes.TrimLeft(rest, " \t")
	if end := bytes.IndexAny(rest, " \t"); end >= 0 {
		rest = rest[:end]
	}
	return labels, rest, len(rest) > 0
}

// closingBrace returns where the labels end, below zero if they do not.
func closingBrace(s []byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && s[i] == '}':
			return i
		}
	}
	return -1
}

// lineError names the line in which something is wrong, and nothing of what stands in it.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return e.err.Error() + " in line " + strconv.Itoa(e.line) }
func (e *lineError) Unwrap() error { return e.err }
