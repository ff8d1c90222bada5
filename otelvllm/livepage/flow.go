package livepage

import (
	"math"
	"slices"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// Windows over which single events become a line.
const (
	firstWindow = 10 * time.Second // first tokens
	endWindow   = time.Minute      // ended requests
)

// maxEvents bounds the events of a window that are kept.
const maxEvents = 16384

// flow watches a registry's requests from one sample to the next.
type flow struct {
	last   time.Time // of the sample before
	seen   map[*inflight.Request]*progress
	firsts []event
	ends   []event
	blind  time.Time // until when the counts of ended requests are incomplete
}

// progress is what was seen of a request that runs.
type progress struct {
	contents int64
	first    bool // its time to first token has been taken
}

// event is something that happened once: a first token after so many seconds, or an end, which is
// 1 for a failure and 0 for success.
type event struct {
	at    time.Time
	value float64
}

// identity tells requests of the running list from those of the history.
type identity struct {
	span  string
	start int64
}

// look takes one sample of the registry.
func (f *flow) look(registry *inflight.Registry, now time.Time, v *values) {
	if registry == nil {
		return
	}
	l := look{flow: f, now: now, next: make(map[*inflight.Request]*progress), counted: make(map[identity]bool), silence: math.NaN()}
	running := registry.Requests()
	for q := range f.seen {
		l.request(q, q.Status(now))
	}
	for _, q := range running {
		if f.seen[q] == nil {
			l.request(q, q.Status(now))
		}
	}
	overflow := l.recent(registry)
	if overflow {
		f.blind = now.Add(endWindow)
	}
	v[inFlight] = float64(len(l.next))
	if elapsed := now.Sub(f.last).Seconds(); !f.last.IsZero() && elapsed > 0 && !overflow {
		v[hereRate] = float64(l.contents) / elapsed
	}
	v[gapTypical], v[silenceLongest] = median(l.gaps), l.silence
	f.firsts, f.ends = since(f.firsts, now.Add(-firstWindow)), since(f.ends, now.Add(-endWindow))
	v[firstMedian], v[firstSlowest] = spread(f.firsts)
	if !now.Before(f.blind) {
		v[completed], v[failed] = 0, 0
		for _, e := range f.ends {
			if e.value == 0 {
				v[completed]++
			} else {
				v[failed]++
			}
		}
	}
	f.last, f.seen = now, l.next
}

// look is one sample in the making.
type look struct {
	*flow
	now      time.Time
	next     map[*inflight.Request]*progress
	counted  map[identity]bool // what has been counted and may be in the history too
	contents int64             // that arrived since the sample before
	gaps     []float64
	silence  float64
}

// request counts what a request that runs, or ran at the sample before, did since then.
func (l *look) request(q *inflight.Request, s inflight.Status) {
	p := l.seen[q]
	switch {
	case p != nil:
	case s.Ended:
		return // it came and went: it is in the history
	case l.last.IsZero() || s.Started.Before(l.last):
		p = &progress{contents: s.Contents, first: s.Phase == inflight.PhaseDecode} // what it did before is not news
	default:
		p = &progress{}
	}
	l.counted[identityOf(&s)] = true
	arrived := s.Contents - p.contents
	l.contents += arrived
	if s.Ended {
		l.ended(&s, p.first)
		return
	}
	if s.Stream {
		l.silence = fmax(l.silence, s.Silent.Seconds())
	}
	if s.Stream && s.Phase == inflight.PhaseDecode {
		if !p.first {
			l.first(s.PhaseSince, s.PhaseSince.Sub(s.Started))
		}
		if from := l.last; arrived > 0 && !from.IsZero() {
			if s.PhaseSince.After(from) {
				from = s.PhaseSince
			}
			l.gaps = append(l.gaps, l.now.Sub(from).Seconds()/float64(arrived))
		}
		p.first = true
	}
	p.contents = s.Contents
	l.next[q] = p
}

// recent counts the requests that began and ended since the sample before. It tells whether there
// may be more of them than the history keeps.
func (l *look) recent(registry *inflight.Registry) (overflow bool) {
	if l.last.IsZero() {
		return false
	}
	recent := registry.Recent()
	fresh := 0
	for i := range recent {
		s := &recent[i]
		if s.Started.Add(s.Duration).Before(l.last) {
			break // newest first
		}
		fresh++
		if !s.Started.Before(l.last) && !l.counted[identityOf(s)] {
			l.contents += s.Contents
			l.ended(s, false)
		}
	}
	limit := registry.History
	if limit == 0 {
		limit = inflight.DefaultHistory
	}
	return limit < 0 || fresh >= limit
}

// ended notes the end of a request, and its first token if that has not been seen.
func (l *look) ended(s *inflight.Status, first bool) {
	at := s.Started.Add(s.Duration)
	if took := firstToken(s); took > 0 && !first {
		l.first(s.Started.Add(took), took)
	}
	switch {
	case len(l.ends) >= maxEvents:
		l.blind = l.now.Add(endWindow)
	case s.Outcome == "completed":
		l.ends = append(l.ends, event{at, 0})
	case failure(s.Outcome):
		l.ends = append(l.ends, event{at, 1})
	}
}

func (l *look) first(at time.Time, took time.Duration) {
	if len(l.firsts) < maxEvents && took >= 0 {
		l.firsts = append(l.firsts, event{at, took.Seconds()})
	}
}

func identityOf(s *inflight.Status) identity { return identity{s.SpanID, s.Started.UnixNano()} }

// failure tells whether an outcome is the service's fault: neither a success, nor a mistake of the
// caller, nor a caller who left.
func failure(outcome string) bool {
	switch outcome {
	case "failed", "unreachable", "truncated", "deadline", "panic":
		return true
	}
	return false
}

// firstToken returns the time to the first token of a request that has ended; zero if not known.
func firstToken(s *inflight.Status) time.Duration {
	decoded := slices.ContainsFunc(s.Spans, func(sp inflight.Span) bool { return sp.Name == "decode" })
	for _, sp := range s.Spans {
		if sp.Name == "first_token" && (decoded || s.Outcome == "completed") {
			return sp.Start.Add(sp.Duration).Sub(s.Started)
		}
	}
	return 0
}

// since returns the events at or after from.
func since(events []event, from time.Time) []event {
	return slices.DeleteFunc(events, func(e event) bool { return e.at.Before(from) })
}

// spread returns the median and the largest value of events, NaN if there are none.
func spread(events []event) (middle, largest float64) {
	list := make([]float64, len(events))
	for i, e := range events {
		list[i] = e.value
	}
	middle = median(list)
	if len(list) == 0 {
		return middle, middle
	}
	return middle, list[len(list)-1]
}

// median sorts the list and returns its median, NaN if it is empty.
func median(list []float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	slices.Sort(list)
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

// fmax is the larger of two values of which either may be unknown.
func fmax(a, b float64) float64 {
	if math.IsNaN(a) || b > a {
		return b
	}
	return a
}
