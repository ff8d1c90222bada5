//go:build linux && cgo && (amd64 || arm64) && !nonvml

package nvml

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// start runs a monitor of the source until the test ends.
func start(t *testing.T, source gpumetrics.Source, opts ...gpumetrics.Option) *gpumetrics.Monitor {
	t.Helper()
	opts = append(opts, gpumetrics.WithMeterProvider(noop.NewMeterProvider()), gpumetrics.WithInterval(time.Second))
	monitor, err := gpumetrics.New(source, opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- monitor.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return monitor
}

// watch runs a monitor and awaits its first picture of all GPUs.
func watch(t *testing.T, source gpumetrics.Source, opts ...gpumetrics.Option) *gpumetrics.Monitor {
	t.Helper()
	monitor := start(t, source, opts...)
	eventually(t, "all GPUs to be up", func() bool {
		devices := monitor.Latest().Devices
		for _, d := range devices {
			if !d.Up {
				return false
			}
		}
		return len(devices) == 8
	})
	return monitor
}

func TestFault_H10_AMonitorShowsAHangingGPUAndTheOthersGoOn(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes the five seconds after which a monitor calls a GPU wedged")
	}
	withStub(t, func(t *testing.T, s stub) {
		monitor := watch(t, s.source())
		before := status(t, "Threads")
		s.set("hang=4")
		eventually(t, "the third GPU to be wedged", func() bool { return monitor.Latest().Devices[2].Wedged })
		since := time.Now()
		eventually(t, "new samples of the others", func() bool {
			for i, d := range monitor.Latest().Devices {
				if i != 2 && (d.Wedged || !d.Up || d.At.Before(since)) {
					return false
				}
			}
			return true
		})
		if got := s.calls("hang"); got != 1 {
			t.Errorf("%d calls hang, want 1", got)
		}
		if got := status(t, "Threads"); got > before+3 {
			t.Errorf("got %d threads, had %d", got, before)
		}
		if d := monitor.Latest().Devices[2]; d.Up {
			t.Error("the hanging GPU is shown as up")
		}
		s.set("hang=0")
		eventually(t, "the third GPU to be well again", func() bool {
			d := monitor.Latest().Devices[2]
			return d.Up && !d.Wedged && d.At.After(since)
		})
	})
}

func TestFault_H05_AMonitorShowsALostGPUAndItsXID(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		told := make(chan gpumetrics.Event, 1)
		monitor := watch(t, s.source())
		monitor.OnEvent(func(e gpumetrics.Event) {
			select {
			case told <- e:
			default:
			}
		})
		s.set("xid=79", "xid_gpu=5", "lost=32")
		if e := <-told; e.XID != 79 || e.Device != monitor.Latest().Devices[5].Info.ID {
			t.Errorf("got %+v, want XID 79 of the sixth GPU", e)
		}
		eventually(t, "the sixth GPU to be lost and the others up", func() bool {
			lost, up := false, 0
			for _, d := range monitor.Latest().Devices {
				if d.Lost && d.LastXID == 79 {
					lost = true
				}
				if d.Up {
					up++
				}
			}
			return lost && up == 7
		})
	})
}

func TestAMonitorPausesSoThatTheDriverIsFree(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		monitor := watch(t, s.source(), gpumetrics.WithProcesses())
		if err := monitor.Pause(within(t, 10*time.Second)); err != nil {
			t.Fatal(err)
		}
		if opened, shut := s.calls("init"), s.calls("shutdown"); opened != 1 || shut != 1 {
			t.Errorf("the library was opened %d times and shut down %d times, want once each", opened, shut)
		}
		monitor.Resume()
		eventually(t, "the driver to be asked again", func() bool {
			return s.calls("init") == 2 && monitor.Latest().State == gpumetrics.DriverOK
		})
	})
}

func TestFault_H04_AMonitorThatIsPausedWhileInitHangsFreesTheDriver(t *testing.T) {
	withStub(t, func(t *testing.T, s stub) {
		s.set("init_hang=1")
		monitor := start(t, s.source())
		s.await("init", 1)
		_ = monitor.Pause(within(t, 50*time.Millisecond)) // it may say that the driver hangs
		s.set("init_hang=0")
		s.await("shutdown", 1)
		monitor.Resume()
		eventually(t, "the GPUs to be read", func() bool { return monitor.Latest().State == gpumetrics.DriverOK })
		if got := s.calls("init"); got != 2 {
			t.Errorf("nvmlInit was called %d times, want 2", got)
		}
	})
}

// TestTheTableNamesTheCallsThatAreMade compares what gpumetrics writes about a reading with the
// tables by which it is asked for here.
func TestTheTableNamesTheCallsThatAreMade(t *testing.T) {
	monitor := start(t, Source(func(c *config) {
		c.load = func(string) (library, error) { return &plainLibrary{}, nil }
		c.version = func() string { return "" }
	}))
	eventually(t, "the table", func() bool { return len(monitor.Support()) > 0 })
	calls := map[gpumetrics.Reading]string{}
	for _, s := range monitor.Support() {
		calls[s.Reading] = s.Call
	}
	for _, row := range fieldRows {
		reading, want := row.reading, "nvmlDeviceGetFieldValues "+strconv.Itoa(int(row.id))
		if got := calls[reading]; !slices.Contains(strings.FieldsFunc(got, func(r rune) bool { return r == ',' || r == ';' }), want) {
			t.Errorf("reading %d: got %q, want %s", reading, got, want)
		}
	}
	for _, q := range questions {
		for _, o := range q.outputs {
			if got := calls[o.reading]; !q.instead && !strings.Contains(got, symbols[q.call][0]) {
				t.Errorf("reading %d: got %q, want %s", o.reading, got, symbols[q.call][0])
			}
		}
	}
	for _, row := range gpmReadings {
		if got, want := calls[row.reading], "nvmlGpmMetricsGet "+strconv.Itoa(int(row.id)); got != want {
			t.Errorf("reading %d: got %q, want %s", row.reading, got, want)
		}
	}
}
