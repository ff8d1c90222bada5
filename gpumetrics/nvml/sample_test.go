package nvml

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// take takes one sample and returns it with its error.
func take(d gpumetrics.Device, tier gpumetrics.Tier) (*gpumetrics.Sample, error) {
	s := new(gpumetrics.Sample)
	err := d.Sample(tier, s)
	return s, err
}

func TestReturnValuesMeanWhatNVMLSays(t *testing.T) {
	for name, test := range map[string]struct {
		ret   ret
		asked int // how often in two samples
		want  error
	}{
		"a call that the GPU does not have is not repeated": {retNotSupported, 1, nil},
		"a missing function is not repeated":                {retNoFunction, 1, nil},
		"another version of the struct is not repeated":     {retArgumentVersion, 1, nil},
		"a denied call is left to the caller to repeat":     {retNoPermission, 2, nil},
		"no data now may be data later":                     {retNoData, 2, nil},
		"a panic in the wrapper is one failed call":         {retPanic, 2, nil},
		"a lost GPU is not asked again":                     {retLost, 1, gpumetrics.ErrLost},
		"a GPU that needs a reset is lost":                  {retResetRequired, 1, gpumetrics.ErrLost},
		"an operating system error is a lost GPU":           {retOS, 1, gpumetrics.ErrLost},
		"a library that was shut down is opened anew":       {retUninitialized, 2, gpumetrics.ErrReopen},
		"a library that does not fit is opened anew":        {retMismatch, 2, gpumetrics.ErrReopen},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			gpu := &fakeGPU{id: "GPU-1", answer: func(c call, _ int) (numbers, ret, bool) {
				if c == callTemperature {
					asked++
					return numbers{}, test.ret, true
				}
				return numbers{50}, retSuccess, c == callUtilization
			}}
			_, devices := openFake(t, &fakeLibrary{gpus: []*fakeGPU{gpu}})
			for range 2 {
				s, err := take(devices[0], gpumetrics.Fast)
				if !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if v, ok := s.Value(gpumetrics.UtilizationGeneral); test.want == nil && (!ok || v != 0.5) {
					t.Errorf("the other readings: got %v, %t, want 0.5", v, ok)
				}
				if _, ok := s.Value(gpumetrics.TemperatureGPU); ok {
					t.Error("a failed call gave a reading")
				}
			}
			if asked != test.asked {
				t.Errorf("asked %d times, want %d", asked, test.asked)
			}
		})
	}
}

func TestAGPUThatFailsThreeTimesInARowIsLeftAloneUntilTheNextSample(t *testing.T) {
	gpu := &fakeGPU{id: "GPU-1", answer: func(call, int) (numbers, ret, bool) { return numbers{}, retUnknown, true }}
	_, devices := openFake(t, &fakeLibrary{gpus: []*fakeGPU{gpu}})
	for range 2 {
		gpu.calls = nil
		if _, err := take(devices[0], gpumetrics.Fast); err != nil {
			t.Errorf("got %v, want no error: it may be well the next time", err)
		}
		if got := len(gpu.calls); got != 3 {
			t.Errorf("asked %d times, want 3", got)
		}
	}
}

func TestOtherSourcesAreAskedOnlyWhereTheFirstTellsNothing(t *testing.T) {
	values := map[uint32]field{83: ulong(9000), 186: {kind: kindUint, bits: 300_000}, 190: ulong(700_000), 94: {kind: kindUint, bits: 5}}
	seconds := map[call]numbers{
		callEnergy: {8000}, callPower: {310_000}, callEnforcedLimit: {650_000}, callPCIeReplay: {4},
		callThrottleReasons: {0x40}, callMemory: {1000, 300, 700},
	}
	gpu := &fakeGPU{id: "GPU-1", values: values, numbers: seconds}
	_, devices := openFake(t, &fakeLibrary{gpus: []*fakeGPU{gpu}})
	s, err := take(devices[0], gpumetrics.Fast)
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := s.Count(gpumetrics.Energy); n != 9000 {
		t.Errorf("energy: got %d, want the field's 9000", n)
	}
	for _, c := range []call{callEnergy, callPower, callEnforcedLimit, callPCIeReplay} {
		if slices.Contains(gpu.calls, c) {
			t.Errorf("call %d was made though the field told", c)
		}
	}
	gpu.values = nil
	s, err = take(devices[0], gpumetrics.Fast)
	if err != nil {
		t.Fatal(err)
	}
	for reading, want := range map[gpumetrics.Reading]float64{
		gpumetrics.Power: 310, gpumetrics.PowerLimitEnforced: 650, gpumetrics.ClockEventHWThermal: 1, gpumetrics.MemoryUsed: 300,
	} {
		if got, ok := s.Value(reading); !ok || got != want {
			t.Errorf("reading %d: got %v, %t, want %v", reading, got, ok, want)
		}
	}
	if n, _ := s.Count(gpumetrics.Energy); n != 8000 {
		t.Errorf("energy: got %d, want the call's 8000", n)
	}
}

