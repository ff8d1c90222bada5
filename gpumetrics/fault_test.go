package gpumetrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/pprof"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFault_H01_NoLibraryIsAStateAndNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{open: func(int) ([]Device, error) {
			return nil, fmt.Errorf("nvml: %w", &UnavailableError{State: DriverLibraryNotFound, Text: "install the driver's library"})
		}}
		p := start(t, src)
		time.Sleep(time.Second)
		if s := p.m.Latest(); s.State != DriverLibraryNotFound || s.Text != "install the driver's library" || len(s.Devices) != 0 {
			t.Errorf("got %+v, want library_not_found with its text", s)
		}
		got := p.collect()
		want(t, got, "nvidia.gpu.driver.state{nvidia.gpu.driver.state=library_not_found}", 1)
		want(t, got, "nvidia.gpu.driver.state{nvidia.gpu.driver.state=ok}", 0)
		want(t, got, "nvidia.gpu.count{}", 0)
		p.stop()
	})
}

func TestFault_H04_OpenHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		src := &script{open: func(int) ([]Device, error) { <-hold; return []Device{newCard("GPU-a", steady)}, nil }}
		p := start(t, src)
		time.Sleep(29 * time.Second)
		if s := p.m.Latest(); s.State != DriverOpening {
			t.Errorf("after 29 s: got %s, want opening", s.State)
		}
		time.Sleep(time.Hour)
		if s := p.m.Latest(); s.State != DriverWedged {
			t.Errorf("after an hour: got %s, want wedged", s.State)
		}
		if opens, _ := src.counts(); opens != 1 {
			t.Errorf("got %d calls of Open while one hangs, want 1", opens)
		}
		began := time.Now()
		p.stop()
		if took := time.Since(began); took > hardDeadline {
			t.Errorf("Run took %v to end, want at most %v", took, hardDeadline)
		}
		close(hold)
		synctest.Wait()
		if _, closes := src.counts(); closes != 1 {
			t.Errorf("a source that opened after Run ended: got %d closes, want 1", closes)
		}
	})
}

func TestFault_H04_ACallHangsAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		a, b := newCard("GPU-a", steady), newCard("GPU-b", steady)
		src := &script{gpus: []*card{a, b}}
		p := start(t, src)
		defer p.stop()
		time.Sleep(9 * time.Second)
		a.script(func(Tier, *Sample) error { <-hold; return nil })
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		got := p.collect()
		want(t, got, "nvidia.gpu.sampler.wedged{hw.id=GPU-a}", 1)
		want(t, got, "nvidia.gpu.sampler.inflight.duration{hw.id=GPU-a}", 599)
		want(t, got, "nvidia.gpu.sampler.slow{hw.id=GPU-a}", 1)
		want(t, got, "nvidia.gpu.up{hw.id=GPU-a}", 0)
		want(t, got, "hw.status{hw.id=GPU-a,hw.state=degraded,hw.type=gpu}", 1)
		wantNone(t, got, busy)
		want(t, got, "nvidia.gpu.up{hw.id=GPU-b}", 1)
		want(t, got, "nvidia.gpu.count{}", 1)
		if a.most != 1 {
			t.Errorf("got %d calls at once for one GPU, want 1", a.most)
		}
		a.script(steady)
		close(hold)
		time.Sleep(14 * time.Second)
		got = p.collect()
		want(t, got, "nvidia.gpu.sampler.wedged{hw.id=GPU-a}", 0)
		want(t, got, "nvidia.gpu.sampler.inflight.duration{hw.id=GPU-a}", 0)
		want(t, got, busy, 0.5)
		if opens, _ := src.counts(); opens != 1 {
			t.Errorf("got %d opens, want 1: a hang is no reason to open the driver again", opens)
		}
	})
}

