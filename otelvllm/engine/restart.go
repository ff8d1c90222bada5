package engine

// change is what lies between two readings of one address.
type change int

const (
	same      change = iota // the same engine, later
	restarted               // the engine has restarted
	other                   // another engine answered
)

// Restarts more often than one in mixedAmong readings are another thing: an address behind which
// several engines answer in turn. It is forgotten after mixedFor readings without one.
const (
	mixedAmong = 3
	mixedFor   = 10
)

// compare tells what lies between two readings. A later start is a restart; an earlier one can only
// be another engine's. Engines with several API servers do not tell their start; then a counter that
// went back is a restart.
func compare(before, now *Snapshot) change {
	if a, b := before.Started, now.Started; a.Known && b.Known && a.V != b.V {
		if b.V < a.V {
			return other
		}
		return restarted
	}
	for i := range now.Ranks {
		b := &now.Ranks[i]
		a := before.rank(rankKey{b.Rank, b.Model})
		if a == nil {
			continue
		}
		for j := range rows {
			if r := &rows[j]; r.counter {
				x, y := *r.field(a), *r.field(b)
				if x.Known && y.Known && y.V < x.V {
					return restarted
				}
			}
		}
	}
	if before.Model != now.Model && before.Model != "" && now.Model != "" {
		return restarted
	}
	return same
}

// mixture notices that an address leads to several engines.
type mixture struct {
	mixed bool
	quiet int // readings since the last change
	seen  bool
}

// next takes what lies before a reading and tells what it really is.
func (m *mixture) next(c change) change {
	if c == same {
		m.quiet++
		if m.quiet >= mixedFor {
			m.mixed = false
		}
	} else {
		if c == other || m.seen && m.quiet < mixedAmong {
			m.mixed = true
		}
		m.seen, m.quiet = true, 0
	}
	if m.mixed {
		return other
	}
	return c
}
