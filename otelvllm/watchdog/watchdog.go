// Package watchdog sees requests that hang, while they hang, and says why.
//
// A request is judged by our own clock and its phase: it is stalled when the engine has sent nothing
// for longer than a threshold. Never by the engine's /health, which stays 200 while the engine is
// wedged. A keep-alive comment shows that the connection lives; it is evidence, not progress.
//
// The cause is found by [Diagnose], a pure function over one table of rules: what our own requests
// show beside the engine's counters and the GPUs' readings. If an engine is down, forty stalled
// streams are one finding.
//
// One timer serves all requests. The watchdog raises each stall once, through the request's own
// OnStall hook, and once more where its cause has become another; it repeats it with growing pauses
// while it lasts, and keeps the findings for a page or an endpoint to show.
package watchdog

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// DefaultStallAfter is the silence after which a request counts as stalled.
const DefaultStallAfter = 30 * time.Second

// tick is the time between two looks at engines, GPUs and stalls that last. The next stall has a
// timer of its own.
const tick = time.Second

// Watchdog watches the running requests of a registry and what serves them. Set its fields before
// Run; the zero value of each is a usable default. Its methods are safe for concurrent use.
type Watchdog struct {
	// Registry holds the requests to watch. Nil means there are none.
	Registry *inflight.Registry
	// StallAfter is the silence after which a request counts as stalled. Zero means 30 s. A cause
	// can be named only by readings that were made since the silence began: engines should be read
	// several times in this time.
	StallAfter time.Duration
	// Engines returns the state of the engines, as [engine.Monitor.Status] does. It is called once
	// a second, at each stall and by Evidence; it must not wait and be safe for concurrent use. Nil means that nothing is known of any.
	Engines func() []engine.Status
	// GPUs returns the readings of the GPUs of this host's engines, under the same rules.
	GPUs func() []GPU
	// CPUBusy returns the share of one core that the engine's API server uses, if it runs on this
	// host, under the same rules.
	CPUBusy func() engine.Value
	// OnChange is told of the findings that have come up and of those that are over, of each kind the root causes first.
	// One whose requests hang is raised when the first of them does, and is not raised again for the others. It is
	// called by Run, which must not be held up for long and lets its panic through; it must not change the findings.
	// Nil means nobody wants to know.
	OnChange func(raised, cleared []Finding)

	state atomic.Pointer[report]

	// The rest belongs to the goroutine that runs Run.
	stalls  map[*inflight.Request]*stall
	looks   uint64      // numbers the looks
	groups  map[key]int // how many stalls have each cause
	members map[key]*members
	first   map[key]time.Time
	shown   map[key]*Finding
	cleared []Finding
	handles []*inflight.Request // kept from one look to the next, with the next one
	waiters []waiter            // of the handles, in their order
	scratch scratch
}

// Run watches until ctx ends, then returns nil. It must not run twice at the same time.
func (w *Watchdog) Run(ctx context.Context) error {
	w.reset()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		now := time.Now()
		timer.Reset(max(w.check(now).Sub(now), time.Millisecond))
	}
}

func (w *Watchdog) reset() {
	w.stalls, w.groups = make(map[*inflight.Request]*stall), make(map[key]int)
	w.first = make(map[key]time.Time)
}

func (w *Watchdog) threshold() time.Duration {
	if w.StallAfter > 0 {
		return w.StallAfter
	}
	return DefaultStallAfter
}

// ticks tells whether there is more to look at than requests.
func (w *Watchdog) ticks() bool { return w.Engines != nil || w.GPUs != nil }

// check looks at everything and returns when to look again. A request that begins later cannot be
// due before that: its own silence begins later too.
func (w *Watchdog) check(now time.Time) time.Time {
	next := now.Add(w.threshold())
	if w.ticks() || len(w.stalls) > 0 { // a stall that is over should not be shown for long
		next = earlier(next, now.Add(tick))
	}
	next, silent := w.follow(now, next)
	if !silent && len(w.stalls) == 0 && !w.ticks() {
		if len(w.shown) > 0 || w.state.Load() == nil {
			w.publish(&diagnosis{}, now)
		}
		return next
	}
	v := w.view(now, silent)
	d := diagnose(&v)
	w.first, w.scratch = d.seen, scratch{d.look.due, d.causes}
	changed, due := w.reconcile(d)
	if changed {
		w.gather()
	}
	if !due.IsZero() {
		next = earlier(earlier(next, due), now.Add(tick))
	}
	if changed || w.ticks() && (len(d.conditions) > 0 || len(w.shown) > 0) || w.state.Load() == nil {
		w.publish(d, now)
	}
	return next
}

// view collects what a diagnosis may look at. The requests are left out if none is silent.
func (w *Watchdog) view(now time.Time, silent bool) View {
	v := View{Now: now, StallAfter: w.threshold(), first: w.first, scratch: &w.scratch}
	if silent {
		v.watched = w.waiters
	}
	if w.Engines != nil {
		v.Engines = w.Engines()
	}
	if w.GPUs != nil {
		v.GPUs = w.GPUs()
	}
	if w.CPUBusy != nil {
		v.Host.CPUBusy = w.CPUBusy()
	}
	return v
}

// forget clears what a list that is used again held beyond its end.
func forget[T any](list []T, before int) {
	if before > len(list) && before <= cap(list) {
		clear(list[len(list):before])
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
