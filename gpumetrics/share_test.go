package gpumetrics

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"
)

// bench is a ledger with a clock of the test's and a reader of what it records.
type ledgerBench struct {
	*Ledger
	reader *sdkmetric.ManualReader
	at     time.Duration
}

func newLedgerBench(t testing.TB, gpus ...string) *ledgerBench {
	t.Helper()
	b := &ledgerBench{reader: sdkmetric.NewManualReader()}
	m, err := New(&script{}, WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader))))
	if err != nil {
		t.Fatal(err)
	}
	b.Ledger = m.NewLedger(gpus...)
	b.clock = func() time.Duration { return b.at }
	b.now, b.segments[0].began = 0, 0
	return b
}

// sums returns the sums and the number of requests that were recorded.
func (b *ledgerBench) sums(t testing.TB) (energy, gpuTime, perToken float64, n uint64) {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := b.reader.Collect(context.Background(), &rm); err != nil {
		t.Fatal(err)
	}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			h, ok := m.Data.(metricdata.Histogram[float64])
			if !ok {
				continue
			}
			for _, dp := range h.DataPoints {
				switch m.Name {
				case "vllm.request.gpu.energy":
					energy, n = energy+dp.Sum, n+dp.Count
				case "vllm.request.gpu.time":
					gpuTime += dp.Sum
				case "vllm.request.gpu.energy_per_token":
					perToken += dp.Sum
				}
			}
		}
	}
	return energy, gpuTime, perToken, n
}

func near(got, want float64) bool { return math.Abs(got-want) <= 1e-9*math.Max(1, math.Abs(want)) }

func TestEnergyIsSharedByTime(t *testing.T) {
	b := newLedgerBench(t)
	b.read("a", 0, 0, true)
	// 100 W. First runs alone from 0 to 4 and with the second from 4 to 8: 400 + 200 J.
	var first, second Use
	b.Begin(&first)
	b.at = 4 * time.Second
	b.Begin(&second)
	b.at = 8 * time.Second
	b.End(t.Context(), &first, Outcome{OutputTokens: 60})
	b.at = 10 * time.Second
	if _, _, _, n := b.sums(t); n != 0 {
		t.Errorf("before the reading after its end: got %d requests recorded, want none", n)
	}
	b.read("a", 1000, 0, true)
	energy, gpuTime, perToken, n := b.sums(t)
	if n != 1 || !near(energy, 600) || !near(gpuTime, 6) || !near(perToken, 10) {
		t.Errorf("first: got %d requests, %v J, %v s, %v J/token, want 1, 600, 6, 10", n, energy, gpuTime, perToken)
	}
	// The second: 200 J until 8, 200 alone until 10, then 50 W until 12.
	b.at = 12 * time.Second
	b.End(t.Context(), &second, Outcome{})
	b.at = 20 * time.Second
	b.read("a", 1500, 0, true)
	energy, gpuTime, perToken, n = b.sums(t)
	if n != 2 || !near(energy, 600+500) || !near(gpuTime, 12) || !near(perToken, 10) {
		t.Errorf("both: got %d requests, %v J, %v s, %v J/token, want 2, 1100, 12, 10", n, energy, gpuTime, perToken)
	}
}

