package sim

import (
	"encoding/json"
	"net/http"
	"time"
)

type modelList struct {
	Object string  `json:"object"`
	Data   []model `json:"data"`
}

type model struct {
	ID          string          `json:"id"`
	Object      string          `json:"object"`
	Created     int64           `json:"created"`
	OwnedBy     string          `json:"owned_by"`
	Root        string          `json:"root"`
	Parent      json.RawMessage `json:"parent"`
	MaxModelLen int             `json:"max_model_len"`
	Permission  []permission    `json:"permission"`
}

type permission struct {
	ID                 string          `json:"id"`
	Object             string          `json:"object"`
	Created            int64           `json:"created"`
	AllowCreateEngine  bool            `json:"allow_create_engine"`
	AllowSampling      bool            `json:"allow_sampling"`
	AllowLogprobs      bool            `json:"allow_logprobs"`
	AllowSearchIndices bool            `json:"allow_search_indices"`
	AllowView          bool            `json:"allow_view"`
	AllowFineTuning    bool            `json:"allow_fine_tuning"`
	Organization       string          `json:"organization"`
	Group              json.RawMessage `json:"group"`
	IsBlocking         bool            `json:"is_blocking"`
}

// serveModels answers from what the server was started with, so it says 200 whatever the engine does.
func (e *Engine) serveModels(w http.ResponseWriter, _ *http.Request) {
	now := time.Now().Unix()
	list := modelList{Object: "list"}
	for _, id := range append([]string{e.cfg.Model}, e.cfg.Aliases...) {
		list.Data = append(list.Data, model{
			ID: id, Object: "model", Created: now, OwnedBy: "vllm", Root: e.cfg.Model,
			MaxModelLen: e.cfg.MaxModelLen, Permission: []permission{{
				ID:     "modelperm-" + e.newID(),
				Object: "model_permission", Created: now, AllowSampling: true, AllowLogprobs: true, AllowView: true,
				Organization: "*",
			}},
		})
	}
	writeJSON(w, http.StatusOK, list)
}

func (e *Engine) serveVersion(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, struct {
		Version string `json:"version"`
	}{e.cfg.Version})
}

// serveHealth says 200 unless the engine is known to be dead: also while it is wedged, paused or asleep.
func (e *Engine) serveHealth(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	dead := e.stage >= stageErrored
	e.mu.Unlock()
	w.Header().Set("Content-Length", "0")
	if dead {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (e *Engine) serveLoad(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	load := e.front.load
	e.mu.Unlock()
	writeJSON(w, http.StatusOK, struct {
		Load int `json:"server_load"`
	}{load})
}

func (e *Engine) addLoad(n int) {
	if !e.cfg.ServerLoadTracking {
		return
	}
	e.mu.Lock()
	e.front.load += n
	e.mu.Unlock()
}

// tellLoad answers the request header endpoint-load-metrics-format, which load balancers of the ORCA kind send.
func (e *Engine) tellLoad(w http.ResponseWriter, r *http.Request) {
	format := r.Header.Get("Endpoint-Load-Metrics-Format")
	if format == "" {
		return
	}
	e.mu.Lock()
	g := e.cores[0].stats.gauges
	e.mu.Unlock()
	waiting, usage := pythonFloat(float64(g.capacity+g.deferred)), pythonFloat(g.usage)
	switch format {
	case "TEXT":
		w.Header().Set("Endpoint-Load-Metrics", "TEXT named_metrics.kv_cache_usage_perc="+usage+
			", named_metrics.num_requests_waiting="+waiting)
	case "JSON":
		w.Header().Set("Endpoint-Load-Metrics",
			`JSON {"named_metrics": {"num_requests_waiting": `+waiting+`, "kv_cache_usage_perc": `+usage+`}}`)
	}
}
