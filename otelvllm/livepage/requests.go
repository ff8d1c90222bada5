package livepage

import (
	"slices"
	"strings"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// runningView is the list of running requests.
type runningView struct {
	Total, Stalled, More int
	Rows                 []rowView
}

// rowView is one running request.
type rowView struct {
	Key, Anchor                 string
	Age, Silent, KeepAlive      string
	Phase, PhaseFor, PhaseClass string
	Tokens, TokensUnit          string
	Model, Operation            string
	Stalled                     bool
	Cause, CauseText            string // the text only where no finding above tells it
	Trace                       traceView
	Bar                         []segment
}

// segment is a part of a bar, in thousandths of its width.
type segment struct {
	X, Width int
	Class    string
}

// running makes the rows of the running requests, oldest first. If there are too many for a page,
// the newest are left out, unless they are stalled. told has the codes of the findings that the page
// explains already.
func (p *Page) running(list []inflight.Status, told map[string]bool) runningView {
	v := runningView{Total: len(list)}
	unique, anchors := keys{}, map[string]bool{}
	oldest := time.Duration(1)
	if len(list) > 0 {
		oldest = max(oldest, list[0].Age)
	}
	for i := range list {
		s := &list[i]
		key := unique.of(s)
		if s.Stall != nil {
			v.Stalled++
		}
		if len(v.Rows) >= shownRunning && (s.Stall == nil || len(v.Rows) >= shownRunning+shownStalled) {
			v.More++
			continue
		}
		row := p.row(s, oldest)
		row.Key = key
		if told[row.Cause] {
			row.CauseText = ""
		}
		if s.TraceID != "" && !anchors[s.TraceID] {
			anchors[s.TraceID], row.Anchor = true, "t-"+s.TraceID
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}

func (p *Page) row(s *inflight.Status, oldest time.Duration) rowView {
	r := rowView{
		Age: clock(s.Age), Silent: clock(s.Silent), Model: orUnknown(s.Model), Operation: operation(s), Trace: p.trace(s.TraceID),
	}
	r.Phase, r.PhaseClass = phase(s.Phase)
	inPhase := time.Duration(0)
	if s.Phase != "" {
		inPhase = min(max(0, s.Age-s.PhaseSince.Sub(s.Started)), s.Age)
		r.PhaseFor = clock(inPhase)
	}
	if !s.LastKeepAlive.IsZero() && s.LastKeepAlive.After(s.LastProgress) {
		r.KeepAlive = "keep-alive " + ago(s.Age-s.LastKeepAlive.Sub(s.Started))
	}
	r.Tokens, r.TokensUnit = tokens(s)
	silent := part{min(s.Silent, inPhase), "silent"}
	if s.Phase != inflight.PhaseDecode || s.Silent < 2*time.Second {
		silent.length = 0 // before the first token silence is natural, and a short pause is no news
	}
	if st := s.Stall; st != nil {
		r.Stalled, r.Cause, r.CauseText = true, st.Cause, st.Summary
		silent = part{min(s.Silent, inPhase), "stalled"}
	}
	r.Bar = segments(oldest, []part{{s.Age - inPhase, "before"}, {inPhase - silent.length, r.PhaseClass}, silent})
	return r
}

// part is a stretch of time with its style class.
type part struct {
	length time.Duration
	class  string
}

// segments lays parts end to end on a bar that is as wide as whole is long. What lasted at all is
// visible.
func segments(whole time.Duration, parts []part) (list []segment) {
	at := time.Duration(0)
	for _, p := range parts {
		if p.length > 0 {
			x := int(1000 * float64(at) / float64(whole))
			list = append(list, segment{x, max(6, int(1000*float64(at+p.length)/float64(whole))-x), p.class})
			at += p.length
		}
	}
	return list
}

// phase returns a phase in words and its style class.
func phase(p inflight.Phase) (words, class string) {
	switch p {
	case inflight.PhaseEngineInit:
		return "waiting for the engine", "wait"
	case inflight.PhaseConnect:
		return "sending", "wait"
	case inflight.PhaseQueueOrPrefill:
		return "queue or prefill", "wait"
	case inflight.PhaseDecode:
		return "decode", "decode"
	case inflight.PhaseBody:
		return "reading the answer", "decode"
	case inflight.PhaseIdle:
		return "the caller's turn", "before"
	}
	return orUnknown(string(p)), "wait"
}

// tokens returns the output tokens, or what is known of them: the chunks that have arrived.
func tokens(s *inflight.Status) (count, unit string) {
	switch {
	case s.OutputTokens >= 0:
		return number(float64(s.OutputTokens)), "tokens"
	case s.Contents > 0 || s.StreamKnown && s.Stream:
		return number(float64(s.Contents)), "chunks"
	}
	return unknown, ""
}

func operation(s *inflight.Status) string {
	name := orUnknown(strings.ReplaceAll(s.Operation, "_", " "))
	if s.StreamKnown && s.Stream {
		name += ", stream"
	}
	return name
}

// recentView is one request that has ended.
type recentView struct {
	Key, Ago, Duration, Outcome, Class string
	Model, Operation                   string
	Tokens, TokensUnit, First, Rate    string
	Cause                              string
	Trace                              traceView
	Bar                                []segment
	Spans                              []spanView
}

// spanView is one span of a waterfall, in thousandths of the whole.
type spanView struct {
	Name, Start, Duration, Class string
	Depth, X, Width              int
}

// recent makes the list of requests that have ended, newest first.
func (p *Page) recent(list []inflight.Status, now time.Time) []recentView {
	list = list[:min(len(list), shownRecent)]
	longest := time.Duration(1)
	for i := range list {
		longest = max(longest, list[i].Duration)
	}
	unique, views := keys{}, make([]recentView, len(list))
	for i := range list {
		s := &list[i]
		v := &views[i]
		*v = recentView{
			Key: unique.of(s), Ago: ago(now.Sub(s.Started.Add(s.Duration))), Duration: seconds(s.Duration.Seconds()),
			Outcome: orUnknown(strings.ReplaceAll(s.Outcome, "_", " ")), Class: outcomeClass(s.Outcome),
			Model: orUnknown(s.Model), Operation: operation(s), First: unknown, Trace: p.trace(s.TraceID), Spans: waterfall(s),
		}
		v.Tokens, v.TokensUnit = tokens(s)
		first := firstToken(s)
		if first > 0 {
			v.First = seconds(first.Seconds())
		}
		v.Rate = rate(s)
		if s.Stall != nil {
			v.Cause = s.Stall.Cause
		}
		v.Bar = overview(s, longest)
	}
	return views
}

// overview makes the small bar of a request: until the first token, decode, the rest.
func overview(s *inflight.Status, longest time.Duration) []segment {
	first := min(firstToken(s), s.Duration)
	decoded := time.Duration(0)
	for _, sp := range s.Spans {
		if sp.Name == "decode" {
			decoded = min(sp.Duration, s.Duration-first)
		}
	}
	rest := part{s.Duration - first - decoded, "before"}
	if failure(s.Outcome) || s.Stall != nil {
		rest.class = "stalled"
	}
	return segments(longest, []part{{first, "wait"}, {decoded, "decode"}, rest})
}

// rate returns the output tokens per second of the generation, where both are known.
func rate(s *inflight.Status) string {
	at := slices.IndexFunc(s.Spans, func(sp inflight.Span) bool { return sp.Name == "generation" })
	if at < 0 || s.OutputTokens < 2 || s.Spans[at].Duration <= 0 {
		return ""
	}
	return number(float64(s.OutputTokens)/s.Spans[at].Duration.Seconds()) + space + "tok/s"
}

func outcomeClass(outcome string) string {
	switch {
	case failure(outcome):
		return "bad"
	case outcome == "completed":
		return "ok"
	}
	return "unknown"
}

// waterfall lays a request's spans out on its own time.
func waterfall(s *inflight.Status) []spanView {
	views := make([]spanView, 0, len(s.Spans))
	whole := max(s.Duration, 1)
	for i, sp := range s.Spans {
		depth := 0
		for at := sp.Parent; at >= 0 && at < i && depth < 8; at = s.Spans[at].Parent {
			depth++
		}
		offset := min(max(0, sp.Start.Sub(s.Started)), whole)
		length := min(max(0, sp.Duration), whole-offset)
		width := max(4, int(1000*float64(length)/float64(whole)))
		views = append(views, spanView{
			Name: sp.Name, Start: "+" + seconds(offset.Seconds()), Duration: seconds(sp.Duration.Seconds()), Class: spanClass(sp.Name, i),
			Depth: depth, X: min(int(1000*float64(offset)/float64(whole)), 1000-width), Width: width,
		})
	}
	return views
}

func spanClass(name string, index int) string {
	switch name {
	case "engine_init", "first_token", "queue", "prefill", "stall":
		return "wait"
	case "decode":
		return "decode"
	}
	if index == 0 {
		return "root"
	}
	return "before"
}