// TestTheSharesAddUp plays random requests with pauses and readings of random GPUs, and compares the sum over the
// requests with what the GPUs used while any ran, computed step by step.
func TestTheSharesAddUp(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := newLedgerBench(t)
		gpus := 1 + r.IntN(4)
		ids := []string{"a", "b", "c", "d"}[:gpus]
		energy, power := make([]float64, gpus), make([]float64, gpus)
		since := make([]float64, gpus) // time since the GPU was read in which any request ran
		idle := make([]float64, gpus)
		used, gpuTime, want := make([]float64, gpus), 0.0, 0.0
		readAll := func(g int) {
			// The ledger knows the mean power between two readings alone.
			if whole := since[g] + idle[g]; whole > 0 {
				want += used[g] * since[g] / whole
			}
			since[g], idle[g], used[g] = 0, 0, 0
			b.read(ids[g], energy[g], 0, true)
		}
		for g := range ids {
			readAll(g)
		}
		var running, paused []*Use
		ended := uint64(0)
		for range 300 {
			step := time.Duration(r.IntN(3000)) * time.Millisecond
			b.at += step
			for g := range ids {
				if r.IntN(5) == 0 {
					power[g] = 50 + 650*r.Float64()
				}
				energy[g] += power[g] * step.Seconds()
				used[g] += power[g] * step.Seconds()
				if len(running) > 0 {
					since[g] += step.Seconds()
					gpuTime += step.Seconds()
				} else {
					idle[g] += step.Seconds()
				}
			}
			switch n := r.IntN(13); {
			case n < 2 && len(paused) > 0:
				running, paused = append(running, paused[0]), paused[1:]
				b.Begin(running[len(running)-1])
			case n < 3:
				u := &Use{}
				b.Begin(u)
				running = append(running, u)
			case n >= 10 && len(running) > 0:
				b.Pause(running[0])
				running, paused = running[1:], append(paused, running[0])
			case n < 6 && len(running) > 0:
				i := r.IntN(len(running))
				b.End(t.Context(), running[i], Outcome{OutputTokens: 1})
				running = append(running[:i], running[i+1:]...)
				ended++
			default:
				readAll(r.IntN(gpus))
			}
		}
		for _, u := range append(running, paused...) {
			b.End(t.Context(), u, Outcome{})
			ended++
		}
		for g := range ids {
			readAll(g)
		}
		b.at += time.Second
		for g := range ids {
			readAll(g)
		}
		got, gotTime, _, n := b.sums(t)
		if n != ended || math.Abs(got-want) > 1e-6*(1+want) || math.Abs(gotTime-gpuTime) > 1e-6*(1+gpuTime) {
			t.Fatalf("seed %d: got %d requests, %v J, %v GPU-seconds, want %d, %v, %v", seed, n, got, gotTime, ended, want, gpuTime)
		}
	}
}

func TestWhatCannotBeToldIsCountedAndNotRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		play func(b *ledgerBench)
		want [len(unsettledReasons)]int64
	}{
		"a request that began before the GPU was read": {func(b *ledgerBench) {
			var u Use
			b.Begin(&u)
			b.at = time.Second
			b.read("a", 0, 0, true)
			b.at = 2 * time.Second
			b.End(context.Background(), &u, Outcome{})
			b.at = 3 * time.Second
			b.read("a", 10, 0, true)
		}, [len(unsettledReasons)]int64{silent: 1}},
		"a request that ended before any GPU was read": {func(b *ledgerBench) {
			var u Use
			b.Begin(&u)
			b.at = time.Second
			b.End(context.Background(), &u, Outcome{})
			b.at = 2 * time.Second
			b.read("a", 10, 0, true)
		}, [len(unsettledReasons)]int64{unread: 1}},
		"a request after all GPUs were lost": {func(b *ledgerBench) {
			b.read("a", 0, 0, true)
			b.at = time.Second
			b.gone("a")
			var u Use
			b.Begin(&u)
			b.at = 2 * time.Second
			b.End(context.Background(), &u, Outcome{})
		}, [len(unsettledReasons)]int64{silent: 1}},
		"a request with two turns before the GPU was read, and one after": {func(b *ledgerBench) {
			var u Use
			for range 2 {
				b.Begin(&u)
				b.at += time.Second
				b.Pause(&u)
			}
			b.read("a", 0, 0, true)
			b.Begin(&u)
			b.at += time.Second
			b.End(context.Background(), &u, Outcome{})
			b.at += time.Second
			b.read("a", 10, 0, true)
		}, [len(unsettledReasons)]int64{unread: 1}},
		"a request in whose time a GPU was lost": {func(b *ledgerBench) {
			b.read("a", 0, 0, true)
			b.read("b", 0, 0, true)
			var u Use
			b.Begin(&u)
			b.at = time.Second
			b.gone("b")
			b.at = 2 * time.Second
			b.End(context.Background(), &u, Outcome{})
			b.at = 3 * time.Second
			b.read("a", 10, 0, true)
		}, [len(unsettledReasons)]int64{silent: 1}},
		"more requests than can wait while a GPU hangs": {func(b *ledgerBench) {
			b.read("a", 0, 0, true)
			for range maxPending + 7 {
				var u Use
				b.at += time.Millisecond
				b.Begin(&u)
				b.End(context.Background(), &u, Outcome{})
			}
		}, [len(unsettledReasons)]int64{tooMany: 7, silent: 0}},
		"a GPU that is silent while others are read very often": {func(b *ledgerBench) {
			b.read("a", 0, 0, true)
			b.read("b", 0, 0, true)
			var u Use
			b.Begin(&u)
			b.End(context.Background(), &u, Outcome{})
			for i := range 2 * maxSegments {
				b.at += time.Second
				b.read("a", float64(i), 0, true)
			}
		}, [len(unsettledReasons)]int64{silent: 1}},
	} {
		b := newLedgerBench(t)
		c.play(b)
		if _, _, _, n := b.sums(t); n != 0 {
			t.Errorf("%s: got %d recorded, want none", name, n)
		}
		for i, want := range c.want {
			if got := b.dropped[i].Load(); got != want {
				t.Errorf("%s: got %d for %s, want %d", name, got, unsettledReasons[i], want)
			}
		}
		if len(b.segments) > maxSegments+1 {
			t.Errorf("%s: got %d segments kept, want at most %d", name, len(b.segments), maxSegments+1)
		}
	}
}

