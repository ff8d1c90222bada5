//go:build linux && cgo && (amd64 || arm64) && !nonvml

package nvml

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

func TestAGPUTellsWhatItDoes(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		_, devices := s.open()
		info := devices[3].Info()
		for got, want := range map[string]string{
			info.ID: "GPU-00000003-1111-2222-3333-444444444444", info.Model: "NVIDIA H100 80GB HBM3", info.DriverVersion: "590.48.01",
			info.LibraryVersion: "13.590.48.01", info.RuntimeVersion: "13.1", info.PCIBusID: "0000:1b:00.0", info.Vendor: "NVIDIA", info.Serial: "",
		} {
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if info.Index != 3 || info.Links != 18 || info.Fans != -1 || info.NUMANode != -1 {
			t.Errorf("got %+v, want index 3, 18 links, and nothing of fans and NUMA", info)
		}
		once := sample(t, devices[3], gpumetrics.Once)
		wantValue(t, once, gpumetrics.MarginLimitShutdown, -8)
		wantAbsent(t, once, gpumetrics.TemperatureLimitShutdown)

		s.set("clock=1000", "recovery=4")
		fast := sample(t, devices[3], gpumetrics.Fast)
		for reading, want := range map[gpumetrics.Reading]float64{
			gpumetrics.UtilizationGeneral: 0.97, gpumetrics.MemoryControllerUtilization: 0.41, gpumetrics.MemoryTotal: 80 << 30,
			gpumetrics.MemoryUsed: 20 << 30, gpumetrics.MemoryReserved: 500 << 20, gpumetrics.TemperatureGPU: 61,
			gpumetrics.TemperatureMemory: 72, gpumetrics.TemperatureMargin: 25, gpumetrics.Power: 629, gpumetrics.PowerAverage: 620,
			gpumetrics.PowerLimitEnforced: 700, gpumetrics.ClockSM: 1980e6, gpumetrics.ClockMemory: 2619e6, gpumetrics.PerformanceState: 0,
			gpumetrics.ClockEventSWPowerCap: 1, gpumetrics.ClockEventSWThermal: 1, gpumetrics.ClockEventPowerBrake: 0,
			gpumetrics.RecoveryNone: 0, gpumetrics.RecoveryDrainAndReset: 1,
		} {
			wantValue(t, fast, reading, want)
		}
		wantCount(t, fast, gpumetrics.Energy, 600_000)
		wantCount(t, fast, gpumetrics.PCIeReplay, 9)
		wantCount(t, fast, gpumetrics.LinkTransmit, 18_000)
		wantCount(t, fast, gpumetrics.ECCCorrected, 3)
		wantCount(t, fast, gpumetrics.ClockEventTimePower, 1_000_000)
		wantAbsent(t, fast, gpumetrics.ECCUncorrected, gpumetrics.PCIeTransmit, gpumetrics.SMUtilization)

		slow := sample(t, devices[3], gpumetrics.Slow)
		wantValue(t, slow, gpumetrics.PowerMemory, 85.8)
		wantValue(t, slow, gpumetrics.PowerLimitMin, 200)
		wantValue(t, slow, gpumetrics.RemappedRowsCorrected, 11)
		wantValue(t, slow, gpumetrics.MIGInstances, 0)
		if got := len(slow.Parts()); got != 18 {
			t.Errorf("got %d parts, want 18 links", got)
		}
	})
}

func TestOnlyFieldsThatTheGPUHasAreAskedAgain(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		_, devices := s.open()
		sample(t, devices[0], gpumetrics.Fast)
		first := s.calls("fields 25")
		sample(t, devices[0], gpumetrics.Fast)
		if again := s.calls("fields 11"); first != 1 || again != 1 {
			log, _ := os.ReadFile(s.control + ".log") // for the message only
			t.Errorf("got %d first calls with all 25 fields and %d with the 11 that the GPU has, want 1 and 1:\n%s", first, again, log)
		}
	})
}