func TestFault_H04_RunEndsWhileACallHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		src := &script{gpus: []*card{newCard("GPU-a", func(Tier, *Sample) error { <-hold; return nil })}}
		p := start(t, src)
		time.Sleep(10 * time.Second)
		began := time.Now()
		p.stop()
		if took := time.Since(began); took != 0 {
			t.Errorf("Run took %v to end beside a wedged GPU, want none", took)
		}
		if _, closes := src.counts(); closes != 0 {
			t.Errorf("got %d closes under a call that has not returned, want 0", closes)
		}
		close(hold)
		synctest.Wait()
		if _, closes := src.counts(); closes != 1 {
			t.Errorf("once it has returned: got %d closes, want 1", closes)
		}
	})
}

func TestFault_H05_ALostGPULeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newCard("GPU-a", steady), newCard("GPU-b", steady)
		src := &script{gpus: []*card{a, b}}
		p := start(t, src)
		defer p.stop()
		time.Sleep(9 * time.Second)
		a.script(func(Tier, *Sample) error { return fmt.Errorf("nvml: %w", ErrLost) })
		src.mu.Lock()
		src.open = func(try int) ([]Device, error) { // the driver does not list it any more, until the tenth try
			if try < 10 {
				return []Device{b}, nil
			}
			return []Device{b, a}, nil
		}
		src.mu.Unlock()
		time.Sleep(2 * time.Second)
		got := p.collect()
		want(t, got, "nvidia.gpu.up{hw.id=GPU-a}", 0)
		want(t, got, "hw.status{hw.id=GPU-a,hw.state=failed,hw.type=gpu}", 1)
		want(t, got, "nvidia.gpu.up{hw.id=GPU-b}", 1)

		time.Sleep(10 * time.Minute)
		got = p.collect()
		want(t, got, "nvidia.gpu.up{hw.id=GPU-a}", 0)
		want(t, got, "nvidia.gpu.count{}", 1)
		want(t, got, "nvidia.gpu.count.expected{}", 2)
		want(t, got, "hw.gpu.utilization{hw.gpu.task=general,hw.id=GPU-b}", 0.5)
		opens, _ := src.counts()
		if opens < 6 || opens > 8 { // after 5, 10, 20, 40, 80, 160, 300 s
			t.Errorf("got %d opens in ten minutes, want pauses that grow", opens)
		}
		a.script(steady)
		time.Sleep(25 * time.Minute)
		want(t, p.collect(), "nvidia.gpu.up{hw.id=GPU-a}", 1)
		if d := p.m.Latest().Devices; len(d) != 2 || d[1].Lost || !d[1].Up {
			t.Errorf("a GPU that is back: got %+v", d)
		}
	})
}

func TestFault_H06_GPUsAreKnownByTheirIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := newCard("GPU-a", func(tier Tier, s *Sample) error {
			if tier == Fast {
				s.SetCount(Energy, 1000, 64)
			}
			return nil
		})
		two := newCard("GPU-b", steady)
		two.info.Index = 1
		src := &script{gpus: []*card{one, two}}
		p := start(t, src)
		defer p.stop()
		time.Sleep(time.Second)

		// The GPU is divided: the driver must be opened again, and lists them in another order.
		two.script(func(Tier, *Sample) error { return ErrReopen })
		parted := newCard("GPU-b", steady)
		part := newCard("MIG-b1", func(tier Tier, s *Sample) error {
			if tier == Fast {
				s.Set(MemoryTotal, 10<<30)
				s.Set(MemoryUsed, 5<<30)
			}
			return nil
		})
		part.info.Parent = "GPU-b"
		one.script(func(tier Tier, s *Sample) error {
			if tier == Fast {
				s.SetCount(Energy, 5000, 64)
			}
			return nil
		})
		src.mu.Lock()
		src.gpus = []*card{parted, part, one}
		src.mu.Unlock()
		time.Sleep(30 * time.Second)
		got := p.collect()
		want(t, got, "hw.energy{hw.id=GPU-a,hw.type=gpu}", 4)
		want(t, got, "hw.gpu.memory.usage{hw.id=MIG-b1,hw.parent=GPU-b}", 5<<30)
		want(t, got, "hw.gpu.memory.utilization{hw.id=MIG-b1,hw.parent=GPU-b}", 0.5)
		wantNone(t, got, "hw.gpu.utilization{hw.gpu.task=general,hw.id=MIG-b1,hw.parent=GPU-b}")
		want(t, got, "nvidia.gpu.count{}", 2)
		if opens, closes := src.counts(); opens != 2 || closes != 1 {
			t.Errorf("got %d opens and %d closes, want 2 and 1", opens, closes)
		}
		if parted.most != 1 || part.most != 1 || len(part.times(Once)) != 1 {
			t.Errorf("a part: got %d samples at once, want one worker", part.most)
		}

		// It is made whole again: the part is forgotten, not lost.
		parted.script(func(Tier, *Sample) error { return ErrReopen })
		src.mu.Lock()
		src.gpus = []*card{two, one}
		src.mu.Unlock()
		two.script(steady)
		time.Sleep(30 * time.Second)
		wantNone(t, p.collect(), "nvidia.gpu.up{hw.id=MIG-b1,hw.parent=GPU-b}")
	})
}

