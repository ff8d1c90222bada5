package gpumetrics

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestStatusIsTheWorstOfWhatIsKnown(t *testing.T) {
	states := func(on ...Reading) *record {
		r := &record{}
		for _, i := range on {
			r.values[i] = 1
			r.known.add(i)
			r.tier[i] = Fast
		}
		return r
	}
	lanes := func(width, limit float64) *record {
		r := states(PCIeLinkWidth, PCIeLinkWidthLimit)
		r.values[PCIeLinkWidth], r.values[PCIeLinkWidthLimit] = width, limit
		return r
	}
	links := func(up ...float64) *record {
		r := states()
		for _, v := range up {
			p := partRecord{series: &partSeries{kind: Link}}
			p.known[LinkUp], p.values[LinkUp] = true, v
			r.parts = append(r.parts, p)
		}
		return r
	}
	off := states(RecoveryGPUReset)
	off.values[RecoveryGPUReset] = 0
	for name, c := range map[string]struct {
		record *record
		stale  bool
		health health
		want   Status
	}{
		"nothing is known yet":                          {nil, false, health{}, ""},
		"the first call hangs":                          {nil, false, health{wedged: true}, StatusDegraded},
		"all is well":                                   {states(RecoveryNone, ClockEventSWPowerCap), false, health{}, StatusOK},
		"the driver has lost it":                        {states(), false, health{lost: true}, StatusFailed},
		"it fell off the bus":                           {states(), false, health{xidFatal: true, offBus: true}, StatusFailed},
		"a call hangs":                                  {states(), false, health{wedged: true}, StatusDegraded},
		"a call hangs after a code that ends its work":  {states(), false, health{wedged: true, xidFatal: true}, StatusFailed},
		"a code that ends its work, and it answers":     {states(), false, health{xidFatal: true}, StatusOK},
		"it has not answered for long":                  {states(), true, health{}, StatusDegraded},
		"the driver asks for a reset":                   {states(RecoveryGPUReset), false, health{}, StatusFailed},
		"a state that is off":                           {off, false, health{}, StatusOK},
		"the driver asks for a reboot":                  {states(RecoverySystemReboot, ClockEventHWThermal), false, health{}, StatusFailed},
		"the driver asks for a drain":                   {states(RecoveryDrainP2P), false, health{}, StatusDegraded},
		"a row could not be replaced":                   {states(RemapFailure, ClockEventHWThermal), false, health{}, StatusPredictedFailure},
		"a page waits to be retired":                    {states(RetiredPagesPending), false, health{}, StatusPredictedFailure},
		"memory that cannot be repaired":                {states(UnrepairableMemory), false, health{}, StatusPredictedFailure},
		"it is too hot":                                 {states(ClockEventHWThermal), false, health{}, StatusDegraded},
		"its power is cut":                              {states(ClockEventPowerBrake), false, health{}, StatusDegraded},
		"half of the lanes":                             {lanes(8, 16), false, health{}, StatusDegraded},
		"all lanes":                                     {lanes(16, 16), false, health{}, StatusOK},
		"one of two links is down":                      {links(1, 0), false, health{}, StatusDegraded},
		"all links are down: no neighbour or no fabric": {links(0, 0), false, health{}, StatusOK},
	} {
		fresh := [len(tiers)]bool{true, true, true}
		if c.stale {
			fresh = [len(tiers)]bool{}
		}
		if got := judge(c.record, &fresh, c.health); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestTheLowestPowerIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watts := []float64{300, 0, 70, 650, 71}
		i := 0
		p := start(t, &script{gpus: []*card{newCard("GPU-a", fast(func(s *Sample) {
			s.Set(Power, watts[min(i, len(watts)-1)])
			i++
		}))}})
		defer p.stop()
		time.Sleep(41 * time.Second)
		synctest.Wait()
		if got := p.m.Latest().Devices[0].MinPower; got != 70 {
			t.Errorf("got %v W, want 70: 0 is what a failed reading gives", got)
		}
	})
}

func TestASnapshotDoesNotChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0.0
		p := start(t, &script{gpus: []*card{newCard("GPU-a", fast(func(s *Sample) {
			n += 0.1
			s.Set(UtilizationGeneral, n)
		}))}})
		defer p.stop()
		time.Sleep(time.Second)
		s := p.m.Latest()
		time.Sleep(30 * time.Second)
		if v, ok := s.Devices[0].Value(UtilizationGeneral); !ok || v != 0.1 {
			t.Errorf("half a minute later: got %v, %v, want what was true then", v, ok)
		}
		if age := s.Devices[0].Age(s.Devices[0].At.Add(time.Minute)); age != time.Minute {
			t.Errorf("age: got %v, want 1m", age)
		}
		var none DeviceSnapshot
		if _, ok := none.Value(Power); ok || none.Age(time.Now()) != -1 {
			t.Errorf("a device of which nothing is known: got a value or an age")
		}
		if _, ok := s.Devices[0].Value(numReadings + 3); ok {
			t.Error("a reading that does not exist: got a value")
		}
	})
}

func TestAReadingThatIsMissingIsAbsentAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCard("GPU-a", steady)
		p := start(t, &script{gpus: []*card{a}})
		defer p.stop()
		time.Sleep(9 * time.Second)
		a.script(fast(func(s *Sample) { s.Miss(UtilizationGeneral, Failed, "NVML_ERROR_UNKNOWN") }))
		time.Sleep(2 * time.Second)
		got := p.collect()
		wantNone(t, got, busy)
		want(t, got, "nvidia.gpu.sampler.errors{error.type=NVML_ERROR_UNKNOWN,hw.id=GPU-a}", 1)
		want(t, got, "nvidia.gpu.up{hw.id=GPU-a}", 1)
	})
}

func TestOptionsSwitchReadingsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEverything()
		p := start(t, e, WithProfiling(false), nil)
		defer p.stop()
		time.Sleep(time.Second)
		got := p.collect()
		wantNone(t, got, "nvidia.gpu.sm.utilization{hw.id=GPU-a}")
		wantNone(t, got, "nvidia.gpu.pcie.throughput{hw.id=GPU-a,network.io.direction=receive}")
		wantNone(t, got, "hw.network.io{hw.id=GPU-a/nvlink/0,hw.parent=GPU-a,network.io.direction=receive}")
		want(t, got, "hw.network.up{hw.id=GPU-a/nvlink/0,hw.parent=GPU-a}", 1)
		for series := range got {
			if len(series) > 26 && series[:26] == "nvidia.gpu.process.memory." {
				t.Errorf("got %s, want no processes", series)
			}
		}
	})
}

func TestDevicesPartsAndErrorsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &script{}
		for i := range 100 {
			src.gpus = append(src.gpus, newCard("GPU-"+string(rune('A'+i)), func(tier Tier, s *Sample) error {
				if tier == Slow && i == 0 {
					for n := range 500 {
						s.Part(Link, n).Set(LinkUp, 1)
						s.Part(Link, n).Set(LinkUp, 0) // told twice: the first counts
					}
				}
				for r := range Reading(30) {
					if tier == Fast && i == 0 {
						s.Miss(r, Failed, "word "+strconv.Itoa(int(r)))
					}
				}
				return nil
			}))
		}
		p := start(t, src)
		defer p.stop()
		time.Sleep(65 * time.Second)
		counts := map[string]int{}
		for series, v := range p.collect() {
			for _, prefix := range []string{"nvidia.gpu.up{", "hw.network.up{", "nvidia.gpu.sampler.errors{"} {
				if len(series) > len(prefix) && series[:len(prefix)] == prefix {
					counts[prefix]++
					if prefix == "hw.network.up{" && v != 1 {
						t.Errorf("%s: got %v, want what was told first", series, v)
					}
				}
			}
		}
		for prefix, want := range map[string]int{
			"nvidia.gpu.up{": maxDevices, "hw.network.up{": maxParts, "nvidia.gpu.sampler.errors{": maxErrors,
		} {
			if counts[prefix] != want {
				t.Errorf("%s…: got %d series, want %d", prefix, counts[prefix], want)
			}
		}
	})
}
