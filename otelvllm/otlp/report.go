package otlp

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// reportEvery is the time between two reports of one cause while it lasts.
	reportEvery = 10 * time.Minute
	// reportAgain is the time between two reports of one cause that went away and came back.
	reportAgain = 10 * time.Second
	// maxCauses bounds the memory of a reporter; further causes share one limit.
	maxCauses = 64
)

// reporter tells of export failures without flooding: a process without a collector says so once, and
// then every ten minutes with the number of times it did not say so.
type reporter struct {
	handle func(error)

	mu     sync.Mutex
	causes map[string]*cause
}

type cause struct {
	last       time.Time
	next       time.Time
	suppressed int
}

func newReporter(handle func(error)) *reporter {
	return &reporter{handle: handle, causes: map[string]*cause{}}
}

// report tells of err unless its cause was told of lately. The cause is signal and reason, such as "traces"
// and "503", never the text of err, which may be different each time.
func (r *reporter) report(signal, reason string, err error) {
	suppressed, ok := r.admit(signal + " " + reason)
	if !ok {
		return
	}
	err = clip(err)
	if suppressed > 0 {
		err = fmt.Errorf("%w (%d more like this were not reported)", err, suppressed)
	}
	// A user's handler that panics must not end the worker that exports, nor the process.
	defer func() { _ = recover() }()
	r.handle(err)
}

func (r *reporter) admit(key string) (suppressed int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	c := r.causes[key]
	if c == nil && len(r.causes) >= maxCauses {
		key = "other"
		c = r.causes[key]
	}
	if c == nil {
		c = &cause{}
		r.causes[key] = c
	}
	if now.Before(c.next) {
		c.suppressed++
		return 0, false
	}
	suppressed = c.suppressed
	*c = cause{last: now, next: now.Add(reportEvery)}
	return suppressed, true
}

// recovered notes that a signal was delivered: what comes next is news again.
func (r *reporter) recovered(signal string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, c := range r.causes {
		if again := c.last.Add(reportAgain); strings.HasPrefix(key, signal+" ") && again.Before(c.next) {
			c.next = again
		}
	}
}

// causeOf makes the cause of an error of the SDK from its text without digits, which differ from one
// time to the next.
func causeOf(err error) string {
	text := err.Error()
	text = text[:min(len(text), 100)]
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// maxReportBytes bounds the text of an error. The exporters put the whole answer of a collector into theirs, which
// may be the web page of a proxy.
const maxReportBytes = 500

// clipped is an error whose text fits into a line of a log.
type clipped struct {
	error
	text string
}

func (c *clipped) Error() string { return c.text }
func (c *clipped) Unwrap() error { return c.error }

// clip returns err with a text of one line and at most maxReportBytes, err itself when it is that already.
func clip(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	short := text
	if len(text) > maxReportBytes {
		short = cut(text, maxReportBytes-len("…")) + "…"
	}
	short = strings.Map(func(r rune) rune {
		if r != utf8.RuneError && unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, short)
	if short == text {
		return err
	}
	return &clipped{err, short}
}
