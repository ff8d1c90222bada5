package watchdog

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// Code names a cause. The set is closed, so a code is safe as a metric attribute.
type Code string

// NoProgress means that nothing known explains the silence; the evidence says what was seen.
const NoProgress Code = "no_progress"

// maxCleared bounds the findings that are kept after they have cleared.
const maxCleared = 32

// remedyNoProgress tells what to do where no cause is known.
const remedyNoProgress = "read the engine's /metrics twice: if vllm:generation_tokens_total stands still while requests run, the engine is wedged " +
	"(its /health stays 200): take py-spy dump of VLLM::EngineCore, then restart it; if it moves, the request waits behind others: " +
	"compare vllm:num_requests_waiting with --max-num-seqs and vllm:kv_cache_usage_perc with 1; VLLM_LOGGING_LEVEL=DEBUG says more"

// Finding is one cause and the requests it holds up.
type Finding struct {
	Code     Code           `json:"code"`
	Since    time.Time      `json:"since"`
	Summary  string         `json:"summary"`
	Remedy   string         `json:"remedy"`
	Evidence map[string]any `json:"evidence"`
	Engine   *string        `json:"engine"`   // the engine's address; null if it is not known
	Requests []string       `json:"requests"` // trace ids
	Cleared  *time.Time     `json:"cleared,omitempty"`
}

// report is what a reader sees: whole, and never changed once published.
type report struct {
	Findings []Finding `json:"findings"`
	Cleared  []Finding `json:"cleared"`
}

// Findings returns what holds requests up now, oldest first. It never waits.
func (w *Watchdog) Findings() []Finding {
	if r := w.state.Load(); r != nil {
		return r.Findings
	}
	return nil
}

// publish makes the current stalls readable: one finding for all requests with the same cause.
func (w *Watchdog) publish() {
	r := &report{Findings: []Finding{}, Cleared: slices.Clone(w.cleared)}
	if r.Cleared == nil {
		r.Cleared = []Finding{}
	}
	slices.Reverse(r.Cleared)
	byCode := make(map[string]*Finding)
	for _, st := range w.stalls {
		f := byCode[st.report.Cause]
		if f == nil {
			f = &Finding{Code: Code(st.report.Cause), Since: st.report.Since, Requests: []string{}}
			byCode[st.report.Cause] = f
		}
		if f.Summary == "" || st.report.Since.Before(f.Since) {
			f.Since, f.Summary, f.Remedy, f.Evidence = st.report.Since, st.report.Summary, st.report.Remedy, st.report.Evidence
		}
		if st.trace != "" {
			f.Requests = append(f.Requests, st.trace)
		}
	}
	for _, f := range byCode {
		slices.Sort(f.Requests)
		r.Findings = append(r.Findings, *f)
	}
	slices.SortFunc(r.Findings, func(a, b Finding) int { return a.Since.Compare(b.Since) })
	w.state.Store(r)
}

func clearedFinding(st *stall, now time.Time) Finding {
	f := Finding{
		Code: Code(st.report.Cause), Since: st.report.Since, Summary: st.report.Summary, Remedy: st.report.Remedy,
		Evidence: st.report.Evidence, Requests: []string{}, Cleared: &now,
	}
	if st.trace != "" {
		f.Requests = append(f.Requests, st.trace)
	}
	return f
}

// summaryNoProgress says in a sentence what was seen.
func summaryNoProgress(s *inflight.Status) string {
	return fmt.Sprintf("%s: the engine has sent nothing for %s", phaseText(s.Phase), s.Silent.Round(100*time.Millisecond))
}

func phaseText(p inflight.Phase) string {
	switch p {
	case inflight.PhaseEngineInit:
		return "waiting for the engine to be ready"
	case inflight.PhaseConnect:
		return "sending the request"
	case inflight.PhaseQueueOrPrefill:
		return "waiting for the first token (queue or prefill)"
	case inflight.PhaseDecode:
		return "waiting for the next token (decode)"
	case inflight.PhaseBody:
		return "waiting for the rest of the answer"
	}
	return "waiting"
}

// evidence lists the readings behind a stall, without any prompt text.
func evidence(s *inflight.Status, now time.Time, moving, running int) map[string]any {
	e := map[string]any{
		"age_seconds": round(s.Age), "silent_seconds": round(s.Silent), "contents": s.Contents, "stream": s.Stream,
		"running_requests": running, "moving_requests": moving,
	}
	if !s.LastKeepAlive.IsZero() {
		e["keep_alive_age_seconds"] = round(now.Sub(s.LastKeepAlive))
	}
	return e
}

func round(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// ServeHTTP answers GET with the findings as JSON: {"findings":[…],"cleared":[…]}, the most recently
// cleared first. It has no access control of its own.
func (w *Watchdog) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		rw.Header().Set("Allow", "GET, HEAD")
		http.Error(rw, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
		return
	}
	state := w.state.Load()
	if state == nil {
		state = &report{Findings: []Finding{}, Cleared: []Finding{}}
	}
	h := rw.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(rw).Encode(state) // the reader has left: nobody to tell
}