func TestProfilingComparesTwoSamples(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		s.set("mig=2")
		source, devices := s.open()
		for _, d := range []gpumetrics.Device{devices[0], devices[2]} { // a GPU, and a part of the next one
			wantAbsent(t, sample(t, d, gpumetrics.Fast), gpumetrics.SMUtilization)
			d.(*device).gpm.at = time.Now().Add(-time.Second)
			fast := sample(t, d, gpumetrics.Fast)
			wantValue(t, fast, gpumetrics.SMUtilization, 0.04)
			wantValue(t, fast, gpumetrics.DRAMBandwidthUtilization, 0.20)
		}
		wantValue(t, sample(t, devices[0], gpumetrics.Slow), gpumetrics.PCIeThroughputReceive, 42<<20)

		devices[0].(*device).xid.Store(true) // as an XID does: what was before cannot be compared
		wantAbsent(t, sample(t, devices[0], gpumetrics.Fast), gpumetrics.SMUtilization)

		closeWithin(t, source, 10*time.Second)
		if made, freed := s.calls("alloc"), s.calls("gpm free"); made != 4 || freed != made {
			t.Errorf("%d GPM samples were made and %d freed, want 4 and 4", made, freed)
		}
		_, plain := s.open()
		unwanted := new(gpumetrics.Sample) // as a monitor with WithProfiling(false) makes it
		for _, m := range gpmReadings {
			unwanted.Want(m.reading, false)
		}
		if err := plain[0].Sample(gpumetrics.Fast, unwanted); err != nil {
			t.Fatal(err)
		}
		if got := s.calls("alloc"); got != 4 {
			t.Error("GPM was used though it was switched off")
		}
	})
}

func TestAnXIDIsToldWithItsGPUAndCode(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		s.set("mig=1")
		source, devices := s.open()
		if _, err := source.NextEvent(within(t, 20*time.Millisecond)); !errors.Is(err, gpumetrics.ErrNoEvent) {
			t.Errorf("got %v, want %v", err, gpumetrics.ErrNoEvent)
		}
		if got := s.calls("register"); got != 8 {
			t.Errorf("%d registrations, want one for each of 8 GPUs and none for parts", got)
		}
		if got := s.calls("register 0 0xa"); got != 1 { // XID and double-bit, of the five types that the GPU can tell
			t.Error("the GPU was registered for other events than those that it can tell and that are watched for")
		}
		s.set("xid=79", "xid_gpu=3")
		e, err := source.NextEvent(t.Context())
		if err != nil || e.XID != 79 || e.Device != "GPU-00000003-1111-2222-3333-444444444444" || e.Time.IsZero() {
			t.Errorf("got %+v, %v, want XID 79 of GPU 3", e, err)
		}
		if !slices.ContainsFunc(devices, func(d gpumetrics.Device) bool { return d.(*device).xid.Load() }) {
			t.Error("no GPU starts its profiling anew")
		}
	})
}

func TestAWaitForEventsThatFailsIsRepeatedWithPauses(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		s.set("wait=999")
		source, _ := s.open()
		for range 5 {
			if _, err := source.NextEvent(within(t, 20*time.Millisecond)); err == nil || !strings.Contains(err.Error(), "NVML_ERROR_UNKNOWN") {
				t.Errorf("got %v, want the wait's error", err)
			}
		}
		if got := s.calls("wait"); got != 1 {
			t.Errorf("%d waits at once, want 1", got)
		}
		if made, freed := s.calls("set"), s.calls("free"); made != 1 || freed != 1 {
			t.Errorf("%d event sets made and %d freed, want 1 and 1", made, freed)
		}
		s.set("wait=0")
		source.current.events.retry = time.Now()
		if _, err := source.NextEvent(within(t, 20*time.Millisecond)); !errors.Is(err, gpumetrics.ErrNoEvent) {
			t.Errorf("after the pause: got %v, want %v", err, gpumetrics.ErrNoEvent)
		}
	})
}

