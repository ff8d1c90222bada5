package watchdog

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// fakeEngine is an engine as its monitor would tell of it, read every 5 s.
type fakeEngine struct {
	mu     sync.Mutex
	state  engine.State
	since  time.Time
	err    string
	frozen time.Time // since when its counters stand still; zero: they move
	silent bool      // it gives no readings
}

func (f *fakeEngine) become(state engine.State, err string, frozen, silent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state, f.since, f.err, f.silent, f.frozen = state, time.Now(), err, silent, time.Time{}
	if frozen {
		f.frozen = time.Now()
	}
}

func (f *fakeEngine) status() []engine.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := moving(engine.Rank{})
	s.State, s.Since, s.Err = f.state, f.since, f.err
	taken := time.Now().Truncate(5 * time.Second)
	s.Snapshot.Taken, s.Before.Taken, s.LastProgress = taken, taken.Add(-5*time.Second), taken
	if !f.frozen.IsZero() {
		s.LastProgress = f.frozen.Truncate(5 * time.Second).Add(5 * time.Second)
		s.Before.Ranks = s.Snapshot.Ranks
	}
	if f.silent {
		s.Snapshot, s.Before, s.Age = nil, nil, -1
	}
	return []engine.Status{s}
}

// watchEngine is watch with an engine that is up at first.
func watchEngine(t *testing.T, f func(t *testing.T, r *inflight.Registry, w *Watchdog, e *fakeEngine)) {
	synctest.Test(t, func(t *testing.T) {
		r, e := &inflight.Registry{}, &fakeEngine{}
		e.become(engine.Up, "", false, false)
		w := &Watchdog{Registry: r, StallAfter: 30 * time.Second, Engines: e.status}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		f(t, r, w, e)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v, want nil", err)
		}
	})
}

func causes(list []inflight.Stall) []string {
	var all []string
	for _, s := range list {
		if s.Repeat == 0 {
			all = append(all, s.Cause)
		}
	}
	return all
}

