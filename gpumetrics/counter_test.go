package gpumetrics

import (
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestCountsAreSummedUpFromZero(t *testing.T) {
	for name, c := range map[string]struct {
		bits  uint8
		check check
		reads []uint64
		want  float64
		ok    bool // of the last reading
	}{
		"the first reading is the beginning":              {64, count, []uint64{1000}, 0, true},
		"growth":                                          {64, count, []uint64{1000, 1010, 1025}, 25, true},
		"a 32-bit count wraps":                            {32, count, []uint64{math.MaxUint32 - 9, 20}, 30, true},
		"a 64-bit count wraps":                            {64, count, []uint64{math.MaxUint64 - 9, 20}, 30, true},
		"a count that was reset starts again at 0":        {64, count, []uint64{1000, 1010, 5, 9}, 19, true},
		"a 32-bit count that was reset from its middle":   {32, count, []uint64{2_000_000_000, 5}, 5, true},
		"energy that grew faster than a GPU can use it":   {64, energy, []uint64{0, 1 << 60}, 0, false},
		"garbage once, then the truth":                    {64, energy, []uint64{1000, 1 << 60, 3000}, 2000, true},
		"a count that moved, and goes on from there":      {64, energy, []uint64{1000, 1 << 60, 1<<60 + 500, 1<<60 + 700}, 200, true},
		"a time that grew by more than the time":          {64, heldTime, []uint64{0, 30_000_000_000}, 0, false},
		"a time that grew by as much as the time":         {64, heldTime, []uint64{0, 10_000_000_000}, 10_000_000_000, true},
		"a reset that would be garbage as a wrap":         {64, traffic, []uint64{math.MaxUint64 - 1<<62, 70}, 70, true},
		"a 32-bit count may be reset near its own middle": {32, traffic, []uint64{math.MaxUint32 / 2, math.MaxUint32/2 - 1}, math.MaxUint32/2 - 1, true},
	} {
		var a accumulator
		at, ok := time.Unix(1, 0), false
		for _, n := range c.reads {
			ok = a.add(n, c.bits, at, c.check, 1)
			at = at.Add(10 * time.Second)
		}
		if ok != c.ok || math.Abs(a.sum-c.want) > 1e-6*c.want {
			t.Errorf("%s: got %v, ok %v, want %v, ok %v", name, a.sum, ok, c.want, c.ok)
		}
	}
}

func FuzzASumNeverFalls(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint64(3), true)
	f.Add(uint64(math.MaxUint64-1), uint64(5), uint64(0), false)
	f.Fuzz(func(t *testing.T, x, y, z uint64, short bool) {
		bits := uint8(64)
		if short {
			bits, x, y, z = 32, x&math.MaxUint32, y&math.MaxUint32, z&math.MaxUint32
		}
		for _, c := range []check{count, traffic, energy, heldTime} {
			var a accumulator
			last := 0.0
			for i, n := range []uint64{x, y, z, x} {
				a.add(n, bits, time.Unix(int64(i)*10, 0), c, 0.5)
				if a.sum < last || math.IsNaN(a.sum) || i == 0 && a.sum != 0 {
					t.Fatalf("check %d of %d, %d, %d: got %v after %v", c, x, y, z, a.sum, last)
				}
				if limit := c.rate() * 10.5 * 1.1 * float64(i) * 0.5; a.sum > limit {
					t.Fatalf("check %d of %d, %d, %d: got %v, more than %v can be", c, x, y, z, a.sum, limit)
				}
				last = a.sum
			}
		}
	})
}

