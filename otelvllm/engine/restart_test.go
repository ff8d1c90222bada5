package engine

import (
	"fmt"
	"testing"
)

func TestCountersGoOnOverRestarts(t *testing.T) {
	type reading struct {
		started, tokens float64
	}
	for _, c := range []struct {
		name     string
		readings []reading
		want     float64
		resets   int
		mixed    bool
	}{
		{"the first reading is where the count begins", []reading{{1, 1000}}, 0, 0, false},
		{"what is added counts", []reading{{1, 1000}, {1, 1010}, {1, 1010}, {1, 1015}}, 15, 0, false},
		{"after a restart all that is there is new", []reading{{1, 1000}, {1, 1010}, {2, 4}, {2, 9}}, 19, 1, false},
		{"a restart that has counted further than before", []reading{{1, 10}, {2, 500}}, 500, 1, false},
		{"a restart that only the counter shows", []reading{{0, 10}, {0, 15}, {0, 3}}, 8, 1, false},
		{"10^15 tokens lose none", []reading{{1, 1e15}, {1, 1e15 + 1}, {1, 1e15 + 3}}, 3, 0, false},
		{
			"two engines in turn count nothing once they are known",
			[]reading{{1, 10}, {2, 500}, {1, 12}, {2, 600}, {1, 13}, {2, 700}},
			500, 1, true,
		},
		{
			"and when one of them is left, count again after ten readings",
			[]reading{
				{1, 10},
				{2, 500},
				{1, 12},
				{1, 13},
				{1, 14},
				{1, 15},
				{1, 16},
				{1, 17},
				{1, 18},
				{1, 19},
				{1, 20},
				{1, 21},
				{1, 22},
				{1, 25},
			},
			504, 1, false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var steps []step
			for _, r := range c.readings {
				body := rankText("0", 0, r.tokens)
				if r.started > 0 {
					body = text(r.started, 0, r.tokens)
				}
				steps = append(steps, step{5, tells(body), Up, ""})
			}
			m := play(t, steps)
			got := m.totals.of(&m.last.Ranks[0])[totalGeneration]
			if got != (Value{c.want, true}) {
				t.Errorf("tokens: got %v, want %v", got, c.want)
			}
			if m.status.Resets != c.resets || m.status.Mixed != c.mixed {
				t.Errorf("got %d restarts, mixed %v, want %d, %v", m.status.Resets, m.status.Mixed, c.resets, c.mixed)
			}
		})
	}
}

func TestACounterThatIsNotToldIsNotCounted(t *testing.T) {
	m := play(t, []step{{5, works(0, 5), Up, ""}, {5, works(0, 6), Up, ""}})
	totals := m.totals.of(&m.last.Ranks[0])
	if got := totals[totalPreemptions]; got.Known {
		t.Errorf("preemptions: got %v, want unknown", got)
	}
}

func TestAnEngineOfManyModelsIsBounded(t *testing.T) {
	m := newMachine("h:1", DefaultWedgedAfter)
	for i := range 5 * maxRanks {
		m.next(tells(fmt.Sprintf("vllm:generation_tokens_total{engine=\"0\",model_name=\"m%d\"} 5\n", i)))
	}
	if got := len(m.totals.ranks); got > 2*maxRanks {
		t.Errorf("got totals of %d ranks, want at most %d", got, 2*maxRanks)
	}
}
