package fake

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// watch runs a monitor of the cards for d and hands its snapshot to look each second.
func watch(t *testing.T, s *Source, d time.Duration, look func(after time.Duration, now gpumetrics.Snapshot)) {
	t.Helper()
	m, err := gpumetrics.New(s, gpumetrics.WithMeterProvider(noop.NewMeterProvider()), gpumetrics.WithInterval(time.Second), gpumetrics.WithSlowInterval(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	go func() { _ = m.Run(ctx) }()
	for after := time.Second; after <= d; after += time.Second {
		time.Sleep(time.Second)
		synctest.Wait()
		look(after, m.Latest())
	}
	s.Release()
}

func bubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

func value(t *testing.T, d *gpumetrics.DeviceSnapshot, r gpumetrics.Reading) float64 {
	t.Helper()
	v, ok := d.Value(r)
	if !ok {
		t.Errorf("%s: reading %d is absent", d.Info.ID, r)
	}
	return v
}

func TestEightCardsUnderLoadTellWhatCardsDo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var joules, watts float64
		seen := map[float64]bool{}
		watch(t, New(H100s(8, Serve)...), 2*time.Minute, func(after time.Duration, now gpumetrics.Snapshot) {
			if after < 5*time.Second {
				return
			}
			if now.State != gpumetrics.DriverOK || len(now.Devices) != 8 {
				t.Fatalf("got %s with %d devices, want ok with 8", now.State, len(now.Devices))
			}
			for i := range now.Devices {
				d := &now.Devices[i]
				u, p, c := value(t, d, gpumetrics.UtilizationGeneral), value(t, d, gpumetrics.Power), value(t, d, gpumetrics.TemperatureGPU)
				if !d.Up || d.Status != gpumetrics.StatusOK || u < 0.85 || u > 1 || p < 300 || p > 700 || c < 28 || c > 80 {
					t.Errorf("after %v: got up %t, %s, utilization %v, %v W, %v °C of a card under load", after, d.Up, d.Status, u, p, c)
				}
				if i == 0 {
					energy := value(t, d, gpumetrics.Energy)
					if energy < joules {
						t.Errorf("energy fell from %v to %v", joules, energy)
					}
					joules, watts = energy, watts+p
					seen[p] = true
				}
			}
		})
		if mean := watts / 116; math.Abs(joules/120-mean) > 0.1*mean {
			t.Errorf("got %v J in 120 s at a mean of %v W, want energy that fits the power", joules, mean)
		}
		if len(seen) < 50 {
			t.Errorf("got %d different powers in two minutes, want one that moves", len(seen))
		}
	})
}

func TestACardThatFallsOffTheBusReportsItAndIsGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gpus := H100s(2, Serve)
		gpus[1] = gpus[1].FallsOffTheBus(10 * time.Second)
		watch(t, New(gpus...), 60*time.Second, func(after time.Duration, now gpumetrics.Snapshot) {
			if after < 3*time.Second || after > 9*time.Second && after < 13*time.Second {
				return
			}
			lost := after > 10*time.Second
			d := &now.Devices[1]
			xid := 0
			if lost {
				xid = 79
			}
			if d.Lost != lost || d.LastXID != xid || now.Devices[0].Lost {
				t.Errorf("after %v: got lost %t with XID %d, and the other lost %t; want %t with %d, and never", after, d.Lost, d.LastXID, now.Devices[0].Lost, lost, xid)
			}
		})
	})
}

func TestACardWhoseDriverHangsIsWedgedAndComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gpus := H100s(2, Serve)
		gpus[0] = gpus[0].Hangs(10*time.Second, 20*time.Second)
		watch(t, New(gpus...), 60*time.Second, func(after time.Duration, now gpumetrics.Snapshot) {
			switch {
			case after > 18*time.Second && after < 29*time.Second:
				if !now.Devices[0].Wedged || now.Devices[1].Wedged || !now.Devices[1].Up {
					t.Errorf("after %v: got wedged %t and %t, want the first", after, now.Devices[0].Wedged, now.Devices[1].Wedged)
				}
			case after > 35*time.Second:
				if now.Devices[0].Wedged || !now.Devices[0].Up {
					t.Errorf("after %v: it is still wedged", after)
				}
			}
		})
	})
}

func TestAHangWithoutEndEndsWhenItIsReleased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := New(H100s(1, nil)[0].Hangs(0, 0))
		devices, err := s.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			var sample gpumetrics.Sample
			done <- devices[0].Sample(gpumetrics.Fast, &sample)
		}()
		time.Sleep(time.Hour)
		select {
		case err := <-done:
			t.Errorf("the call returned before it was released, with %v", err)
		default:
		}
		s.Release()
		if err := <-done; err != nil {
			t.Errorf("got %v, want nil", err)
		}
	})
}