func TestTheOlderMemoryCallCountsReservedMemoryAsUsed(t *testing.T) {
	newer := true
	gpu := &fakeGPU{id: "GPU-1", answer: func(c call, _ int) (numbers, ret, bool) {
		switch {
		case c == callMemoryV2 && newer:
			return numbers{1000, 300, 600, 100}, retSuccess, true
		case c == callMemoryV2:
			return numbers{}, retNotReady, true
		case c == callMemory:
			return numbers{1000, 400, 600}, retSuccess, true
		}
		return numbers{}, retSuccess, false
	}}
	_, devices := openFake(t, &fakeLibrary{gpus: []*fakeGPU{gpu}})
	for range 2 {
		s, err := take(devices[0], gpumetrics.Fast)
		if got, ok := s.Value(gpumetrics.MemoryUsed); err != nil || !ok || got != 300 {
			t.Errorf("newer call %t: got %v, %t, %v, want 300 both times", newer, got, ok, err)
		}
		newer = false
	}
}

func TestADriverThatRejectsABatchIsAskedForEachField(t *testing.T) {
	gpu := &fakeGPU{id: "GPU-1", values: map[uint32]field{185: ulong(250_000)}}
	gpu.batch = func(batch []field) (ret, bool) {
		unknown := slices.ContainsFunc(batch, func(f field) bool { return f.id > 250 })
		return retInvalidArgument, unknown
	}
	_, devices := openFake(t, &fakeLibrary{gpus: []*fakeGPU{gpu}})
	for i := range 2 {
		gpu.batches = nil
		s, err := take(devices[0], gpumetrics.Fast)
		if got, ok := s.Value(gpumetrics.PowerAverage); err != nil || !ok || got != 250 {
			t.Errorf("got %v, %t, %v, want 250", got, ok, err)
		}
		if i == 1 && len(gpu.batches) != 1 {
			t.Errorf("the second sample made %d calls, want 1", len(gpu.batches))
		}
	}
}

func TestFieldsAreReadByTheTypeThatTheDriverNames(t *testing.T) {
	for name, test := range map[string]struct {
		f       field
		value   float64
		valid   bool
		count   uint64
		bits    uint8
		counted bool
	}{
		"a double":                      {field{kind: kindDouble, bits: math.Float64bits(2.5)}, 2.5, true, 2, 64, true},
		"a double that is not a number": {field{kind: kindDouble, bits: math.Float64bits(math.NaN())}, 0, false, 0, 0, false},
		"32 bits, dirt above them":      {field{kind: kindUint, bits: 7 | 0xABC<<32}, 7, true, 7, 32, true},
		"32 bits, all ones":             {field{kind: kindUint, bits: 1<<32 - 1}, 1<<32 - 1, true, 0, 32, false},
		"64 bits":                       {field{kind: kindUlonglong, bits: 1 << 40}, 1 << 40, true, 1 << 40, 64, true},
		"64 bits, all ones":             {field{kind: kindUlong, bits: math.MaxUint64}, math.MaxUint64, true, 0, 64, false},
		"a signed number below zero":    {field{kind: kindInt, bits: 1<<32 - 8}, -8, true, 0, 0, false},
		"a long signed number":          {field{kind: kindSlonglong, bits: math.MaxUint64}, -1, true, 0, 0, false},
		"16 bits":                       {field{kind: kindUshort, bits: 9 | 1<<16}, 9, true, 9, 32, true},
		"a type of the future":          {field{kind: 99, bits: 1}, 0, false, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			if v, ok := test.f.value(); ok != test.valid || ok && v != test.value {
				t.Errorf("value: got %v, %t, want %v, %t", v, ok, test.value, test.valid)
			}
			if n, bits, ok := test.f.count(); ok != test.counted || ok && (n != test.count || bits != test.bits) {
				t.Errorf("count: got %d, %d bits, %t, want %d, %d bits, %t", n, bits, ok, test.count, test.bits, test.counted)
			}
		})
	}
}

