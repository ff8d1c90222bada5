package engine

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// step is one observation, so many seconds after the one before, and what follows from it.
type step struct {
	after float64
	see   observation
	want  State
	err   string // of the status; the first word, "" for none
}

func refused() observation {
	return observation{inFlight: -1, healthErr: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}
}

func silent() observation {
	return observation{inFlight: -1, healthErr: context.DeadlineExceeded, scrapeErr: context.DeadlineExceeded}
}

func answers(health int) observation {
	return observation{inFlight: -1, health: health, scrapeErr: fail("status_503", "no")}
}

// tells is a good answer with that text of metrics.
func tells(text string) observation {
	s, err := parse(strings.NewReader(text), 1000)
	if err != nil {
		panic(err)
	}
	return observation{inFlight: -1, health: http.StatusOK, snapshot: s}
}

func works(running, tokens float64) observation { return tells(text(1, running, tokens)) }

func (o observation) with(inFlight int) observation { o.inFlight = inFlight; return o }

func asleep() observation {
	return tells("vllm:engine_sleep_state{engine=\"0\",model_name=\"m\",sleep_state=\"awake\"} 0\n" + rankText("0", 0, 5))
}

// queue is an engine that only has waiting requests.
func queue(capacity, deferred float64) observation {
	return tells(fmt.Sprintf("vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} %v\n"+
		"vllm:num_requests_waiting_by_reason{engine=\"0\",model_name=\"m\",reason=\"capacity\"} %v\n"+
		"vllm:num_requests_waiting_by_reason{engine=\"0\",model_name=\"m\",reason=\"deferred\"} %v\n", capacity+deferred, capacity, deferred) +
		"vllm:generation_tokens_total{engine=\"0\",model_name=\"m\"} 7\n")
}

// repeat is the same step several times.
func repeat(n int, s step) []step { return slices.Repeat([]step{s}, n) }

func seq(parts ...any) (all []step) {
	for _, p := range parts {
		switch p := p.(type) {
		case step:
			all = append(all, p)
		case []step:
			all = append(all, p...)
		}
	}
	return all
}

// play takes the steps in turn and checks each state. It returns the machine at the end.
func play(t *testing.T, steps []step) *machine {
	t.Helper()
	m := newMachine("host:1", DefaultWedgedAfter)
	now := time.Unix(1_700_000_000, 0)
	for i, s := range steps {
		now = now.Add(time.Duration(s.after * float64(time.Second)))
		s.see.at = now
		if s.see.snapshot != nil {
			read := *s.see.snapshot
			read.Taken = now
			s.see.snapshot = &read
		}
		before := m.status
		m.next(s.see)
		if m.status.State != s.want || m.status.Err != s.err {
			t.Fatalf("step %d: got %s, error %q, want %s, %q", i+1, m.status.State, m.status.Err, s.want, s.err)
		}
		if before.State != m.status.State && !m.status.Since.Equal(now) {
			t.Errorf("step %d: %s since %v, want since now, %v", i+1, m.status.State, m.status.Since, now)
		}
	}
	return m
}

func TestStates(t *testing.T) {
	const gone, loading, quiet = "connection_refused", "status_503", "timeout"
	for _, c := range []struct {
		name  string
		steps []step
		check func(Status) bool // nil: nothing more
	}{
		{
			"a port that refuses from the start is down, and up as soon as it answers",
			seq(repeat(24, step{5, refused(), Down, gone}), step{5, works(0, 0), Up, ""}),
			func(s Status) bool { return s.EverUp && s.Resets == 0 },
		},
		{
			"503 before it was ever up is loading",
			seq(repeat(10, step{5, answers(503), Loading, loading}), step{5, works(0, 0), Up, ""}), nil,
		},
		{
			"a load balancer that says 503 and then refuses leads to down",
			seq(repeat(2, step{5, answers(503), Loading, loading}), step{5, refused(), Down, gone}),
			func(s Status) bool { return !s.EverUp },
		},
		{
			"one refused connection is forgiven",
			seq(step{5, works(1, 1), Up, ""}, step{5, refused(), Up, gone}, step{1, works(1, 2), Up, ""}, step{5, refused(), Up, gone}), nil,
		},
		{
			"a killed engine: 503 for a moment, then refused",
			seq(step{5, works(1, 1), Up, ""}, step{5, answers(503), Up, loading}, repeat(5, step{1, refused(), Down, gone})),
			func(s Status) bool { return s.EverUp && s.Snapshot == nil },
		},
		{
			"an engine that starts again: refused, 503, up, counted as a restart",
			seq(step{5, tells(text(1, 1, 50)), Up, ""}, step{5, refused(), Up, gone}, repeat(10, step{5, refused(), Down, gone}),
				repeat(3, step{5, answers(503), Loading, loading}), step{5, tells(text(2, 0, 3)), Up, ""}),
			func(s Status) bool { return s.Resets == 1 && s.Before == nil },
		},
		{
			"a dead engine whose API server is kept alive says 503 for ever, with metrics, and is not loading",
			seq(step{5, works(8, 1), Up, ""}, step{5, dead(), Up, loading}, repeat(5, step{5, dead(), Down, loading})), nil,
		},
		{"the same, seen from the start", repeat(3, step{5, dead(), Down, loading}), nil},
		{
			"no answer in time may be load: it takes three",
			seq(step{5, works(1, 1), Up, ""}, repeat(2, step{5, silent(), Up, quiet}), step{5, silent(), Down, quiet}),
			func(s Status) bool { return s.Slow && s.Snapshot == nil },
		},
		{
			"a slow /health beside good metrics is up",
			seq(step{5, works(1, 1), Up, ""}, repeat(5, step{5, slowHealth(), Up, quiet})),
			func(s Status) bool { return s.Snapshot != nil && s.Slow },
		},
		{
			"metrics that cannot be read leave the state to /health",
			seq(repeat(4, step{5, answers(200), Up, "metrics_status_503"})),
			func(s Status) bool { return s.Snapshot == nil && s.Age < 0 },
		},
		{"a /health that something in front forbids leaves it to the metrics", repeat(3, step{5, forbidden(), Up, "status_401"}), nil},
		{"an answer that is no engine's is down", repeat(3, step{5, answers(404), Down, "status_404"}), nil},
		{
			"put to sleep and woken",
			seq(step{5, works(0, 5), Up, ""}, repeat(20, step{5, asleep().with(2), Asleep, ""}), step{5, works(1, 6), Up, ""}), nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := play(t, c.steps)
			if c.check != nil && !c.check(m.status) {
				t.Errorf("at the end: got %+v", m.status)
			}
		})
	}
}

