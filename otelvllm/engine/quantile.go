package engine

import (
	"slices"
	"time"
)

// The histograms of a moment.
const (
	distTTFT = iota
	distITL
	distQueue
	distCount
)

// distNames are the names that [Monitor.Quantile] knows them by.
var distNames = [distCount]string{distTTFT: "time_to_first_token", distITL: "inter_token_latency", distQueue: "queue"}

const (
	// maxMoments and momentEvery bound the history: five minutes and a third of them.
	maxMoments  = 64
	momentEvery = 5 * time.Second
)

// moment is what an engine's histograms held at one time, counted on over restarts.
type moment struct {
	at   time.Time
	dist [distCount]Histogram
}

// history is the moments of an engine, oldest first, at least momentEvery apart but for the newest. A
// slice of moments that was handed out is never changed.
type history struct {
	moments []moment
	last    [distCount]Histogram // as read, to tell what is new
}

func (h *history) add(s *Snapshot, c change) {
	read := [distCount]Histogram{distTTFT: s.TimeToFirstToken, distITL: s.InterTokenLatency, distQueue: s.QueueTime}
	next := moment{at: s.Taken}
	n := len(h.moments)
	for i := range read {
		switch {
		case n == 0:
			next.dist[i] = read[i]
		case c == restarted || !slices.Equal(read[i].Bounds, h.last[i].Bounds):
			next.dist[i] = h.moments[n-1].dist[i].plus(read[i])
		case c == same:
			next.dist[i] = h.moments[n-1].dist[i].plus(read[i].minus(h.last[i]))
		default:
			next.dist[i] = h.moments[n-1].dist[i]
		}
	}
	h.last = read
	kept := h.moments
	if n >= 2 && kept[n-1].at.Sub(kept[n-2].at) < momentEvery {
		kept = kept[:n-1] // the newest stood for the time since the one before it
	}
	if len(kept) == maxMoments {
		kept = kept[1:]
	}
	h.moments = append(slices.Clone(kept), next)
}

// within returns what was observed in the window before the newest moment.
func within(moments []moment, dist int, window time.Duration) Histogram {
	if len(moments) < 2 {
		return Histogram{}
	}
	newest := moments[len(moments)-1]
	first := moments[0]
	for _, m := range moments[1 : len(moments)-1] {
		if newest.at.Sub(m.at) < window {
			break
		}
		first = m
	}
	return newest.dist[dist].minus(first.dist[dist])
}

// minus returns what a has more than an earlier b of the same buckets; nothing if their buckets differ
// or a has less.
func (h Histogram) minus(b Histogram) Histogram {
	if !h.Count.Known || !b.Count.Known || h.Count.V < b.Count.V || !slices.Equal(h.Bounds, b.Bounds) {
		return Histogram{}
	}
	d := Histogram{Bounds: h.Bounds, Counts: make([]float64, len(h.Counts)), Count: Value{h.Count.V - b.Count.V, true}}
	for i := range d.Counts {
		d.Counts[i] = max(h.Counts[i]-b.Counts[i], 0)
	}
	if h.Sum.Known && b.Sum.Known {
		d.Sum = Value{max(h.Sum.V-b.Sum.V, 0), true}
	}
	return d
}

// plus adds two histograms. Where their buckets differ, those of both are kept, and what lies in a
// bucket counts at its upper bound.
func (h Histogram) plus(b Histogram) Histogram {
	switch {
	case !h.Count.Known:
		return b
	case !b.Count.Known:
		return h
	}
	sum := Histogram{Count: h.Count.plus(b.Count), Sum: h.Sum.plus(b.Sum)}
	if slices.Equal(h.Bounds, b.Bounds) {
		sum.Bounds = h.Bounds
	} else {
		sum.Bounds = append(slices.Clone(h.Bounds), b.Bounds...)
		slices.Sort(sum.Bounds)
		sum.Bounds = slices.Compact(sum.Bounds)
	}
	sum.Counts = make([]float64, len(sum.Bounds))
	for i, bound := range sum.Bounds {
		sum.Counts[i] = h.upTo(bound) + b.upTo(bound)
	}
	return sum
}

// upTo returns the observations in the buckets up to a bound.
func (h Histogram) upTo(bound float64) float64 {
	i, found := slices.BinarySearch(h.Bounds, bound)
	if found {
		return h.Counts[i]
	}
	if i == 0 {
		return 0
	}
	return h.Counts[i-1]
}

// Quantile returns the value that a share q of the observations, from 0 to 1, does not exceed, in
// seconds. Within a bucket observations count as evenly spread, so the error is at most the width of
// the bucket; beyond the last bound it is the last bound. It is not known without observations, as
// is the case of a q out of range.
func (h Histogram) Quantile(q float64) Value {
	if !h.Count.Known || h.Count.V <= 0 || len(h.Bounds) == 0 || !(q >= 0 && q <= 1) {
		return Value{}
	}
	want := q * h.Count.V
	i, _ := slices.BinarySearchFunc(h.Counts, want, func(n, want float64) int {
		if n < want || n == 0 {
			return -1
		}
		return 1
	})
	if i == len(h.Bounds) {
		return known(h.Bounds[i-1])
	}
	lower, below := 0.0, 0.0
	if i > 0 {
		lower, below = h.Bounds[i-1], h.Counts[i-1]
	}
	in := h.Counts[i] - below
	if in <= 0 {
		return known(h.Bounds[i])
	}
	return known(lower + (h.Bounds[i]-lower)*(want-below)/in)
}

// Quantile returns a quantile of what all engines together observed in the window before now:
// "time_to_first_token", "inter_token_latency" or "queue", in seconds. The last five minutes are
// kept; a longer window is cut to them, a shorter one holds at least what came between the last two
// readings. It is not known when nothing was observed, or no engine has a current reading.
func (m *Monitor) Quantile(metric string, q float64, window time.Duration) Value {
	dist := slices.Index(distNames[:], metric)
	if dist < 0 || window <= 0 {
		return Value{}
	}
	var all Histogram
	for _, t := range m.targets() {
		v := t.view.Load()
		if v.at(time.Now(), m.interval).Snapshot != nil {
			all = all.plus(within(v.moments, dist, window))
		}
	}
	return all.Quantile(q)
}
