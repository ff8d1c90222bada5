package gpumetrics

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// ledgers are the ledgers of a monitor.
type ledgers struct {
	mu  sync.Mutex
	all atomic.Pointer[[]*Ledger]
}

func (ls *ledgers) add(l *Ledger) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	all := append(slices.Clone(ls.list()), l)
	ls.all.Store(&all)
}

func (ls *ledgers) list() []*Ledger {
	if p := ls.all.Load(); p != nil {
		return *p
	}
	return nil
}

// read takes in what a sample told of a GPU's energy. Parts of a divided GPU have none of their own.
func (ls *ledgers) read(d *device, tier Tier, now time.Time) {
	all := ls.list()
	if tier != Fast || len(all) == 0 || d.info.Load().Parent != "" {
		return
	}
	r := &d.values
	energy, counter := r.values[Energy], r.known.has(Energy)
	power, told := r.values[Power], r.known.has(Power)
	if counter && !d.counters[Energy].at.Equal(now) {
		return // told before, and not now
	}
	for _, l := range all {
		switch {
		case counter:
			l.read(d.id(), energy, 0, true)
		case told:
			l.read(d.id(), 0, power, false)
		}
	}
}

// gone notes that a GPU answers no more.
func (ls *ledgers) gone(id string) {
	for _, l := range ls.list() {
		l.gone(id)
	}
}

// observe tells how many requests could not be settled. Where there is no GPU, nothing is missing in a request that has
// ended before any was read.
func (ls *ledgers) observe(o metric.Observer, in *instruments, exist bool) {
	all := ls.list()
	if len(all) == 0 {
		return
	}
	for i := range unsettledReasons {
		n := int64(0)
		for _, l := range all {
			if exist {
				l.exist.Store(true)
			}
			if i != unread || l.exist.Load() {
				n += l.dropped[i].Load()
			}
		}
		in.own[unsettledMetric].observe(o, float64(n), in.unsettled[i])
	}
}

// read takes in one reading of one GPU: joules since the monitor began, or watts where it has no
// counter. It ends a segment, and settles what is known by it.
func (l *Ledger) read(id string, energy, power float64, counter bool) {
	if len(l.devices) > 0 && !slices.Contains(l.devices, id) {
		return
	}
	l.change(func() {
		number := l.cut()
		g := l.gpus[id]
		next := &meter{energy: energy, power: power, at: l.now, segment: number, counter: counter}
		switch {
		case g == nil || g.counter != counter:
			for i := range l.segments[:number-l.base] {
				l.segments[i].gap = true
			}
		case counter:
			l.spread(g, number, energy-g.energy)
		default:
			l.spread(g, number, (power+g.power)/2*(l.now-g.at).Seconds())
		}
		l.gpus[id], l.seen = next, true
	})
}

// change brings the ledger up to now, applies f, and records what is settled by it. It records
// without the lock: what metrics do with a record is not the ledger's business.
func (l *Ledger) change(f func()) {
	l.mu.Lock()
	l.advance()
	f()
	l.settle()
	ready := l.ready
	l.ready = nil
	l.mu.Unlock()
	for i := range ready {
		l.record(&ready[i])
	}
}

// cut ends the open segment, begins the next, and returns its number. A segment that would have no
// length is not ended.
func (l *Ledger) cut() int {
	last := &l.segments[len(l.segments)-1]
	if last.began == l.now {
		return l.base + len(l.segments) - 1
	}
	l.segments = append(l.segments, segment{began: l.now, virtual: l.virtual})
	return l.base + len(l.segments) - 1
}

// spread divides the energy that a GPU used since it was last read over the segments since then, by
// their length.
func (l *Ledger) spread(g *meter, until int, used float64) {
	whole := (l.now - g.at).Seconds()
	if whole <= 0 {
		return
	}
	for n := max(g.segment, l.base); n < until; n++ {
		i := n - l.base
		l.segments[i].energy += used * (l.segments[i+1].began - l.segments[i].began).Seconds() / whole
	}
}

// gone takes a GPU out. What it used since it was last read is not known.
func (l *Ledger) gone(id string) {
	l.change(func() {
		g := l.gpus[id]
		if g == nil {
			return
		}
		until := l.cut()
		for n := max(g.segment, l.base); n < until; n++ {
			l.segments[n-l.base].gap = true
		}
		delete(l.gpus, id)
	})
}

// settle closes the segments that every GPU has been read after, oldest first. Where a GPU is silent
// for very long, the oldest are given up.
func (l *Ledger) settle() {
	known := l.base + len(l.segments) - 1
	for _, g := range l.gpus {
		known = min(known, g.segment)
	}
	closed := 0
	for ; l.base < known; closed++ {
		l.close(&l.segments[closed], l.segments[closed+1].began, l.segments[closed+1].virtual)
	}
	for ; len(l.segments)-closed > maxSegments; closed++ {
		l.segments[closed].gap = true
		l.close(&l.segments[closed], l.segments[closed+1].began, l.segments[closed+1].virtual)
	}
	l.segments = slices.Delete(l.segments, 0, closed)
}

// close takes the oldest segment into the sums, and settles what began or ended in it. A request's
// energy is the difference of the sum ∫ P/n dt between its two ends.
func (l *Ledger) close(s *segment, end time.Duration, virtual float64) {
	power := s.energy / (end - s.began).Seconds()
	sum := func(virtual float64) float64 { return l.energy + power*(virtual-s.virtual) }
	for u := s.first; u != nil; {
		next := u.next
		u.energy, u.gaps, u.settled = sum(u.virtual), l.gaps, true
		u.next, u.prev = nil, nil
		u = next
	}
	s.first = nil
	gaps := l.gaps
	if s.gap {
		gaps++
	}
	waiting := l.pending[:0]
	for i := range l.pending {
		p := l.pending[i]
		if u := &p.use; !u.settled && u.segment == l.base {
			u.energy, u.gaps, u.settled = sum(u.virtual), l.gaps, true
		}
		switch {
		case p.segment > l.base:
			waiting = append(waiting, p)
		case p.use.gaps != gaps:
			l.miss(&p, silent)
		default:
			p.use.energy = max(0, sum(p.virtual)-p.use.energy)
			l.tell(&p)
		}
	}
	clear(l.pending[len(waiting):])
	l.pending = waiting
	l.energy, l.gaps = sum(virtual), gaps
	l.base++
}
