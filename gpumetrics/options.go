package gpumetrics

import (
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// Defaults of a [Monitor].
const (
	DefaultInterval     = 10 * time.Second
	DefaultSlowInterval = 60 * time.Second
)

// minInterval keeps a setting from asking a driver so often that it slows the GPU's own work:
// driver calls take locks that kernels' launches need too.
const minInterval = time.Second

// Option changes a setting of [New].
type Option func(*config)

type config struct {
	meterProvider metric.MeterProvider
	interval      time.Duration
	slow          time.Duration
	processes     bool
	links         bool
	serial        bool
	throughput    bool
	noProfiling   bool
	proc          string // where the process file system is mounted
}

func newConfig(opts []Option) config {
	c := config{interval: DefaultInterval, slow: DefaultSlowInterval, proc: "/proc"}
	for _, opt := range opts {
		if opt != nil {
			opt(&c)
		}
	}
	if c.meterProvider == nil {
		c.meterProvider = otel.GetMeterProvider()
	}
	c.slow = max(c.slow, c.interval)
	return c
}

// WithMeterProvider sets where the readings go as metrics. The default is the global provider, as it
// is when the monitor is made.
func WithMeterProvider(mp metric.MeterProvider) Option {
	return func(c *config) { c.meterProvider = mp }
}

// WithInterval sets how often the readings of the tier [Fast] are taken. The default is 10 s, the
// least 1 s; zero or less leaves the default.
func WithInterval(d time.Duration) Option {
	return func(c *config) {
		if d > 0 {
			c.interval = max(d, minInterval)
		}
	}
}

// WithSlowInterval sets how often the readings of the tier [Slow] are taken. The default is 60 s; it
// is never less than the fast interval. Zero or less leaves the default.
func WithSlowInterval(d time.Duration) Option {
	return func(c *config) {
		if d > 0 {
			c.slow = d
		}
	}
}

// WithProcesses adds the memory that each process uses, with the role of vLLM's processes. Listing
// processes costs some milliseconds of the driver's time. No argument of a process is ever read.
func WithProcesses() Option { return func(c *config) { c.processes = true } }

// WithLinks adds the bytes of each link to other GPUs; without it they are told for all links of a
// GPU together.
func WithLinks() Option { return func(c *config) { c.links = true } }

// WithSerialNumber adds the serial number of the card to the attributes of nvidia.gpu.info.
func WithSerialNumber() Option { return func(c *config) { c.serial = true } }

// WithPCIeThroughput adds the rates of the PCIe link. Where a GPU has no byte counts for them, each
// reading takes the driver 20 ms and more.
func WithPCIeThroughput() Option { return func(c *config) { c.throughput = true } }

// WithProfiling says whether the readings of the GPU's performance counters are taken where it has
// them (NVIDIA's GPM, from Hopper on). The default is true.
func WithProfiling(on bool) Option { return func(c *config) { c.noProfiling = !on } }
