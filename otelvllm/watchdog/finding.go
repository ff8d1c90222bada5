package watchdog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// maxCleared bounds the findings that are kept after they have cleared.
const maxCleared = 32

// Finding is one cause and the requests it holds up. It is since when the readings show the cause, or since when the first
// of those requests is silent, whichever is earlier.
type Finding struct {
	Code     Code           `json:"code"`
	Since    time.Time      `json:"since"`
	Summary  string         `json:"summary"`
	Remedy   string         `json:"remedy"`
	Evidence map[string]any `json:"evidence"`
	Engine   *string        `json:"engine"`   // the engine's address; null if it is not known
	Requests []string       `json:"requests"` // trace ids, at most 256
	Cleared  *time.Time     `json:"cleared,omitempty"`
}

// report is what a reader sees: whole, and never changed once published.
type report struct {
	Findings []Finding `json:"findings"`
	Cleared  []Finding `json:"cleared"`
}

// Findings returns what is wrong now, root causes first. It never waits. The result must not be
// changed.
func (w *Watchdog) Findings() []Finding {
	if r := w.state.Load(); r != nil {
		return r.Findings
	}
	return nil
}

// Cleared returns the last 32 findings that are over, the most recent first. It never waits. The
// result must not be changed.
func (w *Watchdog) Cleared() []Finding {
	if r := w.state.Load(); r != nil {
		return r.Cleared
	}
	return nil
}

// publish makes the state readable: one finding for all requests that are stalled by the same
// cause, and those that stand by themselves. A finding clears once, when nothing of it is left.
func (w *Watchdog) publish(d *diagnosis, now time.Time) {
	current := w.current(d)
	var raised, cleared []Finding
	for _, k := range slices.SortedFunc(maps.Keys(w.shown), compareKeys) {
		if _, ok := current[k]; !ok {
			f := *w.shown[k]
			f.Cleared = &now
			cleared = append(cleared, f)
		}
	}
	w.cleared = append(w.cleared, cleared...)
	if extra := len(w.cleared) - maxCleared; extra > 0 {
		w.cleared = slices.Clone(w.cleared[extra:])
	}
	r := &report{Findings: make([]Finding, 0, len(current)), Cleared: append([]Finding{}, w.cleared...)}
	slices.Reverse(r.Cleared)
	for _, k := range slices.SortedFunc(maps.Keys(current), compareKeys) {
		r.Findings = append(r.Findings, *current[k])
		if w.shown[k] == nil {
			raised = append(raised, *current[k])
		}
	}
	w.shown = current
	w.state.Store(r)
	if w.OnChange != nil && len(raised)+len(cleared) > 0 {
		w.OnChange(raised, cleared)
	}
}

func compareKeys(a, b key) int {
	return cmp.Or(row(a.code)-row(b.code), cmp.Compare(a.engine, b.engine))
}

// current makes the findings of this moment. A stall keeps its cause for a while after the
// diagnosis has changed, so its own report says what it is.
func (w *Watchdog) current(d *diagnosis) map[key]*Finding {
	current := make(map[key]*Finding)
	for _, c := range d.conditions {
		if c.stands && c.stalled == 0 || w.groups[c.key] > 0 {
			f := c.finding(d.look)
			current[c.key] = &f
		}
	}
	for k, m := range w.members {
		f := current[k]
		if f == nil {
			st := m.one
			f = &Finding{
				Code: k.code, Since: st.report.Since, Summary: st.report.Summary, Remedy: st.report.Remedy,
				Evidence: st.report.Evidence, Engine: st.engine,
			}
			current[k] = f
		}
		if m.since.Before(f.Since) {
			f.Since = m.since
		}
		f.Requests = m.traces
	}
	return current
}

// members are the stalls with one cause.
type members struct {
	one    *stall
	since  time.Time // of the one that has lasted the longest
	traces []string
}

// gather groups the stalls by their causes. It is done where one has changed.
func (w *Watchdog) gather() {
	w.members = make(map[key]*members, len(w.groups))
	var m *members
	for _, st := range w.stalls {
		if m == nil || st.cause != m.one.cause {
			if m = w.members[st.cause]; m == nil {
				m = &members{one: st, since: st.report.Since, traces: []string{}}
				w.members[st.cause] = m
			}
		}
		if st.report.Since.Before(m.since) {
			m.since = st.report.Since
		}
		if st.trace != "" && len(m.traces) < maxListed {
			m.traces = append(m.traces, st.trace)
		}
	}
	for _, m := range w.members {
		slices.Sort(m.traces)
	}
}

// word writes a value of the evidence for people.
func word(v any) string {
	switch v := v.(type) {
	case nil:
		return "an unknown number of"
	case string:
		return v
	case int:
		return strconv.Itoa(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// ServeHTTP answers GET with the findings as JSON: {"findings":[…],"cleared":[…]}, the most recently
// cleared first. It has no access control of its own.
func (w *Watchdog) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if !onlyGet(rw, r) {
		return
	}
	state := w.state.Load()
	if state == nil {
		state = &report{Findings: []Finding{}, Cleared: []Finding{}}
	}
	_ = json.NewEncoder(rw).Encode(state) // the reader has left: nobody to tell
}

// onlyGet refuses methods that change something, and sets the headers of a JSON answer.
func onlyGet(rw http.ResponseWriter, r *http.Request) bool {
	h := rw.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(rw, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
		return false
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	return true
}
