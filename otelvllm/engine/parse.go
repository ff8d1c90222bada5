package engine

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	// maxRanks bounds the ranks of one engine.
	maxRanks = 512
	// maxCount is the largest reading that is believed: above it a float64 skips integers.
	maxCount = 1 << 53
	// maxBounds bounds the buckets of a histogram.
	maxBounds = 256
)

// families are the samples of each series.
type families map[string]*dto.MetricFamily

// parse reads a text of /metrics that has at most so many samples.
func parse(in io.Reader, samples int) (*Snapshot, error) {
	f := filter{most: samples}
	if err := f.run(in); err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation) // the zero value panics
	found, err := parser.TextToMetricFamilies(&f.out)
	if err != nil {
		return nil, f.locate(err)
	}
	return build(found)
}

// locate names the line in which the parser found something wrong, by its place in the answer.
func (f *filter) locate(err error) error {
	var parseError expfmt.ParseError
	if errors.As(err, &parseError) && parseError.Line >= 1 && parseError.Line <= len(f.origin) {
		return &failure{"malformed", &lineError{f.origin[parseError.Line-1], errMalformed}}
	}
	return &failure{"malformed", errMalformed}
}

func build(found families) (*Snapshot, error) {
	s := &Snapshot{}
	ranks := make(map[rankKey]*Rank)
	for i := range rows {
		if err := rows[i].read(found, ranks); err != nil {
			return nil, err
		}
	}
	for _, r := range ranks {
		s.Ranks = append(s.Ranks, *r)
	}
	slices.SortFunc(s.Ranks, func(a, b Rank) int {
		// Shorter first puts 2 before 10.
		return cmp.Or(cmp.Compare(len(a.Rank), len(b.Rank)), strings.Compare(a.Rank, b.Rank), strings.Compare(a.Model, b.Model))
	})
	for i := range s.Ranks {
		s.Model = cmp.Or(s.Model, s.Ranks[i].Model)
	}
	s.readWhole(found)
	for _, d := range distributions {
		for _, name := range d.names {
			if h := readHistogram(found, name); h.Count.Known {
				*d.field(s) = h
			}
		}
	}
	return s, nil
}

type rankKey struct{ rank, model string }

func keyOf(m *dto.Metric) rankKey {
	return rankKey{cmp.Or(clean(labelOf(m, labelRank)), "0"), clean(labelOf(m, labelModel))}
}

// read fills one reading of every rank.
func (r *row) read(found families, ranks map[rankKey]*Rank) error {
	for _, name := range r.names {
		values := make(map[rankKey]Value)
		for _, m := range unique(found[name], r.counter) {
			if r.label != "" && labelOf(m, r.label) != r.value {
				continue
			}
			v, key := r.sample(m), keyOf(m)
			if !v.Known {
				continue
			}
			if r.counter {
				values[key] = values[key].plus(v)
			} else {
				values[key] = values[key].larger(v)
			}
		}
		for key, v := range values {
			rank := ranks[key]
			if rank == nil {
				if len(ranks) == maxRanks {
					return fail("too_many_samples", "the engine has more than %d ranks", maxRanks)
				}
				rank = &Rank{Rank: key.rank, Model: key.model}
				ranks[key] = rank
			}
			if r.addUp {
				v = v.plus(*r.field(rank))
			}
			*r.field(rank) = v
		}
	}
	return nil
}

// sample returns what a sample says, not known if that cannot be.
func (r *row) sample(m *dto.Metric) Value {
	v := count(m)
	if !v.Known || r.share && v.V > 1 {
		return Value{}
	}
	if r.inverted {
		v.V = 1 - v.V
	}
	return v
}

// count returns a sample that counts something, not known if it is negative, not finite or absurd.
func count(m *dto.Metric) Value {
	v := known(m.GetUntyped().GetValue())
	if v.V < 0 || v.V > maxCount {
		return Value{}
	}
	return v
}

// unique returns the samples of a series. Where they are added up, those with equal labels count
// once: a line that stands there twice does not double the sum.
func unique(f *dto.MetricFamily, addedUp bool) []*dto.Metric {
	all := f.GetMetric()
	if !addedUp || len(all) < 2 {
		return all
	}
	seen := make(map[string]bool, len(all))
	kept := make([]*dto.Metric, 0, len(all))
	for _, m := range all {
		var key strings.Builder
		labels := slices.Clone(m.GetLabel())
		slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
		for _, l := range labels {
			key.WriteString(l.GetName() + "\x00" + l.GetValue() + "\x00")
		}
		if !seen[key.String()] {
			seen[key.String()] = true
			kept = append(kept, m)
		}
	}
	return kept
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// readWhole fills what is told of the engine as a whole.
func (s *Snapshot) readWhole(found families) {
	for _, m := range found[seriesStarted].GetMetric() {
		s.Started = s.Started.larger(count(m))
	}
	for _, m := range unique(found[seriesRejected], true) {
		s.AdmissionRejections = s.AdmissionRejections.plus(count(m))
	}
	for _, m := range unique(found[seriesHTTP], true) {
		answered := count(m)
		s.HTTPRequests = s.HTTPRequests.plus(answered)
		if !strings.HasPrefix(labelOf(m, "status"), "5") {
			answered.V = 0
		}
		s.HTTPErrors = s.HTTPErrors.plus(answered)
	}
	for _, m := range found[seriesCache].GetMetric() {
		s.NumGPUBlocks = s.NumGPUBlocks.larger(number(labelOf(m, "num_gpu_blocks")))
		s.BlockSize = s.BlockSize.larger(number(labelOf(m, "block_size")))
	}
	// The value is when the labels were true; sets of labels that are over linger.
	var newest Value
	waiting := false
	for _, m := range found[seriesLoRA].GetMetric() {
		if at := count(m); at.Known && (!newest.Known || at.V >= newest.V) {
			newest, waiting = at, labelOf(m, "waiting_lora_adapters") != ""
		}
	}
	for i := range s.Ranks {
		s.Ranks[i].WaitingLoRA = waiting
	}
}

// number returns a number that stands in a label; vLLM writes None where there is none.
func number(label string) Value {
	n, err := strconv.ParseFloat(label, 64)
	if err != nil || n < 0 || n > maxCount {
		return Value{}
	}
	return known(n)
}

// readHistogram sums a histogram over its ranks. One with impossible counts is not known.
func readHistogram(found families, name string) (h Histogram) {
	for _, m := range unique(found[name+suffixOfCount], true) {
		h.Count = h.Count.plus(count(m))
	}
	for _, m := range unique(found[name+suffixOfSum], true) {
		h.Sum = h.Sum.plus(count(m))
	}
	buckets := make(map[float64]float64)
	for _, m := range unique(found[name+suffixOfBuckets], true) {
		bound, err := strconv.ParseFloat(labelOf(m, labelBound), 64)
		if n := count(m); err == nil && n.Known && known(bound).Known {
			buckets[bound] += n.V
		}
	}
	if !h.Count.Known || len(buckets) > maxBounds {
		return Histogram{}
	}
	for bound := range buckets {
		h.Bounds = append(h.Bounds, bound)
	}
	slices.Sort(h.Bounds)
	last := 0.0
	for _, bound := range h.Bounds {
		if buckets[bound] < last || buckets[bound] > h.Count.V {
			return Histogram{}
		}
		last = buckets[bound]
		h.Counts = append(h.Counts, last)
	}
	return h
}
