//go:build linux && cgo && (amd64 || arm64) && !nonvml

package nvml

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	upstream "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

func TestFault_H01_WithoutALibraryThereIsAReasonAndNothingEndsTheProcess(t *testing.T) {
	if os.Getenv(envChild) != t.Name() {
		inProcess(t, "/nonexistent/libnvidia-ml.so.1")
		return
	}
	path := os.Getenv(envLibrary)
	source := Source(WithLibraryPath(path)).(*source)
	for range 3 {
		_, err := source.Open(t.Context())
		got := mustBeUnavailable(t, err, gpumetrics.DriverLibraryNotFound)
		if got.Terminal || !strings.Contains(got.Text, path) || !strings.Contains(got.Text, "utility") {
			t.Errorf("got %+v, want what was looked for and what to do", got)
		}
		closeWithin(t, source, time.Second)
	}
	// Every function of go-nvml, asked of a library that was never loaded.
	raw := upstream.New(upstream.WithLibraryPath(path))
	if got := raw.Init(); got != upstream.ERROR_LIBRARY_NOT_FOUND {
		t.Errorf("init: got %d, want %d", got, upstream.ERROR_LIBRARY_NOT_FOUND)
	}
	if _, got := raw.SystemGetDriverVersion(); got != upstream.ERROR_FUNCTION_NOT_FOUND {
		t.Errorf("a call without a library: got %d, want %d", got, upstream.ERROR_FUNCTION_NOT_FOUND)
	}
	if _, got := raw.DeviceGetCount(); got != upstream.ERROR_FUNCTION_NOT_FOUND {
		t.Errorf("a call without a library: got %d, want %d", got, upstream.ERROR_FUNCTION_NOT_FOUND)
	}
	if got := raw.ErrorString(upstream.ERROR_UNKNOWN); got == "" {
		t.Error("an error's text without a library: got none")
	}
	if n, _ := source.libs[path].number(callCount); n != (numbers{}) {
		t.Errorf("a gated call after a failed open: got %v, want nothing", n)
	}
}

func TestFault_H03_AnOldDriverLacksReadingsAndNothingElse(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		_, devices := s.open()
		if len(devices) != 8 {
			t.Fatalf("got %d devices, want 8", len(devices))
		}
		sample(t, devices[0], gpumetrics.Once)
		for range 2 {
			fast := sample(t, devices[0], gpumetrics.Fast)
			wantValue(t, fast, gpumetrics.UtilizationGeneral, 0.97)
			wantValue(t, fast, gpumetrics.MemoryUsed, 20<<30+500<<20) // what the driver reserves is not told apart
			wantValue(t, fast, gpumetrics.ClockEventSWPowerCap, 1)
			wantAbsent(t, fast, gpumetrics.MemoryReserved, gpumetrics.TemperatureMargin, gpumetrics.SMUtilization)
			sample(t, devices[0], gpumetrics.Slow)
		}
		if _, err := s.source().NextEvent(within(t, time.Millisecond)); !errors.Is(err, gpumetrics.ErrNoEvent) {
			t.Errorf("events before the open: got %v, want %v", err, gpumetrics.ErrNoEvent)
		}
		source, _ := s.open()
		if _, err := source.NextEvent(t.Context()); !errors.Is(err, gpumetrics.ErrUnsupported) {
			t.Errorf("events: got %v, want %v", err, gpumetrics.ErrUnsupported)
		}
		// Without the gate, the step between go-nvml and the library says the same.
		h := devices[0].(*device).h.(*adapterHandle)
		if _, got := h.device.GetMarginTemperature(); got != upstream.ERROR_FUNCTION_NOT_FOUND {
			t.Errorf("a missing function: got %d, want %d", got, upstream.ERROR_FUNCTION_NOT_FOUND)
		}
	}, "-DOLD")
}

