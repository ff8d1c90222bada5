package watchdog

import (
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// GPU is one reading of a GPU on this host. What is not known is not Known.
type GPU struct {
	// ID names the GPU, as its index or UUID.
	ID string `json:"id"`
	// Utilization is the share of time with work on the GPU, MemoryRatio the share of its memory
	// that is used, and PowerRatio its power as a share of its limit, each from 0 to 1.
	Utilization engine.Value `json:"utilization"`
	PowerRatio  engine.Value `json:"power_ratio"`
	MemoryRatio engine.Value `json:"memory_ratio"`
	// IdlePowerRatio is the lowest power that was seen, as a share of the limit: about what this card
	// draws when idle. Where it is not known, 30 % of the limit counts as little power.
	IdlePowerRatio engine.Value `json:"idle_power_ratio"`
	// Throttled tells that the clock is held down by heat or by a lack of power. A power cap under
	// full load is usual and does not count.
	Throttled bool `json:"throttled"`
	// Lost tells that the driver has lost the GPU. Wedged tells that a driver call for it has not
	// returned for seconds: it may come back.
	Lost   bool `json:"lost"`
	Wedged bool `json:"wedged"`
	// XID is the code of NVIDIA's last error report that still matters; 0 means none.
	XID int `json:"xid"`
	// Read is when utilization and power were read; zero means not known. GPUs are read one by one and less often than a
	// watchdog looks: what two of them show beside each other is believed once both have been read again.
	Read time.Time `json:"read,omitzero"`
}

// Host is what is known about this host.
type Host struct {
	// CPUBusy is the share of one core that the engine's API server uses, if it runs on this host.
	CPUBusy engine.Value
}

// View is everything a diagnosis may look at, at one moment. Where a part is missing, the rules
// that need it are silent.
type View struct {
	// Now is the time of the look. The ages of requests are counted up to it.
	Now time.Time
	// Requests are the running requests. Those that have ended are passed over.
	Requests []inflight.Status
	// Engines are the engines that serve them; nil means that nothing is known about any.
	Engines []engine.Status
	// GPUs are the GPUs of the engines on this host: of those with a loopback address, or of the
	// only engine there is.
	GPUs []GPU
	// StallAfter is the silence after which a request counts as stalled. Zero means 30 s.
	StallAfter time.Duration
	// Host is this host.
	Host Host

	// first tells when earlier looks first saw a condition that does not tell itself since when it
	// holds. Nil means there were no earlier looks; then such a condition counts as old enough.
	first map[key]time.Time
	// watched stands for Requests in a watchdog's own looks; nil elsewhere.
	watched []waiter
	scratch *scratch // lists to use again, or nil
}

// scratch is the memory of a look that the next one uses.
type scratch struct {
	due    []int
	causes []*condition
}

// key identifies a condition: what is the case, and where. An empty engine means this host, or
// that the engine is not known.
type key struct {
	code   Code
	engine string
}

func (v *View) stallAfter() time.Duration {
	if v.StallAfter > 0 {
		return v.StallAfter
	}
	return DefaultStallAfter
}

// quietSince returns since when a request waits for one thing: for the engine since its last
// progress, or for the caller. While a write to the caller is blocked nobody reads the engine's
// answer, so what the engine did meanwhile is not known.
func quietSince(s *inflight.Status) time.Time {
	return latest(s.LastProgress, s.BlockedSince, s.LastUnblocked)
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