func TestLinksOfBlackwellAreSummedAndALinkThatGoesDownTakesNothingAway(t *testing.T) {
	down := false
	gpu := &fakeGPU{id: "GPU-1", values: map[uint32]field{91: ulong(3)}}
	gpu.batch = func(batch []field) (ret, bool) {
		if batch[0].id != 202 {
			return retSuccess, false
		}
		for i := range batch {
			f := &batch[i]
			f.kind, f.timestamp, f.bits, f.ret = kindUlonglong, 1, uint64(f.scope+1)*4096, retSuccess
			if down && f.scope == 2 {
				f.ret = retNotSupported
			}
		}
		return retSuccess, true
	}
	_, devices := openFake(t, &fakeLibrary{gpus: []*fakeGPU{gpu}})
	for range 2 {
		s, err := take(devices[0], gpumetrics.Fast)
		if n, ok := s.Count(gpumetrics.LinkTransmit); err != nil || !ok || n != 24 {
			t.Errorf("a link down: %t: got %d KiB, %t, %v, want 24", down, n, ok, err)
		}
		if _, ok := s.Count(gpumetrics.LinkReceive); ok {
			t.Error("received: got a count that no link tells")
		}
		down = true
	}
}

func TestLinksAreToldOneByOneWhereAskedFor(t *testing.T) {
	hopper := map[uint32]field{91: ulong(2), 165: ulong(1), 164: ulong(26562), 138: ulong(100), 139: ulong(200)}
	blackwell := map[uint32]field{91: ulong(2), 165: ulong(1), 164: ulong(53125), 202: ulong(100 << 10), 204: ulong(200 << 10)}
	for name, test := range map[string]struct {
		values map[uint32]field
		asked  bool
		speed  float64
		kib    uint64
	}{
		"not by default":    {hopper, false, 26562e6, 0},
		"up to Hopper":      {hopper, true, 26562e6, 100},
		"from Blackwell on": {blackwell, true, 53125e6, 100},
	} {
		t.Run(name, func(t *testing.T) {
			_, devices := openFake(t, &fakeLibrary{gpus: []*fakeGPU{{id: "GPU-1", values: test.values}}})
			s := new(gpumetrics.Sample)
			s.WantLinkBytes(test.asked)
			err := devices[0].Sample(gpumetrics.Slow, s)
			if err != nil || len(s.Parts()) != 2 {
				t.Fatalf("got %d parts, %v, want 2", len(s.Parts()), err)
			}
			for i := range s.Parts() {
				link := &s.Parts()[i]
				if up, ok := link.Value(gpumetrics.LinkUp); link.Index != i || link.Kind != gpumetrics.Link || !ok || up != 1 {
					t.Errorf("got link %d up %v, %t, want link %d up", link.Index, up, ok, i)
				}
				if speed, _ := link.Value(gpumetrics.LinkBandwidthLimit); speed != test.speed {
					t.Errorf("got %v bytes per second, want %v", speed, test.speed)
				}
				sent, _ := link.Count(gpumetrics.LinkBytesTransmit)
				received, _ := link.Count(gpumetrics.LinkBytesReceive)
				if sent != test.kib || received != 2*test.kib {
					t.Errorf("got %d and %d KiB, want %d and %d", sent, received, test.kib, 2*test.kib)
				}
			}
		})
	}
}

func TestALinkIsAskedByTheOlderCallWhereTheFieldIsNotThere(t *testing.T) {
	gpu := &fakeGPU{id: "GPU-1", values: map[uint32]field{91: ulong(40)}}
	gpu.answer = func(c call, link int) (numbers, ret, bool) {
		switch {
		case c != callLinkState:
			return numbers{}, retSuccess, false
		case link == 33: // not connected
			return numbers{}, retNotSupported, true
		}
		return numbers{uint64(link % 2)}, retSuccess, true
	}
	_, devices := openFake(t, &fakeLibrary{gpus: []*fakeGPU{gpu}})
	for range 2 {
		s, err := take(devices[0], gpumetrics.Slow)
		if err != nil || len(s.Parts()) != 40 {
			t.Fatalf("got %d parts, %v, want 40", len(s.Parts()), err)
		}
		for i := range s.Parts() {
			if up, ok := s.Parts()[i].Value(gpumetrics.LinkUp); ok != (i != 33) || up != float64(i%2) && i != 33 {
				t.Errorf("link %d: got %v, %t", i, up, ok)
			}
		}
	}
}

