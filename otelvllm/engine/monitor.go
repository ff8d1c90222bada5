package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// maxPolls bounds the polls that run at the same time.
const maxPolls = 64

// Monitor asks engines how they are, again and again, and keeps what they told. It asks only while
// Run runs. Its methods are safe for concurrent use.
type Monitor struct {
	config
	groups  []*group
	invalid error
	inst    instruments

	running atomic.Bool
	list    atomic.Pointer[[]*target] // sorted by address
}

// NewMonitor returns a monitor of the engines at targets. A target is the base URL of an engine, such
// as http://127.0.0.1:8000; or the name of many engines, which is looked up again and again:
//
//	dns+http://vllm.default.svc:8000       every IPv4 and IPv6 address of the name, with that port
//	dnssrv+http://_http._tcp.vllm.svc      every host and port of the name's SRV records
//
// and the same with https. NewMonitor starts nothing; Run returns an error if a target is none.
func NewMonitor(targets []string, opts ...Option) *Monitor {
	m := &Monitor{config: newConfig(opts)}
	client := m.http
	if client == nil {
		client = newHTTPClient()
	}
	for i, target := range targets {
		g, err := newGroup(target, client, m.wedgedAfter)
		if err != nil {
			m.invalid = errors.Join(m.invalid, fail("bad_url", "target %d of the engine monitor: %w", i+1, err))
			continue
		}
		m.groups = append(m.groups, g)
	}
	m.inst = newInstruments(m.meterProvider)
	m.gather()
	return m
}

// targets returns the engines that are watched now, sorted by address.
func (m *Monitor) targets() []*target { return *m.list.Load() }

// Status returns what is known of each engine now, sorted by address. It never waits. An engine that
// has not been asked yet is there too; a name that leads to no engine is there as one that is down.
func (m *Monitor) Status() []Status {
	now := time.Now()
	targets := m.targets()
	all := make([]Status, len(targets))
	for i, t := range targets {
		all[i] = t.view.Load().at(now, m.interval)
	}
	return all
}

// Run asks the engines until ctx ends, then returns nil. Meanwhile the readings are metrics. It
// returns an error at once if a target is no URL of an engine or if Run runs already.
func (m *Monitor) Run(ctx context.Context) error {
	if m.invalid != nil {
		return m.invalid
	}
	if !m.running.CompareAndSwap(false, true) {
		return errors.New("the engine monitor runs already: call Run once at a time")
	}
	defer m.running.Store(false)
	registration, err := m.inst.register(m.observe)
	if err != nil {
		return err
	}
	defer func() { _ = registration.Unregister() }() // its only errors are of a provider that is shut down
	if m.http == nil {
		defer m.closeIdle()
	}
	l := loop{Monitor: m, polled: make(chan *target), resolved: make(chan *group)}
	l.run(ctx)
	return nil
}

func (m *Monitor) observe(_ context.Context, o metric.Observer) error {
	now := time.Now()
	for _, t := range m.targets() {
		m.inst.observe(o, t.view.Load(), now, m.interval)
	}
	return nil
}

// gather makes the list of targets from those of the groups. Of two with the same address one stays.
func (m *Monitor) gather() {
	all := []*target{} // not nil, as readers dereference the list
	for _, g := range m.groups {
		all = append(all, g.members()...)
	}
	slices.SortStableFunc(all, func(a, b *target) int { return strings.Compare(a.address, b.address) })
	all = slices.CompactFunc(all, func(a, b *target) bool { return a.address == b.address })
	m.list.Store(&all)
}

func (m *Monitor) closeIdle() {
	for _, g := range m.groups {
		g.closeIdle()
	}
}

// loop is one run of a monitor. Its methods run on one goroutine; polls and look-ups run on others,
// and say on a channel that they are over.
type loop struct {
	*Monitor
	polled   chan *target
	resolved chan *group
	polls    int
	work     sync.WaitGroup
}

func (l *loop) run(ctx context.Context) {
	defer l.work.Wait()
	for _, g := range l.groups {
		g.resolving = false
	}
	for _, t := range l.targets() {
		t.polling, t.due = false, time.Time{} // an earlier run may have ended within a poll
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case t := <-l.polled:
			l.polls--
			t.polling = false
		case g := <-l.resolved:
			g.resolving = false
			g.apply()
			l.gather()
		}
		timer.Reset(time.Until(l.start(ctx, time.Now())))
	}
}

// start starts what is due, the longest overdue first, and returns when to look again.
func (l *loop) start(ctx context.Context, now time.Time) (next time.Time) {
	next = now.Add(l.interval)
	for _, g := range l.groups {
		if g.resolve == nil || g.resolving {
			continue
		}
		if due := g.nextLookup(); due.After(now) {
			next = earlier(next, due)
			continue
		}
		g.resolving = true
		l.work.Go(func() {
			g.lookup(ctx, l.resolver)
			send(ctx, l.resolved, g)
		})
	}
	var due []*target
	for _, t := range l.targets() {
		switch {
		case t.polling || t.machine == nil:
		case t.due.After(now):
			next = earlier(next, t.due)
		default:
			due = append(due, t)
		}
	}
	slices.SortStableFunc(due, func(a, b *target) int { return a.due.Compare(b.due) })
	for _, t := range due[:min(len(due), maxPolls-l.polls)] {
		l.polls++
		t.polling = true
		l.work.Go(func() {
			began := time.Now()
			t.poll(ctx, min(l.interval, maxPoll), l.inFlight)
			t.due = t.again(began, l.interval)
			send(ctx, l.polled, t)
		})
	}
	return next // with all slots taken, the end of a poll is what to wait for
}

func send[T any](ctx context.Context, to chan<- T, v T) {
	select {
	case to <- v:
	case <-ctx.Done():
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// jittered returns a duration give or take 5 %, so that several monitors do not ask in step.
func jittered(d time.Duration) time.Duration {
	if d < 20 {
		return d
	}
	return d - d/20 + rand.N(d/10)
}