func TestAGPUWithoutACounterIsTakenAtItsPower(t *testing.T) {
	b := newLedgerBench(t)
	b.read("a", 0, 100, false)
	var u Use
	b.Begin(&u)
	b.at = 10 * time.Second
	b.End(t.Context(), &u, Outcome{})
	b.read("a", 0, 300, false)
	if energy, _, _, n := b.sums(t); n != 1 || !near(energy, 2000) {
		t.Errorf("got %v J of %d requests, want 2000 of one: 10 s at the mean of 100 and 300 W", energy, n)
	}
}

func TestALedgerOfSomeGPUsLeavesTheOthersOut(t *testing.T) {
	b := newLedgerBench(t, "a")
	b.read("a", 0, 0, true)
	b.read("b", 0, 0, true)
	var u Use
	b.Begin(&u)
	b.Begin(&u) // runs already: nothing happens
	b.at = time.Second
	b.End(t.Context(), &u, Outcome{})
	b.End(t.Context(), &u, Outcome{})
	b.read("b", 500, 0, true)
	b.read("a", 70, 0, true)
	if energy, gpuTime, _, n := b.sums(t); n != 1 || !near(energy, 70) || !near(gpuTime, 1) {
		t.Errorf("got %v J and %v s of %d requests, want 70 and 1 of one", energy, gpuTime, n)
	}
}

func TestAShareHasTheAttributesAndTheSpanOfItsRequest(t *testing.T) {
	b := newLedgerBench(t)
	b.read("a", 0, 0, true)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	var u Use
	b.Begin(&u)
	b.at = time.Second
	b.End(trace.ContextWithSpanContext(t.Context(), span), &u, Outcome{Attributes: attribute.NewSet(attribute.String("k", "v"))})
	b.read("a", 70, 0, true)
	var rm metricdata.ResourceMetrics
	if err := b.reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	for _, m := range rm.ScopeMetrics[0].Metrics {
		if m.Name != "vllm.request.gpu.energy" {
			continue
		}
		dp := m.Data.(metricdata.Histogram[float64]).DataPoints[0]
		if v, _ := dp.Attributes.Value("k"); v.AsString() != "v" {
			t.Errorf("got attributes %v, want k=v", dp.Attributes)
		}
		if len(dp.Exemplars) != 1 || trace.TraceID(dp.Exemplars[0].TraceID) != span.TraceID() {
			t.Errorf("got exemplars %v, want one of the request's trace", dp.Exemplars)
		}
		return
	}
	t.Error("got no vllm.request.gpu.energy")
}

