package inflight_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

func models(list []inflight.Status) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Model
	}
	return names
}

func TestRunningIsOldestFirstAndRecentNewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r inflight.Registry
		var requests []*inflight.Request
		for _, model := range []string{"a", "b", "c", "d"} {
			requests = append(requests, r.Begin(inflight.Info{Model: model}))
			time.Sleep(time.Second) // of the bubble's clock: it takes no time
		}
		requests = append(requests, r.Begin(inflight.Info{Model: "older", Start: time.Now().Add(-time.Hour)}))
		if got, want := fmt.Sprint(models(r.Running())), "[older a b c d]"; got != want {
			t.Errorf("running: got %s, want %s", got, want)
		}
		for _, i := range []int{1, 4, 0} {
			requests[i].End("completed", nil, time.Now())
			time.Sleep(time.Second)
		}
		if got, want := fmt.Sprint(models(r.Running())), "[c d]"; got != want {
			t.Errorf("running after three ended: got %s, want %s", got, want)
		}
		if got, want := fmt.Sprint(models(r.Recent())), "[a older b]"; got != want {
			t.Errorf("recent: got %s, want %s", got, want)
		}
		if got := r.Requests(); len(got) != 2 || got[0] != requests[2] || got[1] != requests[3] {
			t.Errorf("requests: got %v, want the third and the fourth", got)
		}
	})
}

func TestHistoryKeepsTheNewest(t *testing.T) {
	for history, want := range map[int]int{0: inflight.DefaultHistory, 3: 3, -1: 0} {
		r := inflight.Registry{History: history}
		waiting := r.Begin(inflight.Info{Model: "waiting"})
		for i := range 1000 {
			r.Begin(inflight.Info{Model: fmt.Sprint(i)}).End("completed", nil, time.Now())
		}
		recent := r.Recent()
		if len(recent) != want {
			t.Errorf("history %d: got %d finished requests, want %d", history, len(recent), want)
		}
		for i := range recent {
			if want := fmt.Sprint(999 - i); recent[i].Model != want {
				t.Errorf("history %d: place %d: got %s, want %s", history, i, recent[i].Model, want)
			}
		}
		if running := r.Requests(); len(running) != 1 || running[0] != waiting {
			t.Errorf("history %d: got %d running, want the one that waits", history, len(running))
		}
	}
}

// TestRunningIsBegunMinusEnded compares the registry with a plain set under random operations.
func TestRunningIsBegunMinusEnded(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	r := inflight.Registry{History: 10}
	running := make(map[*inflight.Request]bool)
	for step := range 5000 {
		if grow := step < 2500; random.Float64() < 0.6 == grow || len(running) == 0 {
			running[r.Begin(inflight.Info{})] = true
		} else {
			for q := range running { // any one
				q.End("completed", nil, time.Now())
				delete(running, q)
				if random.IntN(5) == 0 {
					q.End("failed", nil, time.Now())
				}
				break
			}
		}
		if step%50 != 0 {
			continue
		}
		requests := r.Requests()
		if len(requests) != len(running) || len(r.Running()) != len(running) {
			t.Fatalf("step %d: got %d running, want %d", step, len(requests), len(running))
		}
		for _, q := range requests {
			if !running[q] {
				t.Fatalf("step %d: a request is listed that ended", step)
			}
		}
		for _, s := range r.Recent() {
			if s.Outcome != "completed" {
				t.Fatalf("step %d: a second End changed the outcome to %q", step, s.Outcome)
			}
		}
	}
}

// TestConcurrentUse has each method called while the others are. The race detector judges it.
func TestConcurrentUse(t *testing.T) {
	r := inflight.Registry{History: 20}
	var workers, readers sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				r.Running()
				r.Recent()
				for _, q := range r.Requests() {
					q.Stalled(inflight.Stall{Cause: "no_progress"})
					q.Resumed()
				}
			}
		})
	}
	for worker := range 4 {
		workers.Go(func() {
			for i := range 200 {
				q := r.Begin(inflight.Info{Model: fmt.Sprint(worker, "-", i), OnStall: func(inflight.Stall) { r.Requests() }})
				q.Enter(inflight.PhaseConnect, time.Now())
				q.Describe("chat", "m", true)
				q.Enter(inflight.PhaseDecode, time.Now())
				var parts sync.WaitGroup
				for range 2 {
					parts.Go(func() {
						for range 20 {
							q.Progress(time.Now(), 1)
							q.KeepAlive(time.Now())
							q.OutputTokens(int64(i))
						}
					})
				}
				parts.Wait()
				if s := q.Status(time.Now()); s.Contents != 40 {
					t.Errorf("got %d contents, want 40", s.Contents)
				}
				for range 2 {
					parts.Go(func() { q.End("completed", nil, time.Now()) })
				}
				parts.Wait()
			}
		})
	}
	workers.Wait()
	close(done)
	readers.Wait()
	if got := len(r.Requests()); got != 0 {
		t.Errorf("got %d running, want 0", got)
	}
	if got := len(r.Recent()); got != 20 {
		t.Errorf("got %d finished, want 20", got)
	}
}

func TestNilAcceptsEveryCall(t *testing.T) {
	var r *inflight.Registry
	q := r.Begin(inflight.Info{Model: "m"})
	if q != nil {
		t.Fatalf("got %v, want nil", q)
	}
	now := time.Now()
	q.Describe("chat", "m", true)
	q.Enter(inflight.PhaseDecode, now)
	q.Progress(now, 1)
	q.KeepAlive(now)
	q.OutputTokens(1)
	q.Stalled(inflight.Stall{})
	q.Resumed()
	q.End("completed", nil, now)
	if s := q.Status(now); s.OutputTokens != -1 || s.Model != "" {
		t.Errorf("got %+v, want a status that knows nothing", s)
	}
	if len(r.Running())+len(r.Recent())+len(r.Requests()) != 0 {
		t.Error("a nil registry holds something")
	}
}
