package engine

// totals are counters that go on when the engine restarts: the sum of what was added between
// readings, beginning at zero with the first reading of each rank. After a restart the engine's
// counters begin at zero too, so a first reading then counts in full.
type totals struct {
	ranks map[rankKey]*[totalCount]total
}

type total struct {
	sum   float64
	last  Value
	known bool
}

// The counters that become metrics.
const (
	totalPreemptions = iota
	totalPrompt
	totalGeneration
	totalQueries
	totalHits
	totalCount
)

// counted is where they stand in a rank.
var counted = [totalCount]func(*Rank) Value{
	totalPreemptions: func(r *Rank) Value { return r.Preemptions },
	totalPrompt:      func(r *Rank) Value { return r.PromptTokens },
	totalGeneration:  func(r *Rank) Value { return r.GenerationTokens },
	totalQueries:     func(r *Rank) Value { return r.PrefixQueries },
	totalHits:        func(r *Rank) Value { return r.PrefixHits },
}

// add takes the next reading. Of a reading of another engine nothing is known to be new.
func (t *totals) add(s *Snapshot, c change) {
	if t.ranks == nil {
		t.ranks = make(map[rankKey]*[totalCount]total)
	}
	for i := range s.Ranks {
		r := &s.Ranks[i]
		key := rankKey{r.Rank, r.Model}
		of := t.ranks[key]
		if of == nil {
			if len(t.ranks) >= 2*maxRanks {
				continue // an engine that renames its model without end
			}
			of = new([totalCount]total)
			t.ranks[key] = of
		}
		for j := range of {
			of[j].add(counted[j](r), c)
		}
	}
}

func (t *total) add(v Value, c change) {
	if !v.Known {
		return
	}
	switch {
	case !t.known || c == other:
	case c == restarted || v.V < t.last.V:
		t.sum += v.V
	default:
		t.sum += v.V - t.last.V
	}
	t.last, t.known = v, true
}

// of returns the totals of a rank.
func (t *totals) of(r *Rank) (values [totalCount]Value) {
	if of := t.ranks[rankKey{r.Rank, r.Model}]; of != nil {
		for j := range of {
			if counted[j](r).Known {
				values[j] = Value{of[j].sum, of[j].known}
			}
		}
	}
	return values
}
