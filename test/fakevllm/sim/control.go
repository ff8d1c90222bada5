package sim

import (
	"encoding/json"
	"net/http"
	"time"
)

// wireFault is a fault as the control endpoint takes it.
type wireFault struct {
	Kind        Kind    `json:"kind"`
	Rank        *int    `json:"rank,omitempty"`
	For         string  `json:"for,omitempty"`
	Factor      float64 `json:"factor,omitempty"`
	Times       int     `json:"times,omitempty"`
	AfterTokens int     `json:"after_tokens,omitempty"`
}

// Control returns the handler that injects faults over HTTP: POST injects the body, such as
//
//	{"kind":"wedge","for":"30s"}
//	{"kind":"hang-decode","times":2,"after_tokens":10}
//
// whose fields are those of Injection. DELETE is Clear, and GET lists the kinds of faults.
func (e *Engine) Control() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet:
			writeJSON(w, http.StatusOK, map[string][]Kind{"engine": engineKinds, "requests": requestKinds})
			return
		case http.MethodDelete:
			e.Clear()
		case http.MethodPost:
			var f wireFault
			d := json.NewDecoder(r.Body)
			d.DisallowUnknownFields()
			if err := d.Decode(&f); err != nil {
				http.Error(w, "decode the fault: "+err.Error(), http.StatusBadRequest)
				return
			}
			var lasts time.Duration
			if f.For != "" {
				var err error
				if lasts, err = time.ParseDuration(f.For); err != nil {
					http.Error(w, "for: "+err.Error(), http.StatusBadRequest)
					return
				}
			}
			err := e.Inject(Injection{Kind: f.Kind, Rank: f.Rank, For: lasts, Factor: f.Factor, Times: f.Times, AfterTokens: f.AfterTokens})
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		default:
			w.Header().Set("Allow", "DELETE, GET, POST")
			http.Error(w, "POST a fault, DELETE all faults, or GET their kinds", http.StatusMethodNotAllowed)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