func TestGPUsWithoutEventsSaySo(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		s.set("event_types=0")
		source, _ := s.open()
		if _, err := source.NextEvent(t.Context()); !errors.Is(err, gpumetrics.ErrUnsupported) {
			t.Errorf("got %v, want %v", err, gpumetrics.ErrUnsupported)
		}
		if made, freed := s.calls("set"), s.calls("free"); made != freed {
			t.Errorf("%d event sets made and %d freed", made, freed)
		}
	})
}

func TestProcessesAreListedHoweverManyThereAre(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		_, devices := s.open()
		lister := devices[0].(gpumetrics.ProcessLister)
		s.set("processes=300")
		list, err := lister.Processes(nil)
		if err != nil || len(list) != 300 || list[299].PID != 4299 || list[299].Memory != 70<<30+299 || !list[299].KnownMemory {
			t.Errorf("got %d processes, %v, want 300", len(list), err)
		}
		s.set("absurd=1")
		if list, err := lister.Processes(nil); err != nil || len(list) != 1 || list[0].KnownMemory {
			t.Errorf("got %v, %v, want a process whose memory is not known", list, err)
		}
		// A list that always has more than there is room for would fill this process's memory.
		s.set("grow=1")
		before := s.calls("list")
		if _, err := lister.Processes(nil); err == nil {
			t.Error("a list without end: got no error")
		}
		if got := s.calls("list") - before; got > 17 {
			t.Errorf("asked %d times, want at most 17", got)
		}
	})
}

func TestOpeningAHundredTimesLeaksNothing(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		source := s.source()
		cycle := func() {
			devices, err := source.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			sample(t, devices[0], gpumetrics.Fast)
			_, _ = source.NextEvent(within(t, time.Millisecond))
			closeWithin(t, source, 10*time.Second)
		}
		cycle()
		goroutines, threads, maps, files := runtime.NumGoroutine(), status(t, "Threads"), mappings(t), openFiles(t)
		for range 100 {
			cycle()
		}
		eventually(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines })
		if got := status(t, "Threads"); got > threads+4 {
			t.Errorf("got %d threads, had %d", got, threads)
		}
		if got := mappings(t); got != maps {
			t.Errorf("the library is mapped in %d places, was in %d", got, maps)
		}
		if got := openFiles(t); got > files {
			t.Errorf("got %d open files, had %d", got, files)
		}
		for made, freed := range map[string]string{"init": "shutdown", "set": "free", "alloc": "gpm free"} {
			if a, b := s.calls(made), s.calls(freed); a != b || a < 101 {
				t.Errorf("%d × %s and %d × %s, want as many", a, made, b, freed)
			}
		}
	})
}

// A library that was replaced on disk, as an upgrade of the driver does, is not loaded in place of the
// one that this process has: that is why a module of another version is a reason to restart.
func TestALibraryStaysMappedAfterItWasClosed(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		source := s.source()
		if _, err := source.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		closeWithin(t, source, time.Second)
		if got := mappings(t); got == 0 {
			t.Error("the library was unmapped, so another one can be loaded and DriverMismatch need not be terminal")
		}
	})
}

func mappings(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("libnvidia-ml"))
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// BenchmarkFastSample samples one GPU of the library that stands in for the driver's: what it tells is
// this package's and go-nvml's share of the time.
func BenchmarkFastSample(b *testing.B) {
	source := Source(WithLibraryPath(buildStub(b)))
	devices, err := source.Open(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = source.Close(context.Background()) }) // it ends when the library was shut down
	s := new(gpumetrics.Sample)
	for _, tier := range []gpumetrics.Tier{gpumetrics.Once, gpumetrics.Fast} {
		if err := devices[0].Sample(tier, s); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Reset()
		if err := devices[0].Sample(gpumetrics.Fast, s); err != nil {
			b.Fatal(err)
		}
	}
}