func TestFansAreToldOneByOne(t *testing.T) {
	gpu := &fakeGPU{id: "GPU-1", answer: func(c call, fan int) (numbers, ret, bool) {
		switch c {
		case callFans:
			return numbers{2}, retSuccess, true
		case callFanSpeed:
			return numbers{uint64(40 + 200*fan)}, retSuccess, true // the second tells what cannot be
		case callFanRPM:
			return numbers{1800}, retSuccess, true
		}
		return numbers{}, retSuccess, false
	}}
	_, devices := openFake(t, &fakeLibrary{gpus: []*fakeGPU{gpu}})
	s, err := take(devices[0], gpumetrics.Slow)
	if err != nil || len(s.Parts()) != 2 || devices[0].Info().Fans != 2 {
		t.Fatalf("got %d parts, %v, want 2 fans", len(s.Parts()), err)
	}
	first, second := &s.Parts()[0], &s.Parts()[1]
	if ratio, ok := first.Value(gpumetrics.FanSpeedRatio); !ok || ratio != 0.4 {
		t.Errorf("got %v, %t, want 0.4", ratio, ok)
	}
	if rpm, ok := first.Value(gpumetrics.FanSpeed); !ok || rpm != 1800 {
		t.Errorf("got %v, %t, want 1800 rpm", rpm, ok)
	}
	if ratio, ok := second.Value(gpumetrics.FanSpeedRatio); ok {
		t.Errorf("got %v, want none of what cannot be", ratio)
	}
}

func TestFabricIsNotAskedOfDriversThatCrashInIt(t *testing.T) {
	for version, want := range map[string]bool{"535.183.01": false, "550.54.15": true, "610.57.04": true, "": false} {
		gpu := &fakeGPU{id: "GPU-1", numbers: map[call]numbers{callFabric: {3, 0b10_01_10}}}
		_, devices := openFake(t, &fakeLibrary{gpus: []*fakeGPU{gpu}, texts: map[call]string{callDriverVersion: version}})
		s, err := take(devices[0], gpumetrics.Slow)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(gpu.calls, callFabric); got != want {
			t.Errorf("driver %q: asked %t, want %t", version, got, want)
		}
		if !want {
			continue
		}
		for reading, want := range map[gpumetrics.Reading]float64{
			gpumetrics.FabricCompleted: 1, gpumetrics.FabricNotStarted: 0, gpumetrics.FabricBandwidthOK: 1, gpumetrics.FabricRouteRecoveryOK: 0,
		} {
			if got, ok := s.Value(reading); !ok || got != want {
				t.Errorf("reading %d: got %v, %t, want %v", reading, got, ok, want)
			}
		}
		if _, ok := s.Value(gpumetrics.FabricAccessTimeoutOK); ok {
			t.Error("a check that the driver does not make has a reading")
		}
	}
}

func TestFault_H09_AFastSampleAsksLittle(t *testing.T) {
	gpu := &fakeGPU{id: "GPU-1", answer: func(call, int) (numbers, ret, bool) { return numbers{1}, retSuccess, true }}
	gpu.values = map[uint32]field{91: ulong(0)}
	for _, row := range fieldRows {
		gpu.values[row.id] = ulong(1)
	}
	_, devices := openFake(t, &fakeLibrary{gpus: []*fakeGPU{gpu}})
	for _, tier := range []gpumetrics.Tier{gpumetrics.Once, gpumetrics.Fast, gpumetrics.Slow} {
		gpu.calls, gpu.batches = nil, nil
		s := new(gpumetrics.Sample) // as a monitor without WithPCIeThroughput makes it
		s.Want(gpumetrics.PCIeThroughputTransmit, false)
		s.Want(gpumetrics.PCIeThroughputReceive, false)
		if err := devices[0].Sample(tier, s); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(gpu.calls, callPCIeThroughput) {
			t.Error("a call that takes 20 ms was made and nobody asked for it")
		}
		if got := len(gpu.calls) + len(gpu.batches); tier == gpumetrics.Fast && got > 14 {
			t.Errorf("a fast sample makes %d calls, want at most 14: %v", got, gpu.calls)
		}
	}
	_, devices = openFake(t, &fakeLibrary{gpus: []*fakeGPU{gpu}})
	gpu.calls = nil
	if s, _ := take(devices[0], gpumetrics.Slow); !slices.Contains(gpu.calls, callPCIeThroughput) {
		t.Error("the call was not made though its reading is wanted")
	} else if v, ok := s.Value(gpumetrics.PCIeThroughputTransmit); !ok || v != 1024 {
		t.Errorf("got %v, %t, want 1024 bytes per second", v, ok)
	}
}

