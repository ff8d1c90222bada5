package nvml

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// slowLibrary takes its time, and fails the test when it is opened twice or shut down under a call.
type slowLibrary struct {
	plainLibrary
	t         *testing.T
	delay     func() time.Duration
	now       atomic.Int32 // how often it is open
	opened    int
	inSampler atomic.Int32
}

func (l *slowLibrary) open() ret {
	<-time.After(l.delay())
	if l.now.Add(1) != 1 {
		l.t.Error("the library was opened while it was open")
	}
	l.opened++
	return retSuccess
}

func (l *slowLibrary) shutdown() ret {
	if l.now.Add(-1) != 0 || l.inSampler.Load() != 0 {
		l.t.Error("the library was shut down when it was not open, or under a call")
	}
	<-time.After(l.delay())
	return retSuccess
}

func (l *slowLibrary) gpu(int) (handle, ret) { return slowGPU{l: l}, retSuccess }

type slowGPU struct {
	plainGPU
	l *slowLibrary
}

func (g slowGPU) number(c call, arg int) (numbers, ret) {
	if c == callUtilization {
		g.l.inSampler.Add(1)
		<-time.After(g.l.delay())
		g.l.inSampler.Add(-1)
	}
	return g.plainGPU.number(c, arg)
}

// TestTheLibraryIsOpenAtMostOnceHoweverImpatientTheCallersAre plays an impatient monitor on a driver
// whose calls take up to a second, for some hours of a clock that is not real.
func TestTheLibraryIsOpenAtMostOnceHoweverImpatientTheCallersAre(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			l := &slowLibrary{t: t, delay: func() time.Duration { return time.Duration(rand.Int64N(int64(time.Second))) }}
			source := Source(func(c *config) {
				c.load = func(string) (library, error) { return l, nil }
				c.version = func() string { return "" }
			})
			for range 200 {
				impatient(t, random, source)
			}
			if err := source.Close(t.Context()); err != nil {
				t.Errorf("close: %v", err)
			}
			if got := l.now.Load(); got != 0 || l.opened < 20 {
				t.Errorf("the library is open %d times after %d opens, want closed", got, l.opened)
			}
		})
	}
}

func impatient(t *testing.T, random *rand.Rand, source gpumetrics.Source) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.Int64N(int64(3*time.Second))))
	defer cancel()
	switch devices, err := source.Open(ctx); {
	case err == nil:
		done := make(chan struct{})
		go func() {
			defer close(done)
			err := devices[0].Sample(gpumetrics.Fast, new(gpumetrics.Sample))
			if err != nil && !errors.Is(err, gpumetrics.ErrReopen) {
				t.Errorf("sample: %v", err)
			}
		}()
		select { // often the sample is still under way when the source is closed or opened again
		case <-done:
		case <-time.After(time.Duration(random.Int64N(int64(time.Second)))):
		}
	case errors.Is(err, context.DeadlineExceeded): // there was no time at all
	default:
		var unavailable *gpumetrics.UnavailableError
		if ctx.Err() == nil || !errors.As(err, &unavailable) || unavailable.State != gpumetrics.DriverWedged {
			t.Errorf("open: got %v, want it to be wedged", err)
		}
	}
	if random.IntN(3) > 0 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.Int64N(int64(3*time.Second))))
		defer cancel()
		if err := source.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
	}
}

