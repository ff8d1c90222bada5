package health

import (
	"context"
	"os"
	"time"

	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/process"
)

// Times of the readings of this host.
const (
	// hostMaxAge is how old a reading may be that is shown.
	hostMaxAge = time.Second
	// hostEvery is the time between two readings of Run: readers then find a fresh one.
	hostEvery = 900 * time.Millisecond
)

const mebi = 1 << 20

// hostReading is what the operating system tells of this host and this process. Nil is unknown.
type hostReading struct {
	at                   time.Time
	used, total, percent *float64 // MiB, MiB, 0 to 100
	processRAM           *float64 // MiB
	threads              *int64
}

func (h *hostReading) addTo(s *Stats) {
	if h == nil {
		return
	}
	s.SystemRAMUsedMB, s.SystemRAMTotalMB, s.SystemRAMPercent = h.used, h.total, h.percent
	s.ProcessRAMMB, s.ActiveThreads = h.processRAM, h.threads
}

// hostNow returns a reading that is at most a second old, taking one if there is none. Who comes
// while another takes one does not wait for it: nil, where there is none that is fresh.
func (s *Source) hostNow(ctx context.Context) *hostReading {
	if h := s.freshHost(); h != nil {
		return h
	}
	if !s.reading.TryLock() {
		return nil
	}
	defer s.reading.Unlock()
	if h := s.freshHost(); h != nil {
		return h
	}
	return s.takeHost(ctx)
}

func (s *Source) freshHost() *hostReading {
	if h := s.host.Load(); h != nil && time.Since(h.at) <= hostMaxAge {
		return h
	}
	return nil
}

func (s *Source) takeHost(ctx context.Context) *hostReading {
	read := s.readHost
	if read == nil {
		read = readHost
	}
	h := read(ctx)
	h.at = time.Now()
	s.host.Store(&h)
	return &h
}

// readHost asks the operating system. What it does not tell stays unknown.
func readHost(ctx context.Context) (h hostReading) {
	if m, err := mem.VirtualMemoryWithContext(ctx); err == nil && m.Total > 0 {
		h.used, h.total, h.percent = mib(m.Used), mib(m.Total), ptr(tenth(m.UsedPercent))
	}
	self := &process.Process{Pid: int32(os.Getpid())} //nolint:gosec // a process id fits
	if m, err := self.MemoryInfoWithContext(ctx); err == nil && m.RSS > 0 {
		h.processRAM = mib(m.RSS)
	}
	if n, err := self.NumThreadsWithContext(ctx); err == nil && n > 0 {
		h.threads = ptr(int64(n))
	}
	return h
}

func mib(bytes uint64) *float64 { return ptr(tenth(float64(bytes) / mebi)) }

// Run reads this host and this process every second, and looks for the engine's processes every
// ten seconds, until ctx ends; then it returns nil. Without Run the host is read when somebody
// asks, and the engine's processes stay unknown.
func (s *Source) Run(ctx context.Context) error {
	hosts, scans := time.NewTicker(hostEvery), time.NewTicker(scanEvery)
	defer hosts.Stop()
	defer scans.Stop()
	s.sample(ctx)
	s.startScan(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hosts.C:
			s.sample(ctx)
		case <-scans.C:
			s.startScan(ctx)
		}
	}
}

func (s *Source) sample(ctx context.Context) {
	if s.reading.TryLock() {
		defer s.reading.Unlock()
		s.takeHost(ctx)
	}
}