// dead is an engine that died in an API server that stays.
func dead() observation {
	o := works(8, 1)
	o.health = http.StatusServiceUnavailable
	return o
}

func slowHealth() observation {
	o := works(0, 1)
	o.health, o.healthErr = 0, context.DeadlineExceeded
	return o
}

func forbidden() observation {
	o := works(0, 1)
	o.health = http.StatusUnauthorized
	return o
}

func TestWedged(t *testing.T) {
	two := func(running0, tokens0, running1, tokens1 float64) observation {
		return tells("process_start_time_seconds 1\n" + rankText("0", running0, tokens0) + rankText("1", running1, tokens1))
	}
	prefill := func(kv float64) observation {
		return tells(strings.ReplaceAll(text(1, 1, 7), "} 0.5", fmt.Sprintf("} %v", kv)))
	}
	for _, c := range []struct {
		name   string
		steps  []step
		frozen []string
		since  float64 // seconds after the first step; below zero: zero time
	}{
		{
			"frozen with a running request for 15 s",
			seq(step{0, works(1, 9), Up, ""}, repeat(2, step{5, works(1, 9), Up, ""}), repeat(4, step{5, works(1, 9), Wedged, ""})),
			[]string{"0"},
			0,
		},
		{
			"two readings must find it frozen, however long they take",
			seq(step{0, works(1, 9), Up, ""}, step{60, works(1, 9), Up, ""}, step{60, works(1, 9), Wedged, ""}),
			[]string{"0"},
			0,
		},
		{
			"resumed",
			seq(step{0, works(1, 9), Up, ""}, repeat(2, step{5, works(1, 9), Up, ""}), step{5, works(1, 9), Wedged, ""}, step{5, works(1, 10), Up, ""}),
			nil, -1,
		},
		{"idle for an hour", repeat(720, step{5, works(0, 9), Up, ""}), nil, -1},
		{"a request after an hour of idleness", seq(repeat(720, step{5, works(0, 9), Up, ""}), step{5, works(0, 9).with(1), Up, ""},
			repeat(5, step{5, works(0, 9).with(1), Up, ""}), step{5, works(0, 9).with(1), Wedged, ""}), nil, 3600},
		{"works without a pause", slices.Collect(func(yield func(step) bool) {
			for i := range 100 {
				if !yield(step{5, works(3, float64(i)), Up, ""}) {
					return
				}
			}
		}), nil, -1},
		{"a lone long prefill fills the cache and counts nothing", slices.Collect(func(yield func(step) bool) {
			for i := range 30 {
				if !yield(step{5, prefill(float64(i) / 100), Up, ""}) {
					return
				}
			}
		}), nil, -1},
		{
			"our own requests wait, and the engine counts none of them",
			seq(step{0, works(0, 9).with(2), Up, ""}, repeat(5, step{5, works(0, 9).with(2), Up, ""}), step{5, works(0, 9).with(2), Wedged, ""}),
			nil, 0,
		},
		{
			"a gauge that kept its value after a mass abort, with nothing in flight, takes twice as long",
			seq(step{0, works(3, 9).with(0), Up, ""}, repeat(5, step{5, works(3, 9).with(0), Up, ""}), step{5, works(3, 9).with(0), Wedged, ""}),
			[]string{"0"},
			0,
		},
		{
			"one rank of two is frozen, the other works",
			seq(step{0, two(1, 1, 2, 9), Up, ""}, step{5, two(1, 2, 2, 9), Up, ""}, step{5, two(1, 3, 2, 9), Up, ""}, step{5, two(1, 4, 2, 9), Up, ""}),
			[]string{"1"},
			0,
		},
		{
			"one rank of two is frozen, the other idle",
			seq(step{0, two(0, 1, 2, 9), Up, ""}, repeat(10, step{5, two(0, 1, 2, 9).with(3), Up, ""})),
			[]string{"1"},
			0,
		},
		{
			"both ranks are frozen",
			seq(step{0, two(1, 1, 2, 9), Up, ""}, repeat(2, step{5, two(1, 1, 2, 9), Up, ""}), step{5, two(1, 1, 2, 9), Wedged, ""}),
			[]string{"0", "1"},
			0,
		},
		{
			"a paused engine, or one in a deadlock, keeps a queue",
			seq(step{0, queue(3, 0), Up, ""}, repeat(5, step{5, queue(3, 0), Up, ""}), step{5, queue(3, 0), Wedged, ""}), nil, 0,
		},
		{"deferred requests wait for something else", repeat(100, step{5, queue(0, 2).with(2), Up, ""}), nil, -1},
		{
			"while readings are missing nothing is known to be frozen",
			seq(step{0, works(1, 9), Up, ""}, repeat(2, step{5, works(1, 9), Up, ""}), step{5, works(1, 9), Wedged, ""},
				repeat(2, step{5, answers(200), Wedged, "metrics_status_503"}), step{5, answers(200), Up, "metrics_status_503"}),
			nil, -1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := play(t, c.steps)
			var begin time.Time
			if c.since >= 0 {
				first := time.Unix(1_700_000_000, 0).Add(time.Duration(c.steps[0].after * float64(time.Second)))
				begin = first.Add(time.Duration(c.since * float64(time.Second)))
			}
			if !slices.Equal(m.status.FrozenRanks, c.frozen) || !m.status.FrozenSince.Equal(begin) {
				t.Errorf("got ranks %v frozen since %v, want %v since %v", m.status.FrozenRanks, m.status.FrozenSince, c.frozen, begin)
			}
		})
	}
}