func TestFault_H07_AbsurdValuesAreAbsent(t *testing.T) {
	for name, c := range map[string]struct {
		set    func(s *Sample)
		series string
	}{
		"all bits set for a percentage":      {func(s *Sample) { s.Set(UtilizationGeneral, math.MaxUint32/100.0) }, busy},
		"a power of 0":                       {func(s *Sample) { s.Set(Power, 0) }, "hw.power{hw.id=GPU-a,hw.type=gpu}"},
		"a temperature of 0":                 {func(s *Sample) { s.Set(TemperatureMemory, 0) }, "hw.temperature{hw.id=GPU-a,hw.sensor_location=memory}"},
		"all bits set for memory":            {func(s *Sample) { s.Set(MemoryUsed, math.MaxUint64) }, "hw.gpu.memory.usage{hw.id=GPU-a}"},
		"more memory in use than there is":   {func(s *Sample) { s.Set(MemoryUsed, 2); s.Set(MemoryTotal, 1) }, "hw.gpu.memory.usage{hw.id=GPU-a}"},
		"a number that is none":              {func(s *Sample) { s.Set(TemperatureGPU, math.NaN()) }, "hw.temperature{hw.id=GPU-a,hw.sensor_location=gpu}"},
		"an infinite number":                 {func(s *Sample) { s.Set(Power, math.Inf(1)) }, "hw.power{hw.id=GPU-a,hw.type=gpu}"},
		"an unknown performance state":       {func(s *Sample) { s.Set(PerformanceState, 32) }, "nvidia.gpu.performance_state{hw.id=GPU-a}"},
		"all bits set for a count":           {func(s *Sample) { s.SetCount(Energy, math.MaxUint64, 64) }, "hw.energy{hw.id=GPU-a,hw.type=gpu}"},
		"all 32 bits set for a short count":  {func(s *Sample) { s.SetCount(PCIeReplay, math.MaxUint32, 32) }, "hw.errors{error.type=pcie_replay,hw.id=GPU-a,hw.type=gpu}"},
		"more than 32 bits in a short count": {func(s *Sample) { s.SetCount(PCIeReplay, 1<<40, 32) }, "hw.errors{error.type=pcie_replay,hw.id=GPU-a,hw.type=gpu}"},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := start(t, &script{gpus: []*card{newCard("GPU-a", fast(c.set))}})
			defer p.stop()
			time.Sleep(time.Second)
			got := p.collect()
			if v, ok := got[c.series]; ok {
				t.Errorf("%s: got %v, want none", name, v)
			}
			failed := got["nvidia.gpu.sampler.errors{error.type=implausible,hw.id=GPU-a}"] + got["nvidia.gpu.sampler.errors{error.type=not_a_number,hw.id=GPU-a}"]
			if failed != 1 {
				t.Errorf("%s: got %v errors counted, want 1", name, failed)
			}
			want(t, got, "nvidia.gpu.up{hw.id=GPU-a}", 1)
		})
	}
}