func TestFault_H04_AnInitThatHangsIsStartedOnce(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		s.set("init_hang=1")
		source := s.source()
		before := status(t, "Threads")
		for range 20 {
			_, err := source.Open(within(t, 10*time.Millisecond))
			mustBeUnavailable(t, err, gpumetrics.DriverWedged)
		}
		if got := s.calls("init"); got != 1 {
			t.Errorf("nvmlInit was called %d times, want once", got)
		}
		if got := status(t, "Threads"); got > before+4 {
			t.Errorf("got %d threads, had %d", got, before)
		}
		s.set("init_hang=0")
		devices, err := source.Open(t.Context()) // it takes what the first one opened
		if err != nil || len(devices) != 8 {
			t.Fatalf("got %d devices, %v, want 8", len(devices), err)
		}
		if got := s.calls("init"); got != 1 {
			t.Errorf("nvmlInit was called %d times, want once", got)
		}
		closeWithin(t, source, time.Second)
		s.await("shutdown", 1)
	})
}

func TestFault_H04_AnOpenThatNobodyWaitsForIsClosedWhenItReturns(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		s.set("init_hang=1")
		source := s.source()
		_, err := source.Open(within(t, 10*time.Millisecond))
		mustBeUnavailable(t, err, gpumetrics.DriverWedged)
		if err := source.Close(within(t, 10*time.Millisecond)); err == nil {
			t.Error("close while the open hangs: got no error")
		}
		_, err = source.Open(within(t, 10*time.Millisecond))
		mustBeUnavailable(t, err, gpumetrics.DriverWedged)
		s.set("init_hang=0")
		s.await("shutdown", 1)
		if devices, err := source.Open(t.Context()); err != nil || len(devices) != 8 {
			t.Fatalf("got %d devices, %v, want 8", len(devices), err)
		}
		closeWithin(t, source, time.Second)
	})
}

func TestFault_H04_ACallThatHangsKeepsTheLibraryOpenAndNobodyWaiting(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		source := s.source()
		devices, err := source.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.set("hang=4") // the third GPU
		returned := make(chan error, 1)
		go func() { returned <- devices[2].Sample(gpumetrics.Fast, new(gpumetrics.Sample)) }()
		s.await("hang", 1)
		wantValue(t, sample(t, devices[3], gpumetrics.Fast), gpumetrics.UtilizationGeneral, 0.97)

		if err := source.Close(within(t, 20*time.Millisecond)); err == nil {
			t.Error("close while a call hangs: got no error")
		}
		_, err = source.Open(within(t, 20*time.Millisecond))
		mustBeUnavailable(t, err, gpumetrics.DriverWedged)
		if err := devices[3].Sample(gpumetrics.Fast, new(gpumetrics.Sample)); !errors.Is(err, gpumetrics.ErrReopen) {
			t.Errorf("a sample after close: got %v, want %v", err, gpumetrics.ErrReopen)
		}
		if s.calls("shutdown") != 0 || s.calls("init") != 1 {
			t.Error("the library was shut down or opened under a call that hangs")
		}
		s.set("hang=0")
		if err := <-returned; err != nil {
			t.Errorf("the call that hung: %v", err)
		}
		s.await("shutdown", 1)
		if _, err := source.Open(t.Context()); err != nil {
			t.Errorf("open after the call has returned: %v", err)
		}
		closeWithin(t, source, time.Second)
	})
}

func TestFault_H05_ALostGPUIsToldAndLeftAloneAndTheOthersGoOn(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		_, devices := s.open()
		s.set("lost=2")
		for range 2 {
			if err := devices[1].Sample(gpumetrics.Fast, new(gpumetrics.Sample)); !errors.Is(err, gpumetrics.ErrLost) {
				t.Errorf("the lost GPU: got %v, want %v", err, gpumetrics.ErrLost)
			}
		}
		wantValue(t, sample(t, devices[0], gpumetrics.Fast), gpumetrics.UtilizationGeneral, 0.97)
		s.set("lost=0")
		if err := devices[1].Sample(gpumetrics.Fast, new(gpumetrics.Sample)); !errors.Is(err, gpumetrics.ErrLost) {
			t.Errorf("the lost GPU was asked again: got %v", err)
		}
		s.set("lost=2")
		_, rest := s.open()
		ids := make([]string, len(rest))
		for i, d := range rest {
			ids[i] = d.Info().ID
		}
		if len(rest) != 7 || slices.Contains(ids, devices[1].Info().ID) {
			t.Errorf("opened anew: got %v, want all but the lost GPU", ids)
		}
		s.set("lost=255")
		_, err := s.source().Open(t.Context())
		mustBeUnavailable(t, err, gpumetrics.DriverFailed)
	})
}