func TestTheMonitorFeedsItsLedgers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mJ := uint64(7_000_000)
		src := &script{gpus: []*card{newCard("GPU-a", fast(func(s *Sample) {
			s.SetCount(Energy, mJ, 64)
			mJ += 3_000_000 // 300 W
		}))}}
		p := start(t, src)
		defer p.stop()
		l := p.m.NewLedger()
		synctest.Wait()
		time.Sleep(12 * time.Second)
		var u Use
		l.Begin(&u)
		time.Sleep(4 * time.Second)
		l.End(t.Context(), &u, Outcome{OutputTokens: 100})
		time.Sleep(5 * time.Second)
		got := p.collect()
		want(t, got, "vllm.request.gpu.energy.sum{}", 1200)
		want(t, got, "vllm.request.gpu.time.sum{}", 4)
		want(t, got, "vllm.request.gpu.energy_per_token.sum{}", 12)
		want(t, got, "vllm.request.gpu.unsettled{error.type=gpu_silent}", 0)
	})
}

func TestAUseMayBeUsedAgain(t *testing.T) {
	b := newLedgerBench(t)
	b.read("a", 0, 0, true)
	var u, other Use
	b.Begin(&u)
	b.at = 5 * time.Second
	b.End(t.Context(), &u, Outcome{})
	b.read("a", 500, 0, true)
	b.Begin(&other)
	for range 10 {
		b.Begin(&u)
		b.at += time.Second
		b.End(t.Context(), &u, Outcome{})
	}
	b.read("a", 600, 0, true)
	b.at += time.Second
	b.End(t.Context(), &other, Outcome{})
	b.read("a", 610, 0, true)
	if energy, _, _, n := b.sums(t); n != 12 || !near(energy, 610) {
		t.Errorf("got %v J of %d requests, want 610 of 12", energy, n)
	}
}

func TestARequestOfALostGPUIsNotSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCard("GPU-a", fast(func(s *Sample) { s.SetCount(Energy, uint64(time.Now().UnixMilli()), 64) }))
		p := start(t, &script{gpus: []*card{a}})
		defer p.stop()
		l := p.m.NewLedger()
		time.Sleep(12 * time.Second)
		var u Use
		l.Begin(&u)
		time.Sleep(4 * time.Second)
		l.End(t.Context(), &u, Outcome{})
		a.script(func(Tier, *Sample) error { return ErrLost })
		time.Sleep(5 * time.Second)
		got := p.collect()
		want(t, got, "vllm.request.gpu.unsettled{error.type=gpu_silent}", 1)
		wantNone(t, got, "vllm.request.gpu.energy.count{}")
	})
}

func TestBeginAndEndAllocateNothing(t *testing.T) {
	b := newLedgerBench(t)
	b.read("a", 0, 0, true)
	ctx := t.Context()
	b.pending = make([]settlement, 0, maxPending)
	var u Use
	if n := testing.AllocsPerRun(1000, func() {
		b.at += time.Millisecond
		b.Begin(&u)
		b.End(ctx, &u, Outcome{OutputTokens: 1})
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

func BenchmarkLedger(b *testing.B) {
	l := newLedgerBench(b)
	l.read("a", 0, 0, true)
	l.pending = make([]settlement, 0, maxPending)
	l.clock = func() time.Duration { return time.Since(time.Time{}) }
	ctx := context.Background()
	var u Use
	b.ReportAllocs()
	for b.Loop() {
		l.Begin(&u)
		l.End(ctx, &u, Outcome{OutputTokens: 1})
	}
}