func TestSpinningDrawsLittleAndHeatHoldsTheClockDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gpus := []GPU{H100s(1, Spin)[0], H100s(2, Serve)[1].Overheats(0, time.Hour)}
		watch(t, New(gpus...), 90*time.Second, func(after time.Duration, now gpumetrics.Snapshot) {
			if after < 80*time.Second {
				return
			}
			spin, hot := &now.Devices[0], &now.Devices[1]
			if u, p := value(t, spin, gpumetrics.UtilizationGeneral), value(t, spin, gpumetrics.Power); u != 1 || p > 70+0.15*630 {
				t.Errorf("a spinning card: got utilization %v at %v W", u, p)
			}
			if v := value(t, spin, gpumetrics.TensorUtilizationAny); v > 0.02 {
				t.Errorf("a spinning card: got tensor utilization %v", v)
			}
			if value(t, hot, gpumetrics.ClockEventHWThermal) != 1 || value(t, hot, gpumetrics.ClockSM) > 1.2e9 || value(t, hot, gpumetrics.ClockEventTimeHWThermal) < 30 {
				t.Errorf("a hot card at %v °C is not held down", value(t, hot, gpumetrics.TemperatureGPU))
			}
			if hot.Status != gpumetrics.StatusDegraded {
				t.Errorf("a hot card: got status %s, want degraded", hot.Status)
			}
		})
	})
}

func TestCardsTellOnlyWhatSuchCardsTell(t *testing.T) {
	bubble(t, func(t *testing.T) {
		watch(t, New(H100s(1, Serve)[0], GPU{Model: rtx4080(), Index: 1, Load: Serve}, divided(2)), 3*time.Second, func(after time.Duration, now gpumetrics.Snapshot) {
			if after < 3*time.Second {
				return
			}
			for _, row := range []struct {
				device  int
				reading gpumetrics.Reading
				told    bool
			}{
				{0, gpumetrics.TemperatureMemory, true},
				{1, gpumetrics.TemperatureMemory, false},
				{0, gpumetrics.TemperatureMargin, true},
				{1, gpumetrics.TemperatureLimitSlowdown, true},
				{0, gpumetrics.TemperatureLimitSlowdown, false},
				{0, gpumetrics.RemappedRowsCorrected, true},
				{1, gpumetrics.ECCCorrected, false},
				{1, gpumetrics.TensorUtilizationAny, false},
				{2, gpumetrics.UtilizationGeneral, false},
				{2, gpumetrics.Power, true},
				{2, gpumetrics.RemappedRowsCorrected, false},
				{3, gpumetrics.MemoryUsed, true},
				{3, gpumetrics.UtilizationGeneral, false},
				{3, gpumetrics.Power, false},
			} {
				d := &now.Devices[row.device]
				if _, told := d.Value(row.reading); told != row.told {
					t.Errorf("%s, reading %d: got told %t, want %t", d.Info.Model, row.reading, told, row.told)
				}
			}
			if part := &now.Devices[3]; part.Info.Parent != now.Devices[2].Info.ID || part.Info.MIGProfile != "3g.40gb" {
				t.Errorf("got %+v, want a part of the divided card", part.Info)
			}
		})
	})
}

func divided(index int) GPU {
	g := DividedH100(Serve)
	g.Index = index
	return g
}

func TestCountsNeverFall(t *testing.T) {
	clock := time.Unix(1_700_000_000, 0)
	s := New(H100s(1, Serve)[0].Overheats(time.Minute, 2*time.Minute).Then(3*time.Minute, Idle))
	s.Clock = func() time.Time { return clock }
	devices, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := map[gpumetrics.Reading]uint64{}
	for range 500 {
		clock = clock.Add(700 * time.Millisecond)
		for _, tier := range []gpumetrics.Tier{gpumetrics.Fast, gpumetrics.Slow} {
			var sample gpumetrics.Sample
			if err := devices[0].Sample(tier, &sample); err != nil {
				t.Fatal(err)
			}
			for r := range gpumetrics.UnrepairableMemory {
				if n, ok := sample.Count(r); ok && n < last[r] {
					t.Errorf("reading %d: fell from %d to %d", r, last[r], n)
				} else if ok {
					last[r] = n
				}
			}
		}
	}
}

func TestASourceWithoutADriverSaysSo(t *testing.T) {
	s := New()
	s.Unavailable = &gpumetrics.UnavailableError{State: gpumetrics.DriverLibraryNotFound, Text: "no library"}
	if _, err := s.Open(t.Context()); !errors.Is(err, s.Unavailable) {
		t.Errorf("got %v, want %v", err, s.Unavailable)
	}
	if why, ok := errors.AsType[*gpumetrics.UnavailableError](second(New().Open(t.Context()))); !ok || why.State != gpumetrics.DriverNoDevices {
		t.Errorf("a source of no cards: got %v", why)
	}
}

func second(_ []gpumetrics.Device, err error) error { return err }
