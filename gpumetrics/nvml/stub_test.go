//go:build linux && cgo && (amd64 || arm64) && !nonvml

package nvml

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// The variables by which a test tells its sub-process what to do.
const (
	envChild   = "OTELVLLM_NVML_CHILD"
	envControl = "NVML_STUB"
	envLibrary = "OTELVLLM_NVML_LIBRARY"
)

// stub plays the driver's library in this process, which a test runs in: its functions really are
// found by the loader, crash, hang or are missing.
type stub struct {
	t       *testing.T
	library string
	control string
}

// withStub runs the test in a process of its own, since what goes wrong in a C library ends it. The
// library is built with these flags.
func withStub(t *testing.T, test func(t *testing.T, s stub), flags ...string) {
	t.Helper()
	if os.Getenv(envChild) == t.Name() {
		test(t, stub{t, os.Getenv(envLibrary), os.Getenv(envControl)})
		return
	}
	t.Parallel()
	inProcess(t, buildStub(t, flags...))
}

// inProcess runs the test of that name again in a process of its own.
func inProcess(t *testing.T, library string, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	again := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.timeout=90s")
	again.Env = append(append(os.Environ(), env...),
		"GORACE=atexit_sleep_ms=0", // else each process waits a second for reports
		envChild+"="+t.Name(), envLibrary+"="+library, envControl+"="+filepath.Join(t.TempDir(), "control"))
	if out, err := again.CombinedOutput(); err != nil {
		t.Fatalf("the process with the library: %v\n%s", err, out)
	}
}

// buildStub builds testdata/stub.c, or skips the test where there is no C compiler.
func buildStub(t testing.TB, flags ...string) string {
	t.Helper()
	compiler, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("there is no gcc, with which the test builds a library that stands in for NVIDIA's")
	}
	library := filepath.Join(t.TempDir(), "libnvidia-ml.so.1")
	args := append(flags, "-Wall", "-Wextra", "-Werror", "-DNVML_NO_UNVERSIONED_FUNC_DEFS=1", "-shared", "-fPIC",
		"-I"+filepath.Join(goNVML(t), "pkg/nvml"), "-o", library, "testdata/stub.c")
	if out, err := exec.CommandContext(t.Context(), compiler, args...).CombinedOutput(); err != nil {
		t.Fatalf("build testdata/stub.c: %v\n%s", err, out)
	}
	return library
}

var goNVMLDir = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/NVIDIA/go-nvml").Output()
	return strings.TrimSpace(string(out)), err
})

// goNVML returns where go-nvml's sources are.
func goNVML(t testing.TB) string {
	t.Helper()
	dir, err := goNVMLDir()
	if err != nil || dir == "" {
		t.Fatalf("find go-nvml's sources: %v", err)
	}
	return dir
}

// set replaces what the library is told to do: "key=value" each.
func (s stub) set(lines ...string) {
	s.t.Helper()
	// A rename, so that the library never reads a half-written file.
	next := s.control + ".next"
	if err := os.WriteFile(next, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(next, s.control); err != nil {
		s.t.Fatal(err)
	}
}

// calls returns how often the library was called so.
func (s stub) calls(what string) (n int) {
	s.t.Helper()
	log, err := os.ReadFile(s.control + ".log")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.HasPrefix(line, what) {
			n++
		}
	}
	return n
}

// await waits until the library was called so often.
func (s stub) await(what string, n int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d × %s", n, what), func() bool { return s.calls(what) >= n })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

// source returns a source of the library. The machine that the test runs on may have a driver of
// another version, which is not looked at.
func (s stub) source(opts ...Option) *source {
	noModule := func(c *config) { c.version = func() string { return "" } }
	return Source(append([]Option{WithLibraryPath(s.library), noModule}, opts...)...).(*source)
}

// open opens the source and closes it when the test ends.
func (s stub) open(opts ...Option) (*source, []gpumetrics.Device) {
	s.t.Helper()
	source := s.source(opts...)
	devices, err := source.Open(s.t.Context())
	if err != nil {
		s.t.Fatalf("open: %v", err)
	}
	s.t.Cleanup(func() { closeWithin(s.t, source, 10*time.Second) })
	return source, devices
}

func closeWithin(t *testing.T, source gpumetrics.Source, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := source.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// within returns a context for calls that hang.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// status returns a number of /proc/self/status.
func status(t *testing.T, key string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("this system has no /proc/self/status")
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("/proc/self/status has no %s", key)
	return 0
}

func mustBeUnavailable(t *testing.T, err error, want gpumetrics.DriverState) gpumetrics.UnavailableError {
	t.Helper()
	var got *gpumetrics.UnavailableError
	if !errors.As(err, &got) {
		t.Fatalf("open: got %v, want an UnavailableError", err)
	}
	if got.State != want {
		t.Fatalf("open: got state %s (%s), want %s", got.State, got.Text, want)
	}
	return *got
}

// sample takes a sample that must not fail.
func sample(t *testing.T, d gpumetrics.Device, tier gpumetrics.Tier) *gpumetrics.Sample {
	t.Helper()
	s := new(gpumetrics.Sample)
	if err := d.Sample(tier, s); err != nil {
		t.Fatalf("sample: %v", err)
	}
	return s
}

func wantValue(t *testing.T, s *gpumetrics.Sample, r gpumetrics.Reading, want float64) {
	t.Helper()
	if got, ok := s.Value(r); !ok || math.Abs(got-want) > 1e-6*math.Abs(want) {
		t.Errorf("reading %d: got %v, %t, want %v", r, got, ok, want)
	}
}

func wantCount(t *testing.T, s *gpumetrics.Sample, r gpumetrics.Reading, want uint64) {
	t.Helper()
	if got, ok := s.Count(r); !ok || got != want {
		t.Errorf("count %d: got %d, %t, want %d", r, got, ok, want)
	}
}

func wantAbsent(t *testing.T, s *gpumetrics.Sample, readings ...gpumetrics.Reading) {
	t.Helper()
	for _, r := range readings {
		if got, ok := s.Value(r); ok {
			t.Errorf("reading %d: got %v, want none", r, got)
		}
	}
}
