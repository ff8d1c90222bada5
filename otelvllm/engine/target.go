package engine

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// maxPoll bounds a poll of one engine.
	maxPoll = 5 * time.Second
	// confirmAfter is how soon an engine that was up is asked again after it failed once.
	confirmAfter = time.Second
	// metadataEvery is how often version and models are asked for, and metadataRetry how often if
	// they were not told.
	metadataEvery = 5 * time.Minute
	metadataRetry = time.Minute
)

// target is one engine that is watched. Its view may be read by anyone; due and polling belong
// to the loop of the monitor, the rest to the one poll that may run.
type target struct {
	address string
	client  Client
	view    atomic.Pointer[view]

	due     time.Time
	polling bool

	machine  *machine
	metadata time.Time // when version and models are asked for again
	resets   int       // Resets when they were asked for

	unpausable bool // the server has no /is_paused
}

// view is what readers see of a target; it is never changed.
type view struct {
	status  Status
	polled  time.Time // when the last poll was over; zero if the engine is not polled
	read    time.Time // when the last good reading was taken
	moments []moment
	ranks   []rankView
	options observeOptions
}

func newTarget(address string, client Client, wedgedAfter time.Duration) *target {
	t := &target{address: address, client: client, machine: newMachine(address, wedgedAfter)}
	t.publish(time.Time{})
	return t
}

// at returns the status as it is seen at a time. Readings whose poll is overdue do not count: their
// monitor does not run, or cannot keep up.
func (v *view) at(now time.Time, interval time.Duration) Status {
	s := v.status
	if !v.read.IsZero() {
		s.Age = now.Sub(v.read)
	}
	overdue := missesToStale*interval + maxPoll
	if !v.polled.IsZero() && now.Sub(v.polled) > overdue {
		s.State, s.Since = Unknown, v.polled.Add(overdue)
		s.Snapshot, s.Before, s.FrozenRanks, s.FrozenSince = nil, nil, nil, time.Time{}
	}
	return s
}

func (t *target) publish(polled time.Time) {
	m := t.machine
	v := &view{status: m.status, polled: polled, moments: m.history.moments}
	if m.last != nil {
		v.read = m.last.Taken
	}
	v.options = optionsOf(t.address)
	if s := m.status.Snapshot; s != nil {
		v.ranks = make([]rankView, len(s.Ranks))
		for i := range s.Ranks {
			v.ranks[i] = rankView{&s.Ranks[i], m.totals.of(&s.Ranks[i]), optionsOfRank(t.address, &s.Ranks[i])}
		}
	}
	t.view.Store(v)
}

// poll asks the engine once and publishes what it told. It returns within limit.
func (t *target) poll(ctx context.Context, limit time.Duration, inFlight func(string) int) {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	o := observation{inFlight: -1}
	if inFlight != nil {
		o.inFlight = inFlight(t.address)
	}
	health, cancelHealth := context.WithTimeout(bounded, limit*2/5) // the rest is for the metrics
	o.health, o.healthErr = t.client.Health(health)
	cancelHealth()
	if o.health != 0 || Reason(o.healthErr) == "timeout" {
		began := time.Now()
		o.snapshot, o.scrapeErr = t.client.Scrape(bounded)
		o.took = time.Since(began)
	}
	if ctx.Err() != nil {
		return // the monitor ends: what failed did so for that
	}
	o.paused = t.askPaused(bounded, &o)
	o.at = time.Now()
	t.machine.next(o)
	t.publish(o.at)
	if o.works() && t.askMetadata(bounded, o.at) {
		t.publish(o.at)
	}
}

// pausedTimeout bounds the question whether an engine that stands still is paused: a wedged one does
// not answer it.
const pausedTimeout = time.Second

// askPaused asks an engine that stands still whether it is paused: its gauges keep what they said
// before. A server without that answer is not asked again.
func (t *target) askPaused(ctx context.Context, o *observation) bool {
	if t.unpausable || o.snapshot == nil || o.inFlight == 0 || !t.machine.still(o) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, pausedTimeout)
	defer cancel()
	paused, err := t.client.Paused(ctx)
	t.unpausable = Reason(err) == "status_404"
	return paused.Known && paused.V == 1
}

// askMetadata asks for version and models if it is time to.
func (t *target) askMetadata(ctx context.Context, now time.Time) bool {
	if now.Before(t.metadata) && t.resets == t.machine.status.Resets {
		return false
	}
	t.resets = t.machine.status.Resets
	version, versionErr := t.client.Version(ctx)
	models, modelsErr := t.client.Models(ctx)
	t.metadata = now.Add(metadataEvery)
	if versionErr != nil || modelsErr != nil {
		t.metadata = now.Add(metadataRetry) // a key may be needed, or the engine too busy
	}
	t.machine.told(version, models)
	return versionErr == nil || modelsErr == nil
}

// again says when the engine is due after a poll.
func (t *target) again(began time.Time, interval time.Duration) time.Time {
	s := &t.machine.status
	if t.machine.misses == 1 && (s.State == Up || s.State == Wedged || s.State == Asleep) {
		return time.Now().Add(min(interval, confirmAfter))
	}
	due := began.Add(jittered(interval))
	if soon := time.Now().Add(interval / 10); due.Before(soon) {
		return soon // after a poll that took a whole interval, give the engine a pause
	}
	return due
}