// stuckGPM hangs until it is let go.
type stuckGPM struct{ entered, let chan struct{} }

func (g stuckGPM) take(handle, int) ret {
	close(g.entered)
	<-g.let
	return retSuccess
}
func (stuckGPM) metrics([]gpmMetric) ret { return retSuccess }
func (stuckGPM) free() ret               { return retSuccess }

func TestAGPUDoesNotWaitForTheProfilingOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := stuckGPM{make(chan struct{}), make(chan struct{})}
		var gpus []*fakeGPU
		for _, id := range []string{"GPU-1", "GPU-2"} {
			gpus = append(gpus, &fakeGPU{id: id, numbers: map[call]numbers{callGPMSupport: {1}, callUtilization: {50, 10}}})
		}
		_, devices := openFake(t, &fakeLibrary{gpus: gpus, pair: func() (gpm, ret) { return stuck, retSuccess }})
		done := make(chan error, 1)
		go func() {
			_, err := take(devices[0], gpumetrics.Fast)
			done <- err
		}()
		<-stuck.entered
		for i, most := range []time.Duration{holdPatience, 0, 0} {
			began := time.Now()
			s, err := take(devices[1], gpumetrics.Fast)
			if took := time.Since(began); err != nil || took > most {
				t.Errorf("sample %d took %v, %v, want at most %v", i, took, err, most)
			}
			if v, ok := s.Value(gpumetrics.UtilizationGeneral); !ok || v != 0.5 {
				t.Errorf("got %v, %t, want the readings that need no profiling", v, ok)
			}
		}
		close(stuck.let)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestProcessesAreToldOnce(t *testing.T) {
	gpu := &fakeGPU{id: "GPU-1", list: []process{{10, 100}, {0, 5}, {11, math.MaxUint64}, {10, 100}, {1 << 30, 7}, {12, 5000}}, numbers: map[call]numbers{callMemory: {1000}}}
	_, devices := openFake(t, &fakeLibrary{gpus: []*fakeGPU{gpu}})
	if _, err := take(devices[0], gpumetrics.Fast); err != nil { // tells how much memory there is
		t.Fatal(err)
	}
	got, err := devices[0].(gpumetrics.ProcessLister).Processes([]gpumetrics.Process{{PID: 10}})
	want := []gpumetrics.Process{{PID: 10}, {PID: 10, Memory: 100, KnownMemory: true}, {PID: 11}, {PID: 12}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, test := range []struct {
		ret  ret
		want error
	}{{retNotSupported, gpumetrics.ErrUnsupported}, {retLost, gpumetrics.ErrLost}} {
		gpu.listed = test.ret
		if _, err := devices[0].(gpumetrics.ProcessLister).Processes(nil); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.ret, err, test.want)
		}
	}
}

func TestTheModulesVersionIsFound(t *testing.T) {
	files := map[string]string{}
	read := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, errors.New("no such file")
	}
	const proc = "/proc/driver/nvidia/version"
	for _, test := range []struct{ path, text, want string }{
		{"/sys/module/nvidia/version", "590.48.01\n", "590.48.01"},
		{proc, "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12\nGCC version: gcc 11.4.0", "535.183.01"},
		{proc, "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  590.48.01  Release Build", "590.48.01"},
		{proc, "something else\nGCC version: gcc 11.4.0", ""},
		{"/elsewhere", "1.2", ""},
	} {
		clear(files)
		files[test.path] = test.text
		if got := moduleVersion(read); got != test.want {
			t.Errorf("%s with %q: got %q, want %q", test.path, test.text, got, test.want)
		}
	}
	if got := libraryVersion("13.590.48.01"); got != "590.48.01" {
		t.Errorf("the library's version: got %q", got)
	}
}

func TestNamesOfReturnValuesAreFew(t *testing.T) {
	seen := map[string]bool{}
	for r := range ret(2000) {
		seen[r.String()] = true
		if text := r.text(); text == "" || strings.Contains(text, "_OTHER") {
			t.Errorf("%d has no text for people: %q", int(r), text)
		}
	}
	if len(seen) > 40 {
		t.Errorf("got %d names, want few", len(seen))
	}
}
