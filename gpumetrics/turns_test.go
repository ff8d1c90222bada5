package gpumetrics

import (
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

func TestWhatARequestDoesNotUseWhileItIsPausedIsNotItsOwn(t *testing.T) {
	b := newLedgerBench(t)
	b.read("a", 0, 0, true)
	// 100 W: from 0 to 2 alone, from 6 to 8 with another, which runs from 4 to 8; 12 to 13 alone, after a reading.
	var u, other Use
	b.Begin(&u)
	b.at = 2 * time.Second
	b.Pause(&u)
	b.Pause(&u) // is paused already: nothing happens
	b.at = 4 * time.Second
	b.Begin(&other)
	b.at = 6 * time.Second
	b.Begin(&u)
	b.at = 8 * time.Second
	b.Pause(&u)
	b.End(t.Context(), &other, Outcome{})
	b.at = 10 * time.Second
	b.read("a", 1000, 0, true)
	if energy, gpuTime, _, n := b.sums(t); n != 1 || !near(energy, 300) || !near(gpuTime, 3) {
		t.Errorf("before its end: got %v J and %v s of %d requests, want 300 and 3 of the other one", energy, gpuTime, n)
	}
	b.at = 12 * time.Second
	b.Begin(&u)
	b.at = 13 * time.Second
	b.Pause(&u)
	b.End(t.Context(), &u, Outcome{OutputTokens: 4, Attributes: attribute.NewSet(attribute.String("k", "v"))})
	b.End(t.Context(), &u, Outcome{})
	b.at = 20 * time.Second
	b.read("a", 2000, 0, true)
	energy, gpuTime, perToken, n := b.sums(t)
	if n != 2 || !near(energy, 300+200+100+100) || !near(gpuTime, 3+2+1+1) || !near(perToken, 100) {
		t.Errorf("got %v J, %v s and %v J/token of %d requests, want 700, 7 and 100 of 2", energy, gpuTime, perToken, n)
	}
	for i := range b.dropped {
		if got := b.dropped[i].Load(); got != 0 {
			t.Errorf("got %d requests as %s, want none", got, unsettledReasons[i])
		}
	}
}

// TestARequestThatEndsInAPauseIsRecordedWithTheNextReading ends a request whose times are settled already.
func TestARequestThatEndsInAPauseIsRecordedWithTheNextReading(t *testing.T) {
	b := newLedgerBench(t)
	b.read("a", 0, 0, true)
	var u Use
	b.Begin(&u)
	b.at = time.Second
	b.Pause(&u)
	b.at = 10 * time.Second
	b.read("a", 1000, 0, true)
	b.End(t.Context(), &u, Outcome{})
	b.at = 11 * time.Second
	b.read("a", 1100, 0, true)
	if energy, _, _, n := b.sums(t); n != 1 || !near(energy, 100) {
		t.Errorf("got %v J of %d requests, want 100 of one", energy, n)
	}
}

// TestManyTurnsDoNotFillTheLedger lets a WebSocket take far more turns between two readings than requests can wait.
func TestManyTurnsDoNotFillTheLedger(t *testing.T) {
	b := newLedgerBench(t)
	b.read("a", 0, 0, true)
	var u Use
	for range 3 * maxPending {
		b.Begin(&u)
		b.at += time.Millisecond
		b.Pause(&u)
		b.at += time.Millisecond
	}
	if n := len(b.pending); n != 1 {
		t.Errorf("got %d that wait, want one", n)
	}
	b.End(t.Context(), &u, Outcome{})
	used := 2 * 3 * maxPending / 10 // J, at 100 W
	b.read("a", float64(used), 0, true)
	if energy, _, _, n := b.sums(t); n != 1 || !near(energy, float64(used)/2) {
		t.Errorf("got %v J of %d requests, want %v of one", energy, n, float64(used)/2)
	}
}

// TestRequestsOfAMachineWithoutGPUsLackNothing tells requests that end before the first reading from those that no GPU
// serves.
func TestRequestsOfAMachineWithoutGPUsLackNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		gpus []*card
		want float64
	}{
		{"without a GPU", nil, 0},
		{"with a GPU that is read later", []*card{newCard("GPU-a", fast(func(s *Sample) { s.SetCount(Energy, uint64(time.Now().UnixMilli()), 64) }))}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := start(t, &script{gpus: tt.gpus})
				defer p.stop()
				l := p.m.NewLedger()
				var u Use
				l.Begin(&u)
				l.End(t.Context(), &u, Outcome{})
				time.Sleep(30 * time.Second)
				want(t, p.collect(), "vllm.request.gpu.unsettled{error.type=gpu_unread}", tt.want)
			})
		})
	}
}