func TestFortyStalledStreamsAreOneFinding(t *testing.T) {
	watchEngine(t, func(t *testing.T, r *inflight.Registry, w *Watchdog, e *fakeEngine) {
		reports := make([]recorder, 40)
		var requests []*inflight.Request
		for i := range reports {
			requests = append(requests, begin(r, inflight.PhaseDecode, true, &reports[i]))
		}
		e.become(engine.Up, "", true, false)
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if f := w.Findings(); len(f) != 1 || f[0].Code != EngineWedged || len(f[0].Requests) != 40 || f[0].Engine == nil || *f[0].Engine != address {
			t.Fatalf("got findings %s, want one for forty requests", outline(f))
		}
		e.become(engine.Up, "", false, false)
		for _, q := range requests {
			q.Progress(time.Now(), 1)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(w.Findings()) != 0 || len(w.Cleared()) != 1 || len(w.Cleared()[0].Requests) != 40 || w.Cleared()[0].Cleared == nil {
			t.Errorf("got findings %q, cleared %q; want none, and one cleared once", outline(w.Findings()), outline(w.Cleared()))
		}
		for i := range reports {
			if got := reports[i].all(); len(got) != 1 || got[0].Cause != string(EngineWedged) || got[0].Repeat != 0 {
				t.Fatalf("request %d: got reports %+v, want one", i, got)
			}
			requests[i].End("completed", nil, time.Now())
		}
	})
}

func TestStallIsReportedAgainWhenItsCauseBecomesAnother(t *testing.T) {
	watchEngine(t, func(t *testing.T, r *inflight.Registry, w *Watchdog, e *fakeEngine) {
		var reports recorder
		q := begin(r, inflight.PhaseDecode, true, &reports)
		e.become(engine.Up, "", true, false)
		time.Sleep(40 * time.Second)
		e.become(engine.Down, "connection_refused", true, true)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got, want := causes(reports.all()), []string{"engine_wedged", "engine_dead"}; !slices.Equal(got, want) {
			t.Errorf("got causes %q, want %q", got, want)
		}
		last := reports.all()[len(reports.all())-1]
		if last.Cause != "engine_dead" || last.Repeat == 0 {
			t.Errorf("got last report %+v, want a repeat of engine_dead", last)
		}
		if f := w.Findings(); outline(f) != "engine_dead"+on1+"[t]" {
			t.Errorf("got findings %q, want one", outline(f))
		}
		q.End("failed", nil, time.Now())
	})
}

func TestCauseThatWaversIsReportedSeldom(t *testing.T) {
	watchEngine(t, func(t *testing.T, r *inflight.Registry, _ *Watchdog, e *fakeEngine) {
		var reports recorder
		q := begin(r, inflight.PhaseDecode, true, &reports)
		e.become(engine.Up, "", true, false)
		time.Sleep(31 * time.Second)
		for range 100 { // a second well, a second not
			e.become(engine.Up, "", false, false)
			time.Sleep(time.Second)
			e.become(engine.Down, "connection_refused", true, true)
			time.Sleep(time.Second)
			e.become(engine.Up, "", true, false)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if got := causes(reports.all()); len(got) > 1+maxChanges {
			t.Errorf("got %d causes %q, want at most %d", len(got), got, 1+maxChanges)
		}
		q.End("failed", nil, time.Now())
	})
}

func TestConditionWithoutARequestIsRaisedAndClearedOnce(t *testing.T) {
	watchEngine(t, func(t *testing.T, _ *inflight.Registry, w *Watchdog, e *fakeEngine) {
		time.Sleep(10 * time.Second)
		e.become(engine.Down, "connection_refused", true, true)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if len(w.Findings()) != 0 {
			t.Errorf("got findings %q after 4 s, want none: engine_dead must last for 5 s", outline(w.Findings()))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := outline(w.Findings()); got != "engine_dead"+on1 {
			t.Errorf("got findings %q, want engine_dead", got)
		}
		e.become(engine.Up, "", false, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(w.Findings()) != 0 || outline(w.Cleared()) != "engine_dead"+on1 {
			t.Errorf("got findings %q, cleared %q; want none, and engine_dead once", outline(w.Findings()), outline(w.Cleared()))
		}
	})
}

func TestConditionThatTellsNoBeginningCountsFromTheFirstLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		throttled := false
		w := &Watchdog{GPUs: func() []GPU {
			mu.Lock()
			defer mu.Unlock()
			return []GPU{{ID: "0", Throttled: throttled}}
		}}
		set := func(to bool) {
			mu.Lock()
			defer mu.Unlock()
			throttled = to
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		for _, step := range []struct {
			throttled bool
			lasts     time.Duration
			want      string
		}{
			{false, 10 * time.Second, ""},
			{true, 50 * time.Second, ""},
			{false, 5 * time.Second, ""}, // it begins anew after this
			{true, 50 * time.Second, ""},
			{true, 15 * time.Second, "gpu_throttled"},
			{false, 5 * time.Second, ""},
		} {
			set(step.throttled)
			time.Sleep(step.lasts)
			synctest.Wait()
			if got := outline(w.Findings()); got != step.want {
				t.Errorf("throttled %t for %s: got %q, want %q", step.throttled, step.lasts, got, step.want)
			}
		}
		if got := outline(w.Cleared()); got != "gpu_throttled" {
			t.Errorf("got cleared %q, want it once", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v, want nil", err)
		}
	})
}

func TestAnswerThatIsNotStreamedIsJudgedByItsEngine(t *testing.T) {
	watchEngine(t, func(t *testing.T, r *inflight.Registry, _ *Watchdog, e *fakeEngine) {
		var reports recorder
		q := begin(r, inflight.PhaseQueueOrPrefill, false, &reports)
		time.Sleep(100 * time.Second)
		synctest.Wait()
		if len(reports.all()) != 0 {
			t.Fatalf("got reports %+v beside an engine that makes progress, want none before 300 s", reports.all())
		}
		e.become(engine.Up, "", true, false)
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if got := causes(reports.all()); !slices.Equal(got, []string{"engine_wedged"}) {
			t.Errorf("got causes %q, want engine_wedged", got)
		}
		q.End("completed", nil, time.Now())
	})
}

func TestCallerWhoDoesNotRead(t *testing.T) {
	watchEngine(t, func(t *testing.T, r *inflight.Registry, w *Watchdog, _ *fakeEngine) {
		var reports recorder
		q := begin(r, inflight.PhaseDecode, true, &reports)
		time.Sleep(29 * time.Second)
		q.Progress(time.Now(), 1)
		q.WriteStarted(time.Now())
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if got := outline(w.Findings()); got != "slow_client"+on1+"[t]" {
			t.Errorf("got findings %q, want slow_client", got)
		}
		q.WriteEnded(time.Now())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(w.Findings()) != 0 || len(reports.all()) != 1 {
			t.Errorf("got findings %q and %d reports after the write, want none and one", outline(w.Findings()), len(reports.all()))
		}
		q.End("completed", nil, time.Now())
	})
}

func TestTenThousandHealthyStreamsBesideEnginesRaiseNothing(t *testing.T) {
	watchEngine(t, func(t *testing.T, r *inflight.Registry, w *Watchdog, _ *fakeEngine) {
		var reports recorder
		requests := make([]*inflight.Request, 10_000)
		for i := range requests {
			requests[i] = begin(r, inflight.PhaseQueueOrPrefill, i%4 != 0, &reports)
		}
		for range 8 {
			time.Sleep(29 * time.Second)
			for i, q := range requests {
				if i%4 != 0 { // the rest are silent by nature
					q.Progress(time.Now(), 1)
				}
			}
		}
		synctest.Wait()
		if len(reports.all()) != 0 || len(w.Findings()) != 0 || len(w.Cleared()) != 0 {
			t.Errorf("got %d reports and findings %q of healthy requests, want none", len(reports.all()), outline(w.Findings()))
		}
		for _, q := range requests {
			q.End("completed", nil, time.Now())
		}
	})
}
