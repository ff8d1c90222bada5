package watchdog

import (
	"slices"
	"time"
)

// maxListed bounds the trace ids that a finding lists.
const maxListed = 256

// Diagnose names the causes of what is seen, root causes first: a finding that follows from another
// one is left out, and its requests are that one's. Each stalled request is in one finding, unless
// there are more than 256 of a kind; a finding without requests is a condition that has lasted for
// long enough to be of interest by itself. It is a pure function: it reads no clock and keeps
// nothing.
func Diagnose(v View) []Finding {
	d := diagnose(&v)
	list := make([]Finding, 0, len(d.conditions))
	for _, c := range d.conditions {
		if c.stalled > 0 || c.stands {
			f := c.finding(d.look)
			f.Requests = d.traces(c)
			list = append(list, f)
		}
	}
	return list
}

// diagnosis is what is the case, and what each stalled request waits for.
type diagnosis struct {
	look       *look
	conditions []*condition       // in the order of the table
	requests   map[key]*condition // those that are about single requests
	causes     []*condition       // of each of look.due; nil where there is none
	seen       map[key]time.Time  // since when each condition holds, those without effect too
	nowhere    []int              // candidates for a request whose engine is not known
}

// condition is a cause that was found at one place.
type condition struct {
	key
	rule    *rule
	place   *reading // nil: this host, or not known
	sign    *sign
	since   time.Time
	stands  bool // it has lasted for long enough to be shown without a stalled request
	stalled int  // how many requests wait for it
	oldest  int  // the one of these that is silent the longest
}

// diagnose finds all conditions, gives each stalled request to the first that explains it, and
// then gives what follows from another condition to that one.
func diagnose(v *View) *diagnosis {
	d := &diagnosis{look: newLook(v), requests: map[key]*condition{}, seen: map[key]time.Time{}}
	for i := range rules {
		r := &rules[i]
		if r.host != nil {
			d.add(r, nil, r.host(d.look))
		}
		if r.engine == nil {
			continue
		}
		for _, e := range d.look.engines {
			e.found[i] = d.add(r, e, r.engine(d.look, e))
		}
	}
	if v.scratch != nil {
		d.causes = v.scratch.causes[:0]
		clear(d.causes[:cap(d.causes)])
	}
	d.causes = slices.Grow(d.causes, len(d.look.due))[:len(d.look.due)]
	for n, i := range d.look.due {
		r := &d.look.requests[i]
		c := d.explain(r)
		d.causes[n] = c
		if c == nil {
			continue
		}
		if c.stalled == 0 || r.quiet > d.look.requests[c.oldest].quiet {
			c.oldest = i
		}
		c.stalled++
	}
	d.tell()
	d.keepRoots()
	return d
}

// add notes a condition that holds.
func (d *diagnosis) add(r *rule, e *reading, s *sign) *condition {
	if s == nil {
		return nil
	}
	c := &condition{key: key{code: r.code}, rule: r, place: e, sign: s, since: s.since}
	if e != nil {
		c.engine = e.Address
	}
	v := d.look.view
	first, before := v.first[c.key]
	if !before {
		first = v.Now
	}
	if v.first != nil && !s.read.IsZero() && !s.read.After(first) {
		d.seen[c.key] = first
		return nil
	}
	if c.since.IsZero() || c.since.After(v.Now) {
		c.since = first
	}
	if !s.weak {
		d.seen[c.key] = first
		// Without earlier looks a condition that tells no beginning counts as old enough.
		told := !s.since.IsZero() || v.first != nil
		c.stands = r.lasts > 0 && (!told || v.Now.Sub(c.since) >= r.lasts)
	}
	d.conditions = append(d.conditions, c)
	return c
}

// explain returns what a stalled request waits for, or nil if it may still be silent by nature.
func (d *diagnosis) explain(s *waiter) *condition {
	e := s.engine
	for _, i := range d.candidates(e) {
		r := &rules[i]
		switch {
		case r.request != nil:
			if r.request(d.look, e, s) {
				return d.ofRequest(r, e)
			}
		case r.engine == nil:
		case e != nil:
			if c := e.found[i]; c != nil && (r.explains == nil || r.explains(d.look, e, s)) {
				return c
			}
		case slices.Contains(stopped, r.code):
			// It is not known which engine has the request. One that serves nobody explains it.
			for _, e := range d.look.engines {
				if c := e.found[i]; c != nil {
					return c
				}
			}
		}
	}
	return nil
}