func TestFault_H07_NotSupportedIsAbsentAndNotAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		a := newCard("GPU-a", fast(func(s *Sample) {
			s.Set(Power, 100)
			if s.Wants(UtilizationGeneral) {
				asked++
				s.Miss(UtilizationGeneral, NotSupported, "NVML_ERROR_NOT_SUPPORTED")
			}
		}))
		p := start(t, &script{gpus: []*card{a}})
		defer p.stop()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if asked != 1 {
			t.Errorf("got %d questions in ten minutes, want 1", asked)
		}
		got := p.collect()
		wantNone(t, got, busy)
		wantNone(t, got, "nvidia.gpu.sampler.errors{error.type=NVML_ERROR_NOT_SUPPORTED,hw.id=GPU-a}")
		for _, s := range p.m.Support() {
			switch s.Reading {
			case UtilizationGeneral:
				if s.State != SupportUnsupported || s.Detail != "NVML_ERROR_NOT_SUPPORTED" || s.Metric != "hw.gpu.utilization" || s.Attributes != "hw.gpu.task=general" {
					t.Errorf("got %+v, want unsupported with the driver's word", s)
				}
			case Power:
				if s.State != Supported {
					t.Errorf("power: got %+v, want supported", s)
				}
			default:
				if s.State != SupportUnknown {
					t.Errorf("got %+v, want unknown", s)
				}
			}
		}
	})
}

func TestFault_H08_DeniedIsAskedAgainWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Time
		a := newCard("GPU-a", fast(func(s *Sample) {
			if s.Wants(Power) {
				asked = append(asked, time.Now())
				s.Miss(Power, Denied, "NVML_ERROR_NO_PERMISSION")
			}
		}))
		p := start(t, &script{gpus: []*card{a}})
		time.Sleep(5 * time.Hour)
		got := p.collect()
		p.stop()
		want(t, got, "nvidia.gpu.sampler.errors{error.type=NVML_ERROR_NO_PERMISSION,hw.id=GPU-a}", float64(len(asked)))
		for i, minutes := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			if pause := asked[i+1].Sub(asked[i]); pause != minutes*time.Minute {
				t.Errorf("pause %d: got %v, want %v", i, pause, minutes*time.Minute)
			}
		}
	})
}

func TestFault_H09_TheDriverIsNeverAskedMoreThanOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCard("GPU-a", steady)
		p := start(t, &script{gpus: []*card{a}}, WithInterval(time.Millisecond), WithSlowInterval(time.Millisecond))
		time.Sleep(10*time.Second + time.Millisecond)
		p.stop()
		if n := len(a.times(Fast)); n != 11 {
			t.Errorf("got %d fast samples in ten seconds, want 11", n)
		}
		if n := len(a.times(Slow)); n != 11 {
			t.Errorf("got %d slow samples in ten seconds, want 11", n)
		}
	})
}

func TestFault_H10_AHangCostsOneGoroutineForEachGPU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		hang := func(Tier, *Sample) error { <-hold; return errors.New("late") }
		src := &script{gpus: []*card{newCard("GPU-a", hang), newCard("GPU-b", hang), newCard("GPU-c", steady), newCard("GPU-d", steady)}}
		reader := start(t, src)
		synctest.Wait() // until two calls hang
		for range 20 {
			reader.stop()
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { _ = reader.m.Run(ctx); close(done) }()
			time.Sleep(3 * time.Minute)
			cancel()
			<-done
		}
		synctest.Wait()
		stacks := new(strings.Builder)
		if err := pprof.Lookup("goroutine").WriteTo(stacks, 2); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(stacks.String(), "(*card).Sample("); n != 2 {
			t.Errorf("got %d goroutines in driver calls after 21 runs, want 2: one for each GPU that hangs", n)
		}
		if opens, closes := src.counts(); opens != 1 || closes != 0 {
			t.Errorf("got %d opens and %d closes while calls hang, want 1 and 0", opens, closes)
		}
		close(hold)
		synctest.Wait()
		if _, closes := src.counts(); closes != 1 {
			t.Errorf("got %d closes at the end, want 1", closes)
		}
	})
}
