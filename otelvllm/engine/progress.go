package engine

import "time"

// frozenReadings is how many readings must find an engine unmoved before it counts as frozen.
const frozenReadings = 2

// still is how long something has not moved although it had work.
type still struct {
	since    time.Time // the reading before the first that found it unmoved
	readings int       // that found it unmoved
}

// extend adds a reading that found nothing moved since the reading before.
func (s *still) extend(before time.Time) {
	if s.readings == 0 {
		s.since = before
	}
	s.readings++
}

func (s *still) lasts(now time.Time, d time.Duration) bool {
	return s.readings >= frozenReadings && now.Sub(s.since) >= d
}

// progress follows from reading to reading whether an engine moves.
type progress struct {
	moved   time.Time // the last reading that found something moved
	ranks   map[rankKey]still
	whole   still
	worked  bool // the reading before had work
	reading *Snapshot
}

// next compares a reading with the one before. inFlight is our own running requests, below zero if
// not known. fresh tells that the reading before cannot be compared with, as the engine has restarted.
func (p *progress) next(s *Snapshot, inFlight int, fresh bool) {
	before := p.reading
	worked := p.worked
	p.reading, p.worked = s, hasWork(s, inFlight)
	if before == nil || fresh {
		p.ranks, p.whole = nil, still{}
		return
	}
	ranks := make(map[rankKey]still, len(s.Ranks))
	anyMoved := false
	for i := range s.Ranks {
		now := &s.Ranks[i]
		key := rankKey{now.Rank, now.Model}
		then := before.rank(key)
		if then == nil {
			continue
		}
		if moved(then, now) {
			anyMoved = true
			continue
		}
		if then.Running.V > 0 && now.Running.V > 0 {
			st := p.ranks[key]
			st.extend(before.Taken)
			ranks[key] = st
		}
	}
	p.ranks = ranks
	switch {
	case anyMoved:
		p.moved, p.whole = s.Taken, still{}
	case worked && p.worked && len(s.Ranks) > 0:
		p.whole.extend(before.Taken)
	default:
		p.whole = still{}
	}
}

// frozen returns the ranks that have not moved for d although they run requests, and since when the
// first of them has not.
func (p *progress) frozen(now time.Time, d time.Duration) (ranks []string, since time.Time) {
	if p.reading == nil {
		return nil, time.Time{}
	}
	for i := range p.reading.Ranks {
		r := &p.reading.Ranks[i]
		st, ok := p.ranks[rankKey{r.Rank, r.Model}]
		if !ok || !st.lasts(now, d) {
			continue
		}
		ranks = append(ranks, r.Rank)
		if since.IsZero() || st.since.Before(since) {
			since = st.since
		}
	}
	return ranks, since
}

// hasWork tells whether an engine has something to do that should move it. Requests that are
// deferred wait for something else: a grammar, an adapter, a remote KV cache.
func hasWork(s *Snapshot, inFlight int) bool {
	running := s.Sum(func(r *Rank) Value { return r.Running })
	deferred := s.Sum(func(r *Rank) Value { return r.WaitingDeferred })
	waiting := s.Sum(func(r *Rank) Value { return r.Waiting }).V - deferred.V
	if running.V > 0 || waiting > 0 {
		return true
	}
	return inFlight > 0 && deferred.V == 0
}

// moved tells whether something that a rank counts has changed. Its queue does not count: it grows
// while the engine hangs in a deadlock.
func moved(a, b *Rank) bool {
	for i := range rows {
		if r := &rows[i]; r.progress {
			x, y := *r.field(a), *r.field(b)
			if x.Known && y.Known && x.V != y.V {
				return true
			}
		}
	}
	return false
}

// rank returns one rank of a snapshot, nil if it has none such.
func (s *Snapshot) rank(key rankKey) *Rank {
	if s == nil {
		return nil
	}
	for i := range s.Ranks {
		if r := &s.Ranks[i]; r.Rank == key.rank && r.Model == key.model {
			return r
		}
	}
	return nil
}
