package engine

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// ttft is an engine of which so many requests waited at most 0.1 s, 1 s, and longer.
func ttft(started, upToTenth, upToOne, longer float64) observation {
	name := "vllm:time_to_first_token_seconds"
	all := upToTenth + upToOne + longer
	return tells(text(started, 0, 0) + fmt.Sprintf("%[1]s_bucket{le=\"0.1\"} %[2]v\n%[1]s_bucket{le=\"1.0\"} %[3]v\n%[1]s_bucket{le=\"+Inf\"} %[4]v\n"+
		"%[1]s_count %[4]v\n%[1]s_sum %[4]v\n", name, upToTenth, upToOne+upToTenth, all))
}

func TestQuantileOfAWindow(t *testing.T) {
	for _, c := range []struct {
		name   string
		seen   []observation
		q      float64
		window time.Duration
		want   Value
	}{
		{"one reading tells nothing", []observation{ttft(1, 10, 0, 0)}, 0.5, time.Minute, Value{}},
		{"nothing was observed between two readings", []observation{ttft(1, 10, 5, 0), ttft(1, 10, 5, 0)}, 0.5, time.Minute, Value{}},
		{"what was there before does not count", []observation{ttft(1, 1000, 0, 0), ttft(1, 1000, 10, 0)}, 0.5, time.Minute, Value{0.55, true}},
		{"only the window counts", []observation{ttft(1, 0, 0, 0), ttft(1, 0, 90, 0), ttft(1, 10, 90, 0)}, 0.5, 5 * time.Second, Value{0.05, true}},
		{"a longer window", []observation{ttft(1, 0, 0, 0), ttft(1, 0, 90, 0), ttft(1, 10, 90, 0)}, 0.5, time.Minute, Value{0.1 + 0.9*40/90, true}},
		{"beyond the last bound", []observation{ttft(1, 0, 0, 0), ttft(1, 0, 0, 9)}, 0.99, time.Minute, Value{1, true}},
		{"a restart", []observation{ttft(1, 50, 0, 0), ttft(1, 50, 4, 0), ttft(2, 4, 0, 0)}, 0.5, time.Minute, Value{0.1, true}},
		{"all of them", []observation{ttft(1, 0, 0, 0), ttft(1, 5, 5, 0)}, 1, time.Minute, Value{1, true}},
		{"none of them", []observation{ttft(1, 0, 0, 0), ttft(1, 0, 5, 0)}, 0, time.Minute, Value{0.1, true}},
		{"a share above 1", []observation{ttft(1, 0, 0, 0), ttft(1, 5, 5, 0)}, 1.1, time.Minute, Value{}},
		{"a share that is no number", []observation{ttft(1, 0, 0, 0), ttft(1, 5, 5, 0)}, math.NaN(), time.Minute, Value{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var steps []step
			for _, o := range c.seen {
				steps = append(steps, step{5, o, Up, ""})
			}
			m := play(t, steps)
			got := within(m.history.moments, distTTFT, c.window).Quantile(c.q)
			if got.Known != c.want.Known || math.Abs(got.V-c.want.V) > 1e-9 {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheHistoryIsBounded(t *testing.T) {
	m := newMachine("h:1", DefaultWedgedAfter)
	at := time.Unix(1_700_000_000, 0)
	for i := range 3000 {
		at = at.Add(100 * time.Millisecond)
		o := ttft(1, float64(i), 0, 0)
		o.snapshot.Taken, o.at = at, at
		m.next(o)
	}
	moments := m.history.moments
	if len(moments) > maxMoments {
		t.Errorf("got %d moments, want at most %d", len(moments), maxMoments)
	}
	if span := at.Sub(moments[0].at); span < 4*time.Minute+50*time.Second {
		t.Errorf("they reach back %v, want all of the five minutes", span)
	}
	if got := within(moments, distTTFT, time.Minute).Count.V; got < 600 || got > 660 {
		t.Errorf("within a minute: got %v observations, want about 600", got)
	}
}

func TestHistogramsOfDifferentBucketsAddUp(t *testing.T) {
	a := Histogram{Bounds: []float64{1, 10}, Counts: []float64{2, 4}, Count: Value{4, true}}
	b := Histogram{Bounds: []float64{5, 10}, Counts: []float64{1, 3}, Count: Value{5, true}}
	got := a.plus(b)
	want := "{[1 5 10] [2 3 7] 9 unknown}"
	if s := fmt.Sprint(got); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}

func TestAHistogramThatCannotBeIsNotKnown(t *testing.T) {
	for _, text := range []string{
		"vllm:request_queue_time_seconds_bucket{le=\"1\"} 5\nvllm:request_queue_time_seconds_bucket{le=\"2\"} 4\nvllm:request_queue_time_seconds_count 6\n",
		"vllm:request_queue_time_seconds_bucket{le=\"1\"} 5\nvllm:request_queue_time_seconds_count 4\n",
		"vllm:request_queue_time_seconds_bucket{le=\"1\"} 5\n",
	} {
		if got := parseText(t, text).QueueTime; got.Count.Known || got.Bounds != nil {
			t.Errorf("%q: got %+v, want unknown", text, got)
		}
	}
}
