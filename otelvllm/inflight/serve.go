package inflight

import (
	"encoding/json"
	"net/http"
)

// ServeHTTP answers GET and HEAD with the running requests, oldest first, and the finished ones,
// newest first, as JSON:
//
//	{"running":[{…}],"recent":[{…}]}
//
// in the form of [Status.MarshalJSON]. It answers from memory and never waits for a request.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "use GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	running, recent := r.all()
	body, err := json.Marshal(struct {
		Running []document `json:"running"`
		Recent  []document `json:"recent"`
	}{documents(running), documents(recent)})
	if err != nil { // a document holds nothing that JSON lacks
		http.Error(w, "encode the requests: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(append(body, '\n')) // a caller who left needs no answer
}

// document is the JSON form of a Status. Pointers are null where the value is unknown.
type document struct {
	TraceID      *string `json:"trace_id"`
	Operation    *string `json:"operation"`
	Model        *string `json:"model"`
	Phase        *string `json:"phase"`
	Age          float64 `json:"age_seconds"`
	Silent       float64 `json:"silent_seconds"`
	OutputTokens *int64  `json:"output_tokens"`
	Stream       *bool   `json:"stream"`
	Stalled      bool    `json:"stalled"`
	Cause        *string `json:"cause"`
	*ending              // left out of a request that runs
}

type ending struct {
	Outcome  *string `json:"outcome"`
	Duration float64 `json:"duration_seconds"`
}

// MarshalJSON encodes the status as an object with the members trace_id, operation, model, phase,
// age_seconds, silent_seconds, output_tokens, stream, stalled and cause, and of a request that has
// ended also outcome and duration_seconds. What is not known is null, and so is the cause of a
// request that is not stalled.
func (s Status) MarshalJSON() ([]byte, error) { return json.Marshal(s.document()) }

func (s *Status) document() document {
	d := document{
		TraceID: known(s.TraceID), Operation: known(s.Operation), Model: known(s.Model), Phase: known(string(s.Phase)),
		Age: s.Age.Seconds(), Silent: s.Silent.Seconds(), Stalled: s.Stall != nil,
	}
	if s.OutputTokens >= 0 {
		d.OutputTokens = &s.OutputTokens
	}
	if s.StreamKnown {
		d.Stream = &s.Stream
	}
	if s.Stall != nil {
		d.Cause = known(s.Stall.Cause)
	}
	if s.Ended {
		d.ending = &ending{Outcome: known(s.Outcome), Duration: s.Duration.Seconds()}
	}
	return d
}

func documents(list []Status) []document {
	docs := make([]document, len(list)) // empty is [], not null
	for i := range list {
		docs[i] = list[i].document()
	}
	return docs
}

// known returns nil for the empty string, which stands for unknown.
func known(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
