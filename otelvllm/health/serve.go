package health

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"

	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// Handler answers GET and HEAD with the document and its summary:
//
//	{"stats":{…},"summary":"…"}
//
// The status is 200 also when something is wrong: the document tells what, and a probe that wants
// a status asks for readiness instead. It answers from memory, and has no access control.
func (s *Source) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "use GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		stats := s.Stats(r.Context())
		body, err := json.Marshal(struct {
			Stats   Stats  `json:"stats"`
			Summary string `json:"summary"`
		}{stats, stats.Summary()})
		if err != nil {
			http.Error(w, "encode the health document: "+err.Error(), http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(append(body, '\n')) // a caller who left needs no answer
	})
}

// encodable copies the findings, without evidence that JSON has no form for, such as a NaN: one odd
// reading must not cost the document.
func encodable(findings []watchdog.Finding) []watchdog.Finding {
	copied := append([]watchdog.Finding{}, findings...) // none is [], not null
	for i := range copied {
		if _, err := json.Marshal(copied[i].Evidence); err != nil {
			copied[i].Evidence = nil
		}
	}
	return copied
}

// finite copies the GPUs, with null for the readings that are no number.
func finite(gpus []GPUStats) []GPUStats {
	copied := slices.Clone(gpus) // nil stays nil
	for i := range copied {
		g := &copied[i]
		for _, p := range []**float64{
			&g.MemoryUsedMB, &g.MemoryTotalMB, &g.MemoryPercent, &g.Utilization, &g.Temperature, &g.Power, &g.PowerLimit,
		} {
			if *p != nil && (math.IsNaN(**p) || math.IsInf(**p, 0)) {
				*p = nil
			}
		}
	}
	return copied
}
