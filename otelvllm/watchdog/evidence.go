package watchdog

import (
	"bytes"
	"encoding/json"
	"net/http"
	"runtime/pprof"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// What Evidence holds at most.
const (
	maxEvidenceRequests = 1000
	maxEvidenceEngines  = 64
	maxEvidenceRanks    = 64
	maxEvidenceProfile  = 256 << 10
)

// dossier is the JSON form of what the watchdog knows.
type dossier struct {
	Time       time.Time         `json:"time"`
	StallAfter float64           `json:"stall_after_seconds"`
	Findings   []Finding         `json:"findings"`
	Cleared    []Finding         `json:"cleared"`
	Engines    []engine.Status   `json:"engines"`
	GPUs       []GPU             `json:"gpus"`
	Running    int               `json:"running_requests"`
	Requests   []inflight.Status `json:"requests"`   // the oldest 1000
	Goroutines string            `json:"goroutines"` // of this process, the first 256 KiB
}

// Evidence returns what the watchdog knows now as JSON, for a report to whoever runs the engine: the
// findings, the last two readings of each engine, the running requests without any of their text,
// and the goroutines of this process. It is at most a few hundred KiB.
func (w *Watchdog) Evidence() []byte {
	d := dossier{Time: time.Now(), StallAfter: w.threshold().Seconds(), Findings: w.Findings(), Cleared: w.Cleared()}
	if w.Engines != nil {
		engines := w.Engines()
		for _, e := range engines[:min(len(engines), maxEvidenceEngines)] {
			e.Snapshot, e.Before = fewer(e.Snapshot), fewer(e.Before)
			d.Engines = append(d.Engines, e)
		}
	}
	if w.GPUs != nil {
		d.GPUs = w.GPUs()
	}
	d.Requests = w.Registry.Running()
	d.Running = len(d.Requests)
	d.Requests = d.Requests[:min(len(d.Requests), maxEvidenceRequests)]
	profile := &capped{left: maxEvidenceProfile}
	if p := pprof.Lookup("goroutine"); p != nil {
		_ = p.WriteTo(profile, 1) // it ends at the cap
	}
	d.Goroutines = profile.buf.String()
	b, err := json.Marshal(d)
	if err != nil { // a dossier holds nothing that JSON lacks
		b, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	return b
}

// fewer returns the snapshot with its first ranks, without the histograms.
func fewer(s *engine.Snapshot) *engine.Snapshot {
	if s == nil {
		return nil
	}
	c := *s
	c.Ranks = s.Ranks[:min(len(s.Ranks), maxEvidenceRanks)]
	c.TimeToFirstToken, c.InterTokenLatency, c.QueueTime = engine.Histogram{}, engine.Histogram{}, engine.Histogram{}
	return &c
}

// capped keeps the first bytes that are written to it.
type capped struct {
	buf  bytes.Buffer
	left int
}

func (c *capped) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.buf.Write(p[:n])
	c.left -= n
	return len(p), nil
}

// EvidenceHandler answers GET with [Watchdog.Evidence]. It has no access control of its own, and
// looking at all goroutines stops the process for some milliseconds.
func (w *Watchdog) EvidenceHandler() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if onlyGet(rw, r) {
			_, _ = rw.Write(w.Evidence()) // the reader has left: nobody to tell
		}
	})
}
