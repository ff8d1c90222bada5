package livepage

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/health"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// What the page shows at most. Stalled requests are shown beyond the first number.
const (
	shownRunning  = 100
	shownStalled  = 100
	shownRecent   = 40
	shownTraces   = 6
	shownCleared  = 8
	shownEvidence = 24
	shownText     = 400 // bytes of one value of the evidence
)

// view is what the templates show.
type view struct {
	Status   status
	Findings []findingView
	Cleared  []findingView
	Watched  bool // a watchdog runs
	Running  runningView
	Recent   []recentView
	Plots    []drawing
	Host     hostView
}

// status is the head of the page.
type status struct {
	Class   string // "ok", "bad" or "unknown"
	Word    string
	Summary string
	Title   string // of the window
	Time    string
	Engines []engineView
	Model   string
}

// engineView is one engine in the head of the page.
type engineView struct {
	Address, State, Class, Detail string
}

// findingView is a finding or one that has cleared.
type findingView struct {
	Key, Code, Summary, Engine string
	For, Ago                   string
	Steps                      []string
	Evidence                   []pair
	Requests                   int
	Traces                     []traceView
	More                       int
}

type pair struct{ Name, Value string }

// traceView is a trace id, with a link if there is somewhere to look it up.
type traceView struct{ ID, Short, URL string }

func (p *Page) view(now time.Time, stats *health.Stats) view {
	v := view{Watched: p.src.Findings != nil}
	if p.src.Findings != nil {
		for _, f := range p.src.Findings() {
			v.Findings = append(v.Findings, p.finding(&f, now))
		}
	}
	if p.src.Cleared != nil {
		cleared := p.src.Cleared()
		for _, f := range cleared[:min(len(cleared), shownCleared)] {
			v.Cleared = append(v.Cleared, p.finding(&f, now))
		}
	}
	told := make(map[string]bool, len(v.Findings))
	for i := range v.Findings {
		told[v.Findings[i].Code] = true
	}
	v.Running = p.running(p.src.Registry.Running(), told)
	v.Recent = p.recent(p.src.Registry.Recent(), now)
	v.Plots = draw(p.history.last(now), now)
	v.Host = hostOf(stats)
	v.Status = p.status(&v, stats, now)
	return v
}

func (p *Page) status(v *view, stats *health.Stats, now time.Time) status {
	s := status{Summary: stats.Summary(), Time: now.UTC().Format("15:04:05") + " UTC", Engines: enginesOf(stats)}
	if stats.ModelName != nil {
		s.Model = *stats.ModelName
	}
	switch n := len(v.Findings); {
	case n > 0:
		s.Class, s.Word = "bad", counted(n, "finding")
		s.Summary = ""
		s.Title = fmt.Sprintf("(%d) %s", n, v.Findings[0].Code)
	case !v.Watched:
		s.Class, s.Word, s.Title = "unknown", "not watched", counted(v.Running.Total, "request")
	default:
		s.Class, s.Word, s.Title = "ok", "nothing hangs", counted(v.Running.Total, "request")
	}
	return s
}

// enginesOf lists the engines of a health document.
func enginesOf(stats *health.Stats) (list []engineView) {
	for i := range stats.Engines {
		e := &stats.Engines[i]
		view := engineView{Address: e.Address, State: string(e.State), Class: "bad"}
		switch view.State {
		case "up":
			view.Class = "ok"
		case "unknown", "loading", "asleep":
			view.Class = "unknown"
		}
		var detail []string
		if e.Version != "" {
			detail = append(detail, "vLLM "+e.Version)
		}
		if e.Err != "" {
			detail = append(detail, strings.ReplaceAll(e.Err, "_", " "))
		}
		if e.Age >= 0 {
			detail = append(detail, "read "+ago(e.Age))
		} else {
			detail = append(detail, "never read")
		}
		view.Detail = strings.Join(detail, ", ")
		list = append(list, view)
	}
	return list
}

func (p *Page) finding(f *watchdog.Finding, now time.Time) findingView {
	v := findingView{
		Code: string(f.Code), Summary: f.Summary, Steps: steps(f.Remedy), Requests: len(f.Requests),
		Key: string(f.Code) + "/" + strconv.FormatInt(f.Since.UnixNano(), 36),
	}
	if f.Engine != nil {
		v.Engine = *f.Engine
		v.Key += "/" + v.Engine
	}
	end := now
	if f.Cleared != nil {
		end = *f.Cleared
		v.Ago = ago(now.Sub(end))
		v.Key += "/" + strconv.FormatInt(end.UnixNano(), 36)
	}
	if !f.Since.IsZero() {
		v.For = clock(end.Sub(f.Since))
	}
	for _, id := range f.Requests[:min(len(f.Requests), shownTraces)] {
		v.Traces = append(v.Traces, p.trace(id))
	}
	v.More = len(f.Requests) - len(v.Traces)
	v.Evidence = evidence(f.Evidence)
	return v
}

// steps cuts a remedy at its semicolons.
func steps(remedy string) (list []string) {
	for step := range strings.SplitSeq(remedy, "; ") {
		if step = strings.TrimSpace(step); step != "" {
			list = append(list, step)
		}
	}
	return list
}

// evidence lists the readings behind a finding by name.
func evidence(readings map[string]any) (list []pair) {
	for name, value := range readings {
		list = append(list, pair{strings.ReplaceAll(name, "_", " "), plain(value)})
	}
	slices.SortFunc(list, func(a, b pair) int { return strings.Compare(a.Name, b.Name) })
	return list[:min(len(list), shownEvidence)]
}

// plain writes a reading for people.
func plain(value any) string {
	var text string
	switch value := value.(type) {
	case string:
		text = value
	case float64:
		text = strconv.FormatFloat(value, 'f', -1, 64)
	default:
		b, err := json.Marshal(value)
		if err != nil {
			return unknown
		}
		text = string(b)
	}
	if len(text) > shownText {
		text = strings.ToValidUTF8(text[:shownText], "") + "…"
	}
	return text
}

func (p *Page) trace(id string) traceView {
	t := traceView{ID: id, Short: id[:min(len(id), 8)]}
	if id != "" && p.traceURL != nil {
		t.URL = p.traceURL(id)
	}
	return t
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(float64(n)) + " " + noun + "s"
}

// orUnknown is the text, or the mark for what is not known.
func orUnknown(text string) string {
	if text == "" {
		return unknown
	}
	return text
}

// keys hands out keys that are unique on the page, by which the script finds elements again.
type keys map[string]int

func (k keys) of(s *inflight.Status) string {
	key := strconv.FormatInt(s.Started.UnixNano(), 36)
	if s.SpanID != "" {
		key += s.SpanID
	}
	k[key]++
	if n := k[key]; n > 1 {
		key += "." + strconv.Itoa(n)
	}
	return key
}
