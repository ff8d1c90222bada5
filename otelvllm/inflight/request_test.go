package inflight_test

import (
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

func TestStatusFollowsTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r inflight.Registry
		start := time.Now()
		q := r.Begin(inflight.Info{TraceID: "t", SpanID: "s", Operation: "chat", Route: "/v1/chat/completions"})
		expectStatus := func(when string, want inflight.Status) {
			t.Helper()
			want.TraceID, want.SpanID, want.Route, want.Start, want.Started = "t", "s", "/v1/chat/completions", start, start
			if got := q.Status(time.Now()); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got\n%+v, want\n%+v", when, got, want)
			}
		}
		sec := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

		time.Sleep(2 * time.Second)
		expectStatus("just begun", inflight.Status{
			Info: inflight.Info{Operation: "chat"}, LastProgress: start, PhaseSince: start, OutputTokens: -1,
			Age: 2 * time.Second, Silent: 2 * time.Second,
		})
		q.Describe("", "llama", true)
		q.Enter(inflight.PhaseQueueOrPrefill, time.Now())
		time.Sleep(3 * time.Second)
		q.KeepAlive(time.Now())
		time.Sleep(time.Second)
		llama := inflight.Info{Operation: "chat", Model: "llama", Stream: true}
		expectStatus("waiting for the first content", inflight.Status{
			Info: llama, StreamKnown: true, LastProgress: sec(2), LastKeepAlive: sec(5),
			Phase: inflight.PhaseQueueOrPrefill, PhaseSince: sec(2), OutputTokens: -1,
			Age: 6 * time.Second, Silent: 4 * time.Second,
		})
		q.Progress(time.Now(), 1)
		q.Enter(inflight.PhaseDecode, time.Now())
		q.OutputTokens(0)
		time.Sleep(time.Second)
		q.Progress(time.Now(), 2)
		q.Progress(sec(3), 1) // late news does not turn the clock back
		time.Sleep(time.Second)
		decoding := inflight.Status{
			Info: llama, StreamKnown: true, LastProgress: sec(7), LastKeepAlive: sec(5),
			Phase: inflight.PhaseDecode, PhaseSince: sec(6), Contents: 4,
			Age: 8 * time.Second, Silent: time.Second,
		}
		expectStatus("decoding", decoding)
		for _, n := range []int64{-1, 1<<53 + 1} {
			q.OutputTokens(n)
		}
		expectStatus("told impossible counts", decoding)
		q.OutputTokens(1 << 53)
		if got := q.Status(time.Now()).OutputTokens; got != 1<<53 {
			t.Errorf("got %d output tokens, want the largest number that is taken", got)
		}
		q.OutputTokens(17)

		spans := []inflight.Span{{Name: "chat llama", Parent: -1, Start: start, Duration: 8 * time.Second}}
		q.End("completed", spans, time.Now())
		ended := decoding
		ended.OutputTokens, ended.Ended, ended.Outcome, ended.Duration, ended.Spans = 17, true, "completed", 8*time.Second, spans
		expectStatus("ended", ended)

		time.Sleep(10 * time.Second)
		ended.Age = 18 * time.Second
		q.Progress(time.Now(), 5)
		q.KeepAlive(time.Now())
		q.OutputTokens(99)
		q.Enter(inflight.PhaseBody, time.Now())
		q.Describe("x", "y", false)
		q.Stalled(inflight.Stall{Cause: "no_progress"})
		q.Resumed()
		q.End("failed", nil, time.Now())
		expectStatus("told more after its end", ended)
		if got := r.Recent(); len(got) != 1 || !reflect.DeepEqual(got[0], q.Status(time.Now())) {
			t.Errorf("recent: got %+v, want the status of the request", got)
		}
	})
}

func TestTimesNeverAreNegative(t *testing.T) {
	var r inflight.Registry
	now := time.Now()
	q := r.Begin(inflight.Info{Start: now})
	q.KeepAlive(now.Add(-time.Hour))
	s := q.Status(now.Add(-time.Minute))
	if s.Age != 0 || s.Silent != 0 || s.LastKeepAlive.Before(now) {
		t.Errorf("got age %v, silent %v, keep-alive %v, want none below zero", s.Age, s.Silent, s.LastKeepAlive)
	}
	q.End("completed", nil, now.Add(-time.Minute))
	if s := r.Recent()[0]; s.Duration != 0 || s.Age < 0 {
		t.Errorf("got duration %v, age %v, want none below zero", s.Duration, s.Age)
	}
}

func TestStreamIsUnknownUntilTold(t *testing.T) {
	var r inflight.Registry
	for name, c := range map[string]struct {
		info  inflight.Info
		known bool
	}{
		"nothing": {inflight.Info{Operation: "chat"}, false},
		"model":   {inflight.Info{Model: "m"}, true},
		"stream":  {inflight.Info{Stream: true}, true},
	} {
		q := r.Begin(c.info)
		if got := q.Status(time.Now()).StreamKnown; got != c.known {
			t.Errorf("begun with %s: got known %v, want %v", name, got, c.known)
		}
		q.Describe("", "", false)
		if s := q.Status(time.Now()); !s.StreamKnown || s.Stream || s.Model != c.info.Model {
			t.Errorf("begun with %s and described: got %+v, want stream false and the model kept", name, s)
		}
	}
}

func TestStallIsSetAndClearedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r inflight.Registry
		var reports []inflight.Stall
		q := r.Begin(inflight.Info{OnStall: func(s inflight.Stall) {
			r.Running() // would hang if a lock were held
			reports = append(reports, s)
		}})
		start := time.Now()
		time.Sleep(30 * time.Second)
		q.Stalled(inflight.Stall{Cause: "engine_wedged", Since: start, Silence: 30 * time.Second})
		time.Sleep(30 * time.Second)
		q.KeepAlive(time.Now())
		q.Stalled(inflight.Stall{Cause: "engine_wedged", Since: start, Silence: time.Minute, Repeat: 1})
		if s := q.Status(time.Now()).Stall; s == nil || s.Silence != time.Minute {
			t.Errorf("got stall %+v, want the second report, which a keep-alive does not clear", s)
		}
		q.Progress(time.Now(), 0)
		if s := q.Status(time.Now()).Stall; s != nil {
			t.Errorf("got stall %+v after progress, want none", s)
		}
		q.Resumed()
		q.Stalled(inflight.Stall{Cause: "late", Since: start})
		if s := q.Status(time.Now()).Stall; s != nil {
			t.Errorf("got stall %+v from a report that progress had overtaken, want none", s)
		}
		time.Sleep(time.Second)
		q.Stalled(inflight.Stall{Cause: "no_progress"})
		if s := q.Status(time.Now()).Stall; s == nil || !s.Since.Equal(start.Add(time.Minute)) {
			t.Errorf("got %+v, want a stall since the last progress", s)
		}
		q.Enter(inflight.PhaseDecode, time.Now())
		if s := q.Status(time.Now()).Stall; s != nil {
			t.Errorf("got stall %+v after a phase began, want none", s)
		}
		q.Stalled(inflight.Stall{Cause: "no_progress"})
		q.Resumed()
		if s := q.Status(time.Now()).Stall; s != nil {
			t.Errorf("got stall %+v after Resumed, want none", s)
		}
		q.Stalled(inflight.Stall{Cause: "last"})
		q.End("caller_left", nil, time.Now())
		if s := r.Recent()[0]; s.Stall == nil || s.Stall.Cause != "last" {
			t.Errorf("got stall %+v of the ended request, want the one it ended in", s.Stall)
		}
		var causes []string
		for _, s := range reports {
			causes = append(causes, s.Cause)
		}
		if got, want := strings.Join(causes, " "), "engine_wedged engine_wedged no_progress no_progress last"; got != want {
			t.Errorf("reports: got %s, want %s", got, want)
		}
	})
}

// TestProgressAndStallAtTheSameTime has both happen at once: whoever comes last, a stall that began
// before the progress does not stay.
func TestProgressAndStallAtTheSameTime(t *testing.T) {
	var r inflight.Registry
	for range 2000 {
		start := time.Now()
		q := r.Begin(inflight.Info{Start: start})
		var both sync.WaitGroup
		both.Go(func() { q.Stalled(inflight.Stall{Cause: "no_progress", Since: start}) })
		both.Go(func() { q.Progress(start.Add(time.Millisecond), 1) })
		both.Wait()
		if s := q.Status(time.Now()).Stall; s != nil {
			t.Fatal("got a stall after progress, want none")
		}
		q.End("completed", nil, time.Now())
	}
}

func TestEndCountsOnce(t *testing.T) {
	var r inflight.Registry
	q := r.Begin(inflight.Info{})
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() { q.End("completed", nil, time.Now()) })
	}
	callers.Wait()
	if running, recent := len(r.Running()), len(r.Recent()); running != 0 || recent != 1 {
		t.Errorf("got %d running and %d finished, want 0 and 1", running, recent)
	}
}

func TestProgressDoesNotAllocate(t *testing.T) {
	var r inflight.Registry
	q := r.Begin(info)
	at := time.Now()
	allocs := testing.AllocsPerRun(100, func() {
		at = at.Add(time.Millisecond)
		q.Progress(at, 1)
		q.KeepAlive(at)
		q.OutputTokens(1)
	})
	if allocs != 0 {
		t.Errorf("got %v allocations, want 0", allocs)
	}
	begin := testing.AllocsPerRun(100, func() { r.Begin(info).End("completed", nil, at) })
	if begin > 5 {
		t.Errorf("Begin and End: got %v allocations, want at most 5", begin)
	}
}

// TestProgressDoesNotWait holds a reader inside OnStall, where no lock may be held.
func TestProgressDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r inflight.Registry
		release := make(chan struct{})
		var returned atomic.Bool
		q := r.Begin(inflight.Info{OnStall: func(inflight.Stall) { <-release }})
		go func() {
			q.Stalled(inflight.Stall{Cause: "no_progress"})
			returned.Store(true)
		}()
		synctest.Wait()
		q.Progress(time.Now().Add(time.Second), 1)
		q.Enter(inflight.PhaseDecode, time.Now())
		if n := len(r.Running()); n != 1 {
			t.Errorf("got %d running, want 1", n)
		}
		q.End("completed", nil, time.Now())
		if returned.Load() {
			t.Error("got Stalled back before its OnStall returned")
		}
		close(release)
		synctest.Wait()
		if !returned.Load() {
			t.Error("got Stalled still running, want it back")
		}
	})
}