func TestTheRecordedWedgeIsOne(t *testing.T) {
	read := func(name string) observation {
		return tells(string(recordedBody(t, "../../../shared/testdata/vllm-live/wedge-engine-metrics-"+name+".http")))
	}
	m := play(t, []step{{0, read("1"), Up, ""}, {12, read("2"), Up, ""}, {13, read("2"), Wedged, ""}, {5, read("after-resume"), Up, ""}})
	if got := m.status.LastProgress.Sub(time.Unix(1_700_000_000, 0)); got != 30*time.Second {
		t.Errorf("last progress: got after %v, want after 30s, when it had been resumed", got)
	}
}

func TestReadingsAreGoneAfterThreeMisses(t *testing.T) {
	steps := seq(step{0, works(0, 1), Up, ""}, step{5, works(0, 2), Up, ""}, repeat(2, step{5, answers(200), Up, "metrics_status_503"}))
	m := play(t, steps)
	if m.status.Snapshot == nil || m.status.Before == nil {
		t.Fatal("after two misses: got no readings, want the last two")
	}
	m = play(t, append(steps, step{5, answers(200), Up, "metrics_status_503"}))
	if m.status.Snapshot != nil || m.status.Before != nil {
		t.Error("after three misses: got readings, want none")
	}
	m = play(t, append(steps, step{5, answers(200), Up, "metrics_status_503"}, step{5, works(0, 3), Up, ""}))
	if m.status.Snapshot == nil || m.status.Before != nil {
		t.Error("after a gap: want one reading and none before it")
	}
}

func TestLateAnswersAreNoted(t *testing.T) {
	late := func(took time.Duration) observation {
		o := works(0, 1)
		o.took = took
		return o
	}
	m := play(t, []step{{5, late(time.Second), Up, ""}})
	if m.status.Slow {
		t.Error("after one late answer: got slow, want not yet")
	}
	m = play(t, []step{{5, late(time.Second), Up, ""}, {5, late(300 * time.Millisecond), Up, ""}})
	if !m.status.Slow || m.status.ScrapeTook != 300*time.Millisecond {
		t.Errorf("after two: got slow %v, took %v, want true, 300ms", m.status.Slow, m.status.ScrapeTook)
	}
	m = play(t, []step{{5, late(time.Second), Up, ""}, {5, late(time.Second), Up, ""}, {5, late(time.Millisecond), Up, ""}})
	if m.status.Slow {
		t.Error("after a quick one: got slow, want not")
	}
}
