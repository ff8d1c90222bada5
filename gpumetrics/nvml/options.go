package nvml

import "os"

// Option changes how [Source] finds the driver. Which readings it is asked for, the monitor's options say.
type Option func(*config)

type config struct {
	path string

	// The following are replaced in tests.
	load       func(path string) (library, error)
	candidates []string
	version    func() string // of the kernel module, empty where it is not known
}

func newConfig(opts []Option) config {
	c := config{load: load, candidates: candidates(), version: func() string { return moduleVersion(os.ReadFile) }}
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