func TestFault_H05_AFieldThatSaysLostIsEnough(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		_, devices := s.open()
		s.set("lost_field=1")
		if err := devices[0].Sample(gpumetrics.Fast, new(gpumetrics.Sample)); !errors.Is(err, gpumetrics.ErrLost) {
			t.Errorf("got %v, want %v", err, gpumetrics.ErrLost)
		}
	})
}

func TestFault_H06_GPUsAreKnownByTheirUUID(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		_, devices := s.open()
		s.set("reverse=1")
		_, turned := s.open()
		if first, last := devices[0].Info(), turned[7].Info(); first.ID != last.ID || first.Index != 0 || last.Index != 7 {
			t.Errorf("got %s at %d and %s at %d, want the same GPU at 0 and 7", first.ID, first.Index, last.ID, last.Index)
		}
		s.set("count=7")
		if err := devices[0].Sample(gpumetrics.Slow, new(gpumetrics.Sample)); !errors.Is(err, gpumetrics.ErrReopen) {
			t.Errorf("a GPU less: got %v, want %v", err, gpumetrics.ErrReopen)
		}
		if err := devices[1].Sample(gpumetrics.Fast, new(gpumetrics.Sample)); !errors.Is(err, gpumetrics.ErrReopen) {
			t.Errorf("another GPU: got %v, want %v", err, gpumetrics.ErrReopen)
		}
	})
}

func TestFault_H06_ADividedGPUHasPartsAndADivisionThatChangesIsSeen(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		s.set("mig=1")
		_, devices := s.open()
		if len(devices) != 10 {
			t.Fatalf("got %d devices, want 8 GPUs and 2 parts", len(devices))
		}
		gpu, part := devices[0].Info(), devices[1].Info()
		if part.Parent != gpu.ID || !strings.HasPrefix(part.ID, "MIG-") || part.MIGProfile != "3g.40gb" || part.MIGGPUInstance != 1 || !gpu.MIGEnabled {
			t.Errorf("got %+v of %+v", part, gpu)
		}
		fast := sample(t, devices[1], gpumetrics.Fast)
		wantValue(t, fast, gpumetrics.MemoryUsed, 5<<30)
		wantAbsent(t, fast, gpumetrics.UtilizationGeneral, gpumetrics.Power)
		wantValue(t, sample(t, devices[0], gpumetrics.Slow), gpumetrics.MIGInstances, 2)
		s.set("mig=1", "mig_generation=1")
		if err := devices[0].Sample(gpumetrics.Slow, new(gpumetrics.Sample)); !errors.Is(err, gpumetrics.ErrReopen) {
			t.Errorf("other parts: got %v, want %v", err, gpumetrics.ErrReopen)
		}
		s.set("mig=0")
		_, devices = s.open()
		wantValue(t, sample(t, devices[0], gpumetrics.Slow), gpumetrics.MIGInstances, 0)
		s.set("mig=1")
		if err := devices[0].Sample(gpumetrics.Slow, new(gpumetrics.Sample)); !errors.Is(err, gpumetrics.ErrReopen) {
			t.Errorf("MIG switched on: got %v, want %v", err, gpumetrics.ErrReopen)
		}
	})
}

func TestFault_H07_WhatCannotBeIsAbsent(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		_, devices := s.open()
		s.set("absurd=1")
		for _, tier := range []gpumetrics.Tier{gpumetrics.Once, gpumetrics.Fast, gpumetrics.Fast, gpumetrics.Slow} {
			got := sample(t, devices[0], tier)
			// States of the setup that are told as 0 or 1 have no absurd value.
			for r := gpumetrics.UtilizationGeneral; r < gpumetrics.MIGInstances; r++ {
				if v, ok := got.Value(r); ok {
					t.Errorf("tier %d, reading %d: got %v, want none", tier, r, v)
				}
				if n, ok := got.Count(r); ok {
					t.Errorf("tier %d, count %d: got %d, want none", tier, r, n)
				}
			}
		}
		s.set("absurd=0") // nothing of that was taken as the GPU's nature
		wantValue(t, sample(t, devices[0], gpumetrics.Fast), gpumetrics.Power, 629)
	})
}

