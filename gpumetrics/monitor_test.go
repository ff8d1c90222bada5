package gpumetrics

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

const busy = "hw.gpu.utilization{hw.gpu.task=general,hw.id=GPU-a}"

func TestAMonitorNeedsASourceAndStartsNothing(t *testing.T) {
	if _, err := New(nil); err == nil {
		t.Error("a nil source: got no error")
	}
	src := &script{}
	m, err := New(src)
	if err != nil {
		t.Fatal(err)
	}
	if opens, _ := src.counts(); opens != 0 {
		t.Errorf("New opened the source %d times, want 0", opens)
	}
	if s := m.Latest(); s.State != DriverOpening || len(s.Devices) != 0 {
		t.Errorf("before Run: got %v with %d devices, want opening with none", s.State, len(s.Devices))
	}
}

func TestReadingsComeInTheirTiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newCard("GPU-a", steady), newCard("GPU-b", steady)
		p := start(t, &script{gpus: []*card{a, b}})
		time.Sleep(121 * time.Second)
		synctest.Wait()
		p.stop()
		for _, c := range []struct {
			name string
			got  int
			want int
		}{
			{"once", len(a.times(Once)), 1},
			{"fast", len(a.times(Fast)), 13}, // at 0, 10, … 120
			{"slow", len(a.times(Slow)), 3},
			{"fast of the second, half an interval later", len(b.times(Fast)), 12},
		} {
			if c.got != c.want {
				t.Errorf("%s: got %d samples in 121 s, want %d", c.name, c.got, c.want)
			}
		}
		if d := b.times(Fast)[1].Sub(a.times(Fast)[1]); d != 5*time.Second {
			t.Errorf("regular samples of two GPUs: got %v apart, want 5s", d)
		}
	})
}

func TestWhatIsReadOnceIsReadAgainWhereItFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCard("GPU-a", nil)
		a.script(func(tier Tier, s *Sample) error {
			switch {
			case tier == Once && len(a.times(Once)) == 1:
				return errors.New("not ready")
			case tier == Once && len(a.times(Once)) == 2:
				s.Miss(PCIeLinkWidthLimit, Failed, "NVML_ERROR_UNKNOWN")
			case tier == Once:
				s.Set(PCIeLinkWidthLimit, 16)
			}
			return nil
		})
		p := start(t, &script{gpus: []*card{a}})
		defer p.stop()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(a.times(Once)); n != 3 {
			t.Errorf("got %d readings of what is read once, want 3: until it is read", n)
		}
		want(t, p.collect(), "nvidia.gpu.pcie.link.width.limit{hw.id=GPU-a}", 16)
	})
}

func TestASecondRunIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, &script{gpus: []*card{newCard("GPU-a", steady)}})
		synctest.Wait()
		if err := p.m.Run(t.Context()); err == nil {
			t.Error("a second Run: got no error")
		}
		p.stop()
	})
}

func TestStaleGaugesVanishAndTheRestStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		energy := uint64(5_000)
		a := newCard("GPU-a", fast(func(s *Sample) {
			s.Set(UtilizationGeneral, 0.5)
			s.SetCount(Energy, energy, 64)
			energy += 1_000
		}))
		p := start(t, &script{gpus: []*card{a}})
		defer p.stop()
		time.Sleep(11 * time.Second)
		got := p.collect()
		want(t, got, busy, 0.5)
		want(t, got, "hw.energy{hw.id=GPU-a,hw.type=gpu}", 1)
		want(t, got, "nvidia.gpu.up{hw.id=GPU-a}", 1)

		a.script(func(Tier, *Sample) error { return errors.New("sick") })
		time.Sleep(35 * time.Second)
		got = p.collect()
		wantNone(t, got, busy)
		want(t, got, "hw.energy{hw.id=GPU-a,hw.type=gpu}", 1)
		want(t, got, "nvidia.gpu.up{hw.id=GPU-a}", 0)
		want(t, got, "nvidia.gpu.sampler.age{hw.id=GPU-a}", 36)
		want(t, got, "hw.status{hw.id=GPU-a,hw.state=degraded,hw.type=gpu}", 1)
		if v, ok := p.m.Latest().Devices[0].Value(UtilizationGeneral); ok {
			t.Errorf("a stale utilization: got %v, want none", v)
		}
	})
}