// TestDeltasStayRightOverGapsAndResets reads the same GPU with both temporalities while its counter
// is reset and while it does not answer.
func TestDeltasStayRightOverGapsAndResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delta := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(
			func(sdkmetric.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }))
		cumulative := sdkmetric.NewManualReader()
		mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(delta), sdkmetric.WithReader(cumulative))
		var now atomic.Uint64
		now.Store(1000)
		var gap, unlinked atomic.Bool
		a := newCard("GPU-a", func(tier Tier, s *Sample) error {
			if gap.Load() {
				return ErrUnsupported
			}
			if tier == Fast {
				s.SetCount(PCIeReplay, now.Load(), 32)
			}
			if tier == Slow && !unlinked.Load() {
				s.Part(Link, 3).SetCount(LinkBytesTransmit, now.Load(), 64)
			}
			return nil
		})
		p := start(t, &script{gpus: []*card{a}}, WithMeterProvider(mp), WithSlowInterval(10*time.Second))
		defer p.stop()
		for i, c := range []struct {
			raw            uint64
			gap, unlinked  bool
			delta, running float64
		}{
			{raw: 1000, delta: 0, running: 0},
			{raw: 1010, delta: 10, running: 10},
			{gap: true, delta: 0, running: 10},
			{raw: 1020, delta: 10, running: 20},
			{raw: 5, delta: 5, running: 25},
			{raw: 7, delta: 2, running: 27},
			{raw: 7, unlinked: true, delta: 0, running: 27},
			{raw: 8, delta: 1, running: 28},
		} {
			now.Store(c.raw)
			gap.Store(c.gap)
			unlinked.Store(c.unlinked)
			wait := 10 * time.Second
			if i == 0 {
				wait = time.Second
			}
			time.Sleep(wait)
			d, s := collect(t, delta), collect(t, cumulative)
			want(t, d, "hw.errors{error.type=pcie_replay,hw.id=GPU-a,hw.type=gpu}", c.delta)
			want(t, s, "hw.errors{error.type=pcie_replay,hw.id=GPU-a,hw.type=gpu}", c.running)
			link := "hw.network.io{hw.id=GPU-a/nvlink/3,hw.parent=GPU-a,network.io.direction=transmit}"
			want(t, d, link, c.delta*1024)
			want(t, s, link, c.running*1024)
		}
	})
}

func TestUnitsAreThoseOfTheInstruments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := uint64(0)
		p := start(t, &script{gpus: []*card{newCard("GPU-a", fast(func(s *Sample) {
			s.SetCount(Energy, n, 64)
			s.SetCount(LinkReceive, n, 64)
			s.SetCount(ClockEventTimeHWThermal, n, 64)
			s.SetCount(PCIeReceive, n, 64)
			n += 2_000_000
		}))}})
		defer p.stop()
		time.Sleep(11 * time.Second)
		got := p.collect()
		want(t, got, "hw.energy{hw.id=GPU-a,hw.type=gpu}", 2000)
		want(t, got, "hw.network.io{hw.id=GPU-a/nvlink,hw.parent=GPU-a,network.io.direction=receive}", 2_000_000*1024)
		want(t, got, "nvidia.gpu.clock.event.duration{hw.id=GPU-a,nvidia.gpu.clock.event.reason=hw_thermal}", 0.002)
		want(t, got, "hw.gpu.io{hw.id=GPU-a,network.io.direction=receive}", 2_000_000)
		if v, ok := p.m.Latest().Devices[0].Value(Energy); !ok || v != 2000 {
			t.Errorf("Value(Energy): got %v, %v, want 2000 J", v, ok)
		}
	})
}

// TestAThrottleTimeInAnotherUnitIsSwitchedOff: drivers disagree with their documentation about it.
func TestAThrottleTimeInAnotherUnitIsSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, asked := uint64(0), 0
		p := start(t, &script{gpus: []*card{newCard("GPU-a", fast(func(s *Sample) {
			if s.Wants(ClockEventTimePower) {
				asked++
				s.SetCount(ClockEventTimePower, n, 64)
			}
			n += 60e9 // a minute every ten seconds
		}))}})
		defer p.stop()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		want(t, p.collect(), "nvidia.gpu.clock.event.duration{hw.id=GPU-a,nvidia.gpu.clock.event.reason=sw_power_cap}", 0)
		if asked != 2 {
			t.Errorf("got %d questions, want 2", asked)
		}
	})
}