// candidates are the places in the table of rules that can explain a request of the engine: those
// about single requests, and those whose condition holds. e is nil where the engine is not known.
func (d *diagnosis) candidates(e *reading) []int {
	list := &d.nowhere
	if e != nil {
		list = &e.asked
	}
	if *list == nil {
		*list = make([]int, 0, len(rules))
		for i := range rules {
			if rules[i].request != nil || e == nil && rules[i].engine != nil || e != nil && e.found[i] != nil {
				*list = append(*list, i)
			}
		}
	}
	return *list
}

// ofRequest returns the condition that requests with the same cause on the same engine share.
func (d *diagnosis) ofRequest(r *rule, e *reading) *condition {
	k := key{code: r.code}
	if e != nil {
		k.engine = e.Address
	}
	c := d.requests[k]
	if c == nil {
		c = &condition{key: k, rule: r, place: e}
		d.requests[k] = c
		d.conditions = append(d.conditions, c)
	}
	return c
}

// tell completes the conditions of single requests.
func (d *diagnosis) tell() {
	for _, c := range d.requests {
		c.sign = c.rule.tell(d.look, c.place, d.look.view.status(c.oldest))
		c.since = c.sign.since
	}
}

// root returns the condition of which c is a consequence, directly or through others that are the
// case too, or c.
func (d *diagnosis) root(c *condition) *condition {
	for _, other := range d.conditions {
		if other != c && follows(c.code, other.code) && overlap(c, other) {
			return d.root(other) // it ends: a cause stands above its consequences in the table
		}
	}
	return c
}

// keepRoots drops the conditions that follow from another one, gives their requests to that one,
// and puts the rest in order.
func (d *diagnosis) keepRoots() {
	roots := make([]*condition, 0, len(d.conditions))
	moved := make(map[*condition]*condition)
	for _, c := range d.conditions {
		if root := d.root(c); root != c {
			root.stalled += c.stalled
			moved[c] = root
		} else {
			roots = append(roots, c)
		}
	}
	if len(moved) > 0 {
		for n, c := range d.causes {
			if root := moved[c]; root != nil {
				d.causes[n] = root
			}
		}
	}
	slices.SortStableFunc(roots, func(a, b *condition) int { return compareKeys(a.key, b.key) })
	d.conditions = roots
}

// overlap tells whether two conditions are about the same engine: this host's are about all that
// run on it, and what is known of no engine is about this host's too.
func overlap(a, b *condition) bool {
	switch {
	case a.place != nil && b.place != nil:
		return a.place == b.place
	case a.place != nil:
		return a.place.local
	case b.place != nil:
		return b.place.local
	}
	return true
}

// row is the place of a cause in the table.
func row(code Code) int {
	return slices.IndexFunc(rules, func(r rule) bool { return r.code == code })
}

// follows tells whether the cause named first is a direct consequence of the second.
func follows(code, cause Code) bool {
	i := row(code)
	return i >= 0 && slices.Contains(rules[i].dependsOn, cause)
}

// finding tells people of the condition, without the requests that wait for it.
func (c *condition) finding(x *look) Finding {
	f := Finding{
		Code: c.code, Since: c.since, Summary: summary(c.rule, c.sign), Remedy: remedy(c.rule, c.sign), Evidence: c.sign.evidence, Requests: []string{},
	}
	if c.stalled > 0 {
		f.Evidence = withCount(c.sign.evidence, c.stalled)
	}
	if engine := c.address(x); engine != "" {
		f.Engine = &engine
	}
	return f
}

// traces are the trace ids of the requests that wait for a condition.
func (d *diagnosis) traces(c *condition) []string {
	ids := []string{}
	for n, i := range d.look.due {
		if d.causes[n] != c {
			continue
		}
		if id := d.look.view.status(i).TraceID; id != "" && len(ids) < maxListed {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// address returns the engine of a condition. What stalls requests on this host stalls its engine,
// if there is but one.
func (c *condition) address(x *look) string {
	if e := x.onlyLocal(); c.engine == "" && c.rule.host != nil && c.stalled > 0 && e != nil {
		return e.Address
	}
	return c.engine
}