func TestFault_H08_AnInitThatFailsSaysWhyAndWhatToDo(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		for _, test := range []struct {
			ret      string
			want     gpumetrics.DriverState
			text     string
			terminal bool
		}{
			{"4", gpumetrics.DriverNoPermission, "/dev/nvidia", false},
			{"9", gpumetrics.DriverNotLoaded, "modprobe", false},
			{"18", gpumetrics.DriverMismatch, "restart", true},
			{"28", gpumetrics.DriverNoDevices, "no GPU", false},
			{"999", gpumetrics.DriverFailed, "NVML_ERROR_UNKNOWN", false},
			{"77", gpumetrics.DriverFailed, "77", false},
		} {
			s.set("init=" + test.ret)
			_, err := s.source().Open(t.Context())
			got := mustBeUnavailable(t, err, test.want)
			if got.Terminal != test.terminal || !strings.Contains(got.Text, test.text) {
				t.Errorf("init returns %s: got %+v, want a text with %q, terminal %t", test.ret, got, test.text, test.terminal)
			}
		}
		s.set("count=0")
		_, err := s.source().Open(t.Context())
		mustBeUnavailable(t, err, gpumetrics.DriverNoDevices)
		if s.calls("errorstring") != 0 {
			t.Error("the library was asked for an error's text")
		}
	})
}

func TestFault_H08_ADriverUpgradeIsSeenBeforeItFails(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		module := "590.48.01"
		source := s.source(func(c *config) { c.version = func() string { return module } })
		devices, err := source.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sample(t, devices[0], gpumetrics.Slow)
		module = "610.57.04"
		if err := devices[0].Sample(gpumetrics.Slow, new(gpumetrics.Sample)); !errors.Is(err, gpumetrics.ErrReopen) {
			t.Errorf("another module: got %v, want %v", err, gpumetrics.ErrReopen)
		}
		closeWithin(t, source, time.Second)
		_, err = source.Open(t.Context())
		got := mustBeUnavailable(t, err, gpumetrics.DriverMismatch)
		if !got.Terminal || !strings.Contains(got.Text, "590.48.01 and 610.57.04") {
			t.Errorf("got %+v, want both versions", got)
		}
		if s.calls("init") != 1 {
			t.Error("the old library was initialised with the new module")
		}
	})
}

func TestFault_H08_ADeniedFieldIsNotTakenForMissing(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		s.set("denied=1")
		_, devices := s.open()
		wantAbsent(t, sample(t, devices[0], gpumetrics.Fast), gpumetrics.PowerAverage)
		s.set("denied=0")
		wantValue(t, sample(t, devices[0], gpumetrics.Fast), gpumetrics.PowerAverage, 620)
	})
}

func TestFault_H10_AGPUThatHangsCostsOneThread(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		source, devices := s.open()
		before := status(t, "Threads")
		s.set("hang=1")
		returned := make(chan error, 1)
		go func() { returned <- devices[0].Sample(gpumetrics.Fast, new(gpumetrics.Sample)) }()
		s.await("hang", 1)
		for range 50 {
			_ = source.Close(within(t, time.Millisecond))
			_, _ = source.Open(within(t, time.Millisecond))
		}
		if got := status(t, "Threads"); got > before+4 {
			t.Errorf("got %d threads, had %d", got, before)
		}
		if got := s.calls("hang"); got != 1 {
			t.Errorf("%d calls hang, want 1", got)
		}
		s.set("hang=0")
		if err := <-returned; err != nil {
			t.Errorf("the call that hung: %v", err)
		}
	})
}

func TestFault_H02_WithoutCgoOrByTagThereIsAProgramWithoutGPUs(t *testing.T) {
	for name, test := range map[string]struct {
		tags string
		env  []string
	}{
		"without cgo":  {"", []string{"CGO_ENABLED=0"}},
		"with the tag": {"nonvml", nil},
	} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "program")
			build := exec.CommandContext(t.Context(), "go", "build", "-tags", test.tags, "-o", program, "./testdata/program")
			build.Env = append(os.Environ(), test.env...)
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			out, err := exec.CommandContext(t.Context(), program, "libnvidia-ml.so.1").CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != string(gpumetrics.DriverNotCompiled) {
				t.Errorf("got %q, %v, want %s", got, err, gpumetrics.DriverNotCompiled)
			}
		})
	}
}
