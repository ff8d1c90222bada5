package gpumetrics

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// hanging returns a sample function that hangs while hold is open.
func hanging(hold chan struct{}) func(Tier, *Sample) error {
	return func(tier Tier, s *Sample) error { <-hold; return steady(tier, s) }
}

func TestTwoWedgedGPUsHoldAllCallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newCard("GPU-a", steady), newCard("GPU-b", steady), newCard("GPU-c", steady)
		p := start(t, &script{gpus: []*card{a, b, c}})
		defer p.stop()
		time.Sleep(9 * time.Second)
		holdA, holdB := make(chan struct{}), make(chan struct{})
		a.script(hanging(holdA))
		b.script(hanging(holdB))
		time.Sleep(15 * time.Second) // calls at 10 and 13.3 s; the second is found wedged at 18.3
		before := len(c.times(Fast))
		if s := p.m.Latest(); s.State != DriverWedged {
			t.Errorf("got %s, want wedged", s.State)
		}
		want(t, p.collect(), "nvidia.gpu.driver.state{nvidia.gpu.driver.state=wedged}", 1)
		time.Sleep(10 * time.Minute)
		if n := len(c.times(Fast)); n != before {
			t.Errorf("a healthy GPU was asked %d times while the driver hangs, want none", n-before)
		}
		close(holdB)
		time.Sleep(30 * time.Second)
		if n := len(c.times(Fast)); n < before+2 {
			t.Errorf("once a call has returned: got %d samples of the healthy GPU, want more", n-before)
		}
		if s := p.m.Latest(); s.State != DriverOK || !s.Devices[0].Wedged || !s.Devices[1].Up || !s.Devices[2].Up {
			t.Errorf("got %s, wedged %v, up %v %v, want ok, the first still wedged, the others up",
				s.State, s.Devices[0].Wedged, s.Devices[1].Up, s.Devices[2].Up)
		}
		close(holdA)
	})
}

func TestTwoWedgesFarApartAreOfTwoGPUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newCard("GPU-a", steady), newCard("GPU-b", steady), newCard("GPU-c", steady)
		p := start(t, &script{gpus: []*card{a, b, c}})
		defer p.stop()
		time.Sleep(9 * time.Second)
		hold := make(chan struct{})
		defer close(hold)
		a.script(hanging(hold))
		time.Sleep(2 * time.Minute)
		b.script(hanging(hold))
		time.Sleep(2 * time.Minute)
		if s := p.m.Latest(); s.State != DriverOK || !s.Devices[2].Up {
			t.Errorf("got %s, third up %v, want ok and up", s.State, s.Devices[2].Up)
		}
	})
}

func TestOneGPUThatHangsAgainAndAgainIsNoDriverThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCard("GPU-a", func(tier Tier, s *Sample) error { time.Sleep(7 * time.Second); return steady(tier, s) })
		b := newCard("GPU-b", steady)
		p := start(t, &script{gpus: []*card{a, b}})
		defer p.stop()
		for range 60 {
			time.Sleep(7 * time.Second)
			if s := p.m.Latest(); s.State != DriverOK || !s.Devices[1].Up {
				t.Fatalf("got %s, second up %v, want ok and up", s.State, s.Devices[1].Up)
			}
		}
		if n := len(b.times(Fast)); n < 40 {
			t.Errorf("got %d samples of the other GPU in seven minutes, want all", n)
		}
	})
}

func TestABreakerThatIsOpenLetsOneCallTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		b.trip()
		if err := b.enter(t.Context()); err != nil {
			t.Fatalf("with no call under way: got %v, want nil", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("beside another call: got %v, want that it waits", err)
		}
		b.leave()
		if b.isOpen() {
			t.Error("after a call returned: got open, want closed")
		}
	})
}

func TestAPanicOfTheSourceCostsOneSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCard("GPU-a", steady)
		p := start(t, &script{gpus: []*card{a}})
		defer p.stop()
		time.Sleep(9 * time.Second)
		a.script(func(Tier, *Sample) error { panic("slice bounds out of range") })
		time.Sleep(2 * time.Second)
		a.script(steady)
		got := p.collect()
		want(t, got, "nvidia.gpu.sampler.errors{error.type=panic,hw.id=GPU-a}", 1)
		want(t, got, busy, 0.5)
		time.Sleep(10 * time.Second)
		want(t, p.collect(), "nvidia.gpu.sampler.age{hw.id=GPU-a}", 1)
	})
}

func TestAPanicInOpenIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{}
		src.open = func(try int) ([]Device, error) {
			if try == 1 {
				panic("no")
			}
			return []Device{newCard("GPU-a", steady)}, nil
		}
		p := start(t, src)
		defer p.stop()
		time.Sleep(time.Second)
		if s := p.m.Latest(); s.State != DriverFailed {
			t.Errorf("got %s, want failed", s.State)
		}
		time.Sleep(6 * time.Second)
		if s := p.m.Latest(); s.State != DriverOK {
			t.Errorf("five seconds later: got %s, want ok", s.State)
		}
	})
}

func TestASickGPUIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCard("GPU-a", func(Tier, *Sample) error { return errors.New("unknown error") })
		p := start(t, &script{gpus: []*card{a}})
		time.Sleep(time.Hour)
		got := p.collect()
		p.stop()
		n := len(a.times(Once)) + len(a.times(Fast)) + len(a.times(Slow))
		if n > 40 {
			t.Errorf("got %d samples in an hour of failures, want pauses that grow to five minutes", n)
		}
		want(t, got, "nvidia.gpu.sampler.errors{error.type=sample_failed,hw.id=GPU-a}", float64(n))
		want(t, got, "nvidia.gpu.up{hw.id=GPU-a}", 0)
	})
}

func TestASourceThatAsksForItAgainAndAgainIsOpenedWithPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{gpus: []*card{newCard("GPU-a", func(Tier, *Sample) error { return ErrReopen })}}
		p := start(t, src)
		time.Sleep(10 * time.Minute)
		p.stop()
		if opens, _ := src.counts(); opens > 10 {
			t.Errorf("got %d opens in ten minutes, want pauses that grow", opens)
		}
	})
}