func TestAMachineWithoutGPUsIsAskedAgainWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{open: func(int) ([]Device, error) {
			return nil, &UnavailableError{State: DriverNotLoaded, Text: "no driver"}
		}}
		p := start(t, src)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if s := p.m.Latest(); s.State != DriverNotLoaded || s.Text != "no driver" {
			t.Errorf("got %s %q, want the source's own words", s.State, s.Text)
		}
		want(t, p.collect(), "nvidia.gpu.driver.state{nvidia.gpu.driver.state=driver_not_loaded}", 1)
		p.stop()
		wantPauses := []time.Duration{5, 10, 20, 40, 80, 160, 300, 300}
		for i, d := range wantPauses {
			if got := src.openAt[i+1].Sub(src.openAt[i]); got != d*time.Second {
				t.Errorf("pause %d: got %v, want %v", i, got, d*time.Second)
			}
		}
	})
}

func TestATerminalStateIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{open: func(int) ([]Device, error) {
			return nil, &UnavailableError{State: DriverMismatch, Text: "restart", Terminal: true}
		}}
		p := start(t, src)
		time.Sleep(time.Hour)
		p.stop()
		if opens, _ := src.counts(); opens != 1 {
			t.Errorf("got %d tries in an hour, want 1", opens)
		}
	})
}

func TestPauseClosesTheDriverAndResumeOpensIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{gpus: []*card{newCard("GPU-a", steady)}}
		p := start(t, src)
		defer p.stop()
		time.Sleep(time.Second)
		if err := p.m.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		if opens, closes := src.counts(); opens != 1 || closes != 1 {
			t.Errorf("paused: got %d opens and %d closes, want one each", opens, closes)
		}
		if s := p.m.Latest(); s.State != DriverPaused {
			t.Errorf("got state %s, want paused", s.State)
		}
		time.Sleep(time.Minute)
		if opens, _ := src.counts(); opens != 1 {
			t.Errorf("a paused monitor opened the source")
		}
		if d := p.m.Latest().Devices[0]; d.Up || d.Status != "" {
			t.Errorf("a GPU that is not asked: got up %v, status %q, want neither", d.Up, d.Status)
		}
		p.m.Resume()
		synctest.Wait()
		if s := p.m.Latest(); s.State != DriverOK || !s.Devices[0].Up {
			t.Errorf("resumed: got %s, up %v", s.State, s.Devices[0].Up)
		}
	})
}

func TestPauseTellsThatACallHasNotReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		src := &script{gpus: []*card{newCard("GPU-a", func(Tier, *Sample) error { <-hold; return nil })}}
		p := start(t, src)
		defer p.stop()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := p.m.Pause(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that the deadline passed", err)
		}
		close(hold)
		if err := p.m.Pause(t.Context()); err != nil {
			t.Errorf("once the call has returned: got %v, want nil", err)
		}
		if _, closes := src.counts(); closes != 1 {
			t.Errorf("got %d closes, want 1", closes)
		}
	})
}

func TestRunStopsAHundredTimesAndLeavesNothing(t *testing.T) {
	src := &script{gpus: []*card{newCard("GPU-a", steady), newCard("GPU-b", steady)}}
	m, err := New(src)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		for m.Latest().State != DriverOK {
			<-time.After(time.Millisecond)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if opens, closes := src.counts(); opens != 100 || closes != 100 {
		t.Errorf("got %d opens and %d closes, want 100 each", opens, closes)
	}
}

func TestEverythingMayBeCalledAtOnce(t *testing.T) {
	e := newEverything()
	reader := sdkmetric.NewManualReader()
	m, err := New(e, WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))), WithProcesses(), WithLinks(),
		func(c *config) { c.proc = procDir(t, "4242", "VLLM::EngineCore", "4242") })
	if err != nil {
		t.Fatal(err)
	}
	l := m.NewLedger()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for _, f := range []func(){
		func() { collect(t, reader) },
		func() { m.Latest(); m.Support() },
		func() {
			if err := m.Pause(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("Pause: got %v, want nil", err)
			}
			m.Resume()
			<-time.After(10 * time.Millisecond)
		},
		func() {
			var u Use
			l.Begin(&u)
			l.End(ctx, &u, Outcome{OutputTokens: 1})
		},
		func() {
			select {
			case e.xid <- 31:
			case <-ctx.Done():
			}
		},
		func() { m.OnEvent(func(Event) {}); <-time.After(10 * time.Millisecond) },
	} {
		wg.Go(func() {
			for ctx.Err() == nil {
				f()
			}
		})
	}
	if err := m.Run(ctx); err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
	wg.Wait()
}
