package nvml

import "os"

// Option changes what [Source] reads.
type Option func(*config)

type config struct {
	path           string
	profiling      bool
	pcieThroughput bool
	links          bool

	// The following are replaced in tests.
	load       func(path string) (library, error)
	candidates []string
	version    func() string // of the kernel module, empty where it is not known
}

func newConfig(opts []Option) config {
	c := config{profiling: true, load: load, candidates: candidates(), version: func() string { return moduleVersion(os.ReadFile) }}
	for _, opt := range opts {
		opt(&c)
	}
	if c.path != "" {
		c.candidates = []string{c.path}
	}
	return c
}

// WithLibraryPath names the file of the library, and no other is tried. By default it is what the
// system's loader finds as libnvidia-ml.so.1, then the places where distributions, the GPU operator
// and WSL put it. This package reads no environment variable; the loader itself heeds LD_LIBRARY_PATH.
func WithLibraryPath(path string) Option { return func(c *config) { c.path = path } }

// WithProfiling says whether the profiling readings of GPM are taken: activity of tensor cores,
// memory and the pipes. They are by default, where the GPU has them (from Hopper on).
func WithProfiling(on bool) Option { return func(c *config) { c.profiling = on } }

// WithPCIeThroughput asks for the PCIe throughput of GPUs that tell it in no other way. Each call
// watches the link for 20 ms, twice for each GPU and slow sample, and holds the driver meanwhile. A
// monitor wants the readings only with gpumetrics.WithPCIeThroughput.
func WithPCIeThroughput() Option { return func(c *config) { c.pcieThroughput = true } }

// WithLinks asks for the bytes of each NVLink, not only of all links together, also where no monitor
// with gpumetrics.WithLinks wants them.
func WithLinks() Option { return func(c *config) { c.links = true } }

// candidates are the files that may be the library, in the order in which they are tried. All are
// places that only an administrator can write to.
func candidates() []string {
	return []string{
		"libnvidia-ml.so.1",
		"/usr/lib64/libnvidia-ml.so.1",
		"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
		"/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
		"/usr/lib/wsl/lib/libnvidia-ml.so.1",
		"/run/opengl-driver/lib/libnvidia-ml.so.1",
		"/usr/local/glibc/usr/lib/libnvidia-ml.so.1",
		"/run/nvidia/driver/usr/lib64/libnvidia-ml.so.1",
		"/run/nvidia/driver/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
		"/run/nvidia/driver/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
		"/host/usr/lib64/libnvidia-ml.so.1",
		"/host/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
		"/host/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
	}
}
