package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RequestFault is the header by which a request chooses its own fault if Config.AllowRequestFaults is set: a kind, and
// if need be its particulars, as in "hang-decode; after=5; for=30s". A prompt does the same with
// "[fault:hang-decode; after=5; for=30s]".
const RequestFault = "X-Fake-Fault"

// marked copies a marker in the body to the header.
func marked(r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // what reads it next finds the error too
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if _, after, ok := bytes.Cut(body, []byte("[fault:")); ok && r.Header.Get(RequestFault) == "" {
		if text, _, ok := bytes.Cut(after, []byte("]")); ok {
			r.Header.Set(RequestFault, string(text))
		}
	}
}

// draw returns the fault for one request, nil for none.
func (e *Engine) draw(r *http.Request, j *job) (*Injection, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j.clears = e.clears
	if text := r.Header.Get(RequestFault); text != "" && e.cfg.AllowRequestFaults {
		return parseFault(text)
	}
	if len(e.injections) == 0 {
		return nil, nil
	}
	f := e.injections[0]
	if f.Times--; f.Times == 0 {
		e.injections = e.injections[1:]
	}
	return f, nil
}

// pass lets a job reach the engine, unless a fault or a wrong rank is in the way.
func (e *Engine) pass(w http.ResponseWriter, r *http.Request, j *job) bool {
	if err := e.checkRank(j); err != nil {
		writeError(w, err)
		return false
	}
	f, err := e.draw(r, j)
	if err != nil {
		writeError(w, errInvalid("header."+RequestFault, err.Error()))
		return false
	}
	if f == nil {
		return true
	}
	switch f.Kind {
	case Reset:
		reset(w)
		return false
	case HangHeaders:
		return e.hangHeaders(r, f)
	}
	for _, s := range j.seqs {
		s.fault = f
	}
	return true
}

// hangHeaders keeps a request until Clear or for the fault's time. It returns false if the client has left.
func (e *Engine) hangHeaders(r *http.Request, f *Injection) bool {
	ctx := r.Context()
	if f.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.For)
		defer cancel()
	}
	e.mu.Lock()
	clears := e.clears
	e.mu.Unlock()
	return e.await(ctx, func() bool { return e.clears != clears }) || r.Context().Err() == nil
}

// parseFault reads the header RequestFault.
func parseFault(text string) (*Injection, error) {
	parts := strings.Split(text, ";")
	f := Injection{Kind: Kind(strings.TrimSpace(parts[0]))}
	if !slices.Contains(requestKinds, f.Kind) {
		return nil, fmt.Errorf("a request cannot choose the fault %q, only one of %v", f.Kind, requestKinds)
	}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		var err error
		switch name {
		case "after":
			f.AfterTokens, err = strconv.Atoi(value)
		case "for":
			f.For, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("unknown setting %q; there are after and for", name)
		}
		if err != nil {
			return nil, fmt.Errorf("fault %s: %w", f.Kind, err)
		}
	}
	f, err := f.withDefaults()
	return &f, err
}

// limitHang lets a sequence that a fault has stopped go on after the fault's time.
func (c *core) limitHang(s *sequence) {
	if s.fault.For > 0 {
		c.engine.later(s.fault.For, func() {
			c.unhang(s)
			c.begin()
		})
	}
}

// unhang lets a sequence go on.
func (c *core) unhang(s *sequence) {
	s.fault = nil
	switch {
	case s.state == stateDeferred:
		c.undefer(s)
	case s.stopped:
		s.stopped = false
		s.computed = min(s.computed, s.total()-1) // what it would have said has to be computed once more
	}
}

// undefer puts a sequence that waited outside the queue into it.
func (c *core) undefer(s *sequence) {
	s.state = stateWaiting
	c.deferred = slices.DeleteFunc(c.deferred, func(other *sequence) bool { return other == s })
	c.waiting = append(c.waiting, s)
}

// unhangAll lets every sequence go on.
func (c *core) unhangAll() {
	for _, list := range [][]*sequence{c.inbox, c.deferred, c.waiting, c.running} {
		for _, s := range slices.Clone(list) {
			c.unhang(s)
		}
	}
}