func TestAnOpenThatTheCallerGivesUpIsNotTheDriversFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &slowLibrary{t: t, delay: func() time.Duration { return 10 * time.Second }}
		source := Source(func(c *config) {
			c.load = func(string) (library, error) { return l, nil }
			c.version = func() string { return "" }
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if _, err := source.Open(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
		<-time.After(time.Minute)
		if got := l.now.Load(); got != 0 || l.opened != 1 {
			t.Errorf("the library is open %d times after %d opens, want closed after 1", got, l.opened)
		}
		if _, err := source.Open(ctx); !errors.Is(err, context.Canceled) || l.opened != 1 {
			t.Errorf("a context that has ended: got %v and %d opens, want %v and none", err, l.opened, context.Canceled)
		}
		if _, err := source.Open(t.Context()); err != nil {
			t.Error(err)
		}
		if err := source.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestOpeningTwiceClosesTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &slowLibrary{t: t, delay: func() time.Duration { return time.Second }}
		source := Source(func(c *config) {
			c.load = func(string) (library, error) { return l, nil }
			c.version = func() string { return "" }
		})
		var first gpumetrics.Device
		for range 2 {
			devices, err := source.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = devices[0]
			}
		}
		if err := first.Sample(gpumetrics.Fast, new(gpumetrics.Sample)); !errors.Is(err, gpumetrics.ErrReopen) {
			t.Errorf("a device of the first: got %v, want %v", err, gpumetrics.ErrReopen)
		}
		if err := source.Close(t.Context()); err != nil || l.now.Load() != 0 {
			t.Errorf("close: got %v, open %d times, want closed", err, l.now.Load())
		}
	})
}

func TestAnOpenThatEverybodyLeftClosesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &slowLibrary{t: t, delay: func() time.Duration { return time.Minute }}
		source := Source(func(c *config) {
			c.load = func(string) (library, error) { return l, nil }
			c.version = func() string { return "" }
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := source.Open(ctx); err == nil {
			t.Error("open: got no error")
		}
		if err := source.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: got %v, want %v", err, context.DeadlineExceeded)
		}
		<-time.After(5 * time.Minute)
		if got := l.now.Load(); got != 0 || l.opened != 1 {
			t.Errorf("the library is open %d times after %d opens, want closed after 1", got, l.opened)
		}
	})
}

// TestEveryReadingHasATier asks a GPU that answers everything: each reading is told in one tier.
func TestEveryReadingHasATier(t *testing.T) {
	replace := func(c *config) {
		c.load = func(string) (library, error) {
			return &plainLibrary{fakeLibrary{texts: map[call]string{callDriverVersion: "590.1"}}}, nil
		}
		c.version = func() string { return "" }
	}
	devices, err := Source(replace).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tiers := map[gpumetrics.Reading]int{}
	for _, tier := range []gpumetrics.Tier{gpumetrics.Once, gpumetrics.Fast, gpumetrics.Slow} {
		var s gpumetrics.Sample
		for range 2 { // profiling needs two
			devices[0].(*device).gpm.at = time.Time{}
			s.Reset()
			if err := devices[0].Sample(tier, &s); err != nil {
				t.Fatal(err)
			}
		}
		for r := gpumetrics.UtilizationGeneral; r <= gpumetrics.MIGInstances; r++ {
			if _, ok := s.Value(r); ok {
				tiers[r]++
			}
		}
	}
	for r := gpumetrics.UtilizationGeneral; r <= gpumetrics.MIGInstances; r++ {
		// These are the monitor's to compute, and the checks of a fabric that plainGPU says not to make.
		switch r {
		case gpumetrics.MemoryUtilization,
			gpumetrics.FabricRouteRecoveryOK, gpumetrics.FabricRouteHealthOK, gpumetrics.FabricAccessTimeoutOK:
			continue
		}
		if tiers[r] != 1 {
			t.Errorf("reading %d is told in %d tiers, want 1", r, tiers[r])
		}
	}
}

func TestALibraryThatIsNotThereIsSaidInOneLine(t *testing.T) {
	missing := func(c *config) {
		c.load = func(string) (library, error) { return &fakeLibrary{opened: retNoLibrary}, nil }
		c.version = func() string { return "" }
	}
	_, err := Source(missing).Open(t.Context())
	want := "NVIDIA's library was not found (looked for libnvidia-ml.so.1, and in 12 folders where it usually is); " +
		"install the driver, or in a container let NVIDIA_DRIVER_CAPABILITIES contain utility"
	var unavailable *gpumetrics.UnavailableError
	if !errors.As(err, &unavailable) || unavailable.Text != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
