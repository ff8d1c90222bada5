package engine

import (
	"net/http"
	"slices"
	"time"
)

const (
	// missesToStale is how many readings may fail before the last good one counts no more.
	missesToStale = 3
	// missesToDown is how many attempts must fail before an engine that was up counts as down, and
	// silencesToDown how many if it does not answer in time: that may be load.
	missesToDown   = 2
	silencesToDown = 3
	// slowAfter is what the front end of a healthy engine takes at most to tell its metrics.
	slowAfter = 200 * time.Millisecond
)

// observation is what one poll found.
type observation struct {
	at        time.Time // when the poll was over
	health    int       // status of /health; 0 if there was no answer
	healthErr error
	snapshot  *Snapshot // nil if /metrics could not be read, or was not asked for
	scrapeErr error
	took      time.Duration // of /metrics
	paused    bool          // it says that it is paused
	inFlight  int           // our own running requests; below zero if not known
}

// machine makes a status of one observation after the other. It knows no clock and no network.
type machine struct {
	wedgedAfter time.Duration

	status   Status
	last     *Snapshot // the last good reading, however old
	missed   int       // readings of /metrics missed in succession
	misses   int       // attempts in succession that found no working engine
	refused  bool      // the last of them found no process
	slow     int       // late answers in succession
	progress progress
	mixture  mixture
	totals   totals
	history  history
}

func newMachine(address string, wedgedAfter time.Duration) *machine {
	return &machine{wedgedAfter: wedgedAfter, status: Status{Address: address, State: Unknown, Age: -1}}
}

// next takes an observation.
func (m *machine) next(o observation) {
	if o.snapshot != nil {
		m.read(o)
	} else {
		m.miss()
	}
	m.status.Err = reason(o)
	m.pace(o)
	m.enter(m.judge(o), o.at)
}

// read takes a good reading of /metrics.
func (m *machine) read(o observation) {
	s := o.snapshot
	c := same
	if m.last != nil {
		c = m.mixture.next(compare(m.last, s))
	}
	if c == restarted {
		m.status.Resets++
	}
	m.status.Mixed = m.mixture.mixed
	m.progress.next(s, o.inFlight, c != same)
	m.totals.add(s, c)
	m.history.add(s, c)
	m.status.Before = nil
	if c == same && m.missed < missesToStale {
		m.status.Before = m.last
	}
	m.status.Snapshot, m.last, m.missed = s, s, 0
	m.status.ScrapeTook = o.took
	m.status.LastProgress = m.progress.moved
	m.freeze(o)
}

// still tells whether nothing that the engine counts has moved since the reading before.
func (m *machine) still(o *observation) bool {
	if m.last == nil || o.snapshot == nil {
		return false
	}
	of := func(s *Snapshot) [3]Value {
		return [3]Value{
			s.Sum(func(r *Rank) Value { return r.GenerationTokens }), s.Sum(func(r *Rank) Value { return r.PromptTokens }),
			s.Sum(func(r *Rank) Value { return r.Iterations }),
		}
	}
	return of(m.last) == of(o.snapshot)
}

// freeze names the ranks that stand still.
func (m *machine) freeze(o observation) {
	limit := m.wedgedAfter
	if o.inFlight == 0 {
		limit *= 2 // after a mass abort the engine's gauge may keep requests that are gone
	}
	m.status.FrozenRanks, m.status.FrozenSince = m.progress.frozen(o.snapshot.Taken, limit)
	if len(m.status.FrozenRanks) == 0 && m.progress.whole.lasts(o.snapshot.Taken, 2*m.wedgedAfter) {
		m.status.FrozenSince = m.progress.whole.since
	}
}

// miss notes that there was no reading. What stood still before is not known to do so now, once the
// readings are gone.
func (m *machine) miss() {
	if m.missed++; m.missed == missesToStale {
		m.status.Snapshot, m.status.Before = nil, nil
		m.status.FrozenRanks, m.status.FrozenSince = nil, time.Time{}
		m.progress = progress{moved: m.progress.moved}
	}
}

// pace notes whether the front end answers late.
func (m *machine) pace(o observation) {
	late := o.took > slowAfter || Reason(o.healthErr) == "timeout" || Reason(o.scrapeErr) == "timeout"
	if !late {
		m.slow = 0
	} else {
		m.slow++
	}
	m.status.Slow = m.slow >= 2
}

// judge says what state an observation leads to.
func (m *machine) judge(o observation) State {
	if o.works() {
		m.misses, m.refused = 0, false
		if o.paused {
			return Asleep
		}
		return m.working()
	}
	m.misses++
	was, refused := m.status.State, m.refused
	m.refused = o.health == 0
	if o.health == http.StatusServiceUnavailable && o.snapshot.count() == 0 &&
		(was == Unknown || was == Loading || was == Down && refused) {
		return Loading // a loading engine has no metrics yet; a dead one that stays has
	}
	switch was {
	case Unknown, Down:
		return Down
	case Loading, Up, Wedged, Asleep:
	}
	need := missesToDown
	if m.status.Err == "timeout" {
		need = silencesToDown
	}
	if m.misses >= need {
		return Down
	}
	return was
}

// working says what state an engine is in that answers.
func (m *machine) working() State {
	s := m.status.Snapshot
	asleep := s.Sum(func(r *Rank) Value { return r.Asleep })
	frozen := len(m.status.FrozenRanks)
	switch {
	case asleep.Known && asleep.V == float64(s.count()):
		return Asleep
	case m.status.FrozenSince.IsZero(), frozen > 0 && frozen < s.count(), m.status.Mixed:
		return Up
	}
	return Wedged
}

// count returns the number of ranks.
func (s *Snapshot) count() int {
	if s == nil {
		return 0
	}
	return len(s.Ranks)
}

// works tells whether an engine answered as one that can serve. One whose /health is slow, or closed
// by something in front of it, works if its metrics are those of an engine.
func (o *observation) works() bool {
	switch {
	case o.health == http.StatusOK:
		return true
	case o.health >= 500:
		return false
	}
	return o.snapshot.count() > 0
}

// reason returns the word for what an observation failed at.
func reason(o observation) string {
	switch {
	case o.healthErr != nil:
		return Reason(o.healthErr)
	case o.health != http.StatusOK:
		return statusWord(o.health)
	case o.scrapeErr != nil:
		return "metrics_" + Reason(o.scrapeErr)
	}
	return ""
}

// enter puts the engine into a state.
func (m *machine) enter(s State, at time.Time) {
	if s != m.status.State {
		m.status.State, m.status.Since = s, at
	}
	switch s {
	case Up, Wedged, Asleep:
		m.status.EverUp = true
	case Unknown, Loading, Down:
	}
}

// told notes what an engine told about itself.
func (m *machine) told(version string, models []string) {
	if version != "" {
		m.status.Version = version
	}
	if len(models) > 0 {
		m.status.Models = slices.Clip(models)
	}
}
