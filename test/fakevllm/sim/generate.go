package sim

import (
	"encoding/json"
	"net/http"
	"time"
)

// generateRequest is a request of /inference/v1/generate: tokens in, tokens out. Its parameters are in an object of
// their own.
type generateRequest struct {
	Model         string         `json:"model"`
	RequestID     string         `json:"request_id"`
	TokenIDs      []uint32       `json:"token_ids"`
	Sampling      params         `json:"sampling_params"`
	Stream        bool           `json:"stream"`
	StreamOptions *streamOptions `json:"stream_options"`
}

func (e *Engine) serveGenerate(w http.ResponseWriter, r *http.Request) {
	var req generateRequest
	err := decode(r, &req, "token_ids", "sampling_params")
	p := &req.Sampling
	p.Model, p.Stream, p.StreamOptions = req.Model, req.Stream, req.StreamOptions
	if err == nil {
		err = e.check(p)
	}
	room := 0
	if err == nil {
		room, err = e.room(p, len(req.TokenIDs), 16)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	j := e.newJob(r, "generate-tokens-", req.RequestID)
	e.addPrompt(j, req.TokenIDs, p, limits{
		maxTokens: room, minTokens: p.MinTokens, stop: p.Stop, logprobs: -1, temperature: p.Temperature, topP: p.TopP,
	})
	e.run(w, r, j, req.Stream, &generateAnswer{engine: e, job: j, params: p, created: time.Now().Unix()})
}

type generateAnswer struct {
	engine  *Engine
	job     *job
	params  *params
	created int64
}

type tokenChunk struct {
	ID      string        `json:"request_id"`
	Usage   *usage        `json:"usage"`
	Mode    string        `json:"output_mode"`
	Choices []tokenChoice `json:"choices"`
}

type tokenChoice struct {
	Index        int             `json:"index"`
	FinishReason *string         `json:"finish_reason"`
	StopReason   json.RawMessage `json:"stop_reason"`
	TokenIDs     []uint32        `json:"token_ids"`
	Experts      json.RawMessage `json:"routed_experts"`
	Mask         json.RawMessage `json:"sampling_mask"`
	Weights      []weights       `json:"weight_versions"`
	Logprobs     json.RawMessage `json:"logprobs"`
}

// weights says which tokens were made with which version of the model.
type weights struct {
	Version string `json:"version"`
	Start   int    `json:"start"`
	End     int    `json:"end"`
}

type tokenWhole struct {
	ID             string          `json:"request_id"`
	Model          string          `json:"model"`
	Created        int64           `json:"created"`
	Usage          *usage          `json:"usage"`
	PromptLogprobs json.RawMessage `json:"prompt_logprobs"`
	PromptIDProbs  json.RawMessage `json:"prompt_token_id_logprobs"`
	PromptIDs      json.RawMessage `json:"prompt_token_ids"`
	Placeholders   json.RawMessage `json:"mm_placeholders"`
	Metrics        json.RawMessage `json:"metrics"`
	KVTransfer     json.RawMessage `json:"kv_transfer_params"`
	ECTransfer     json.RawMessage `json:"ec_transfer_params"`
	Mode           string          `json:"output_mode"`
	Choices        []tokenChoice   `json:"choices"`
}

func (a *generateAnswer) choice(d delta) tokenChoice {
	c := tokenChoice{Index: d.seq.index, StopReason: stopReason(d), TokenIDs: d.tokens}
	if d.finish != "" {
		c.FinishReason = &d.finish
		c.Weights = []weights{{Version: "default", End: d.total}}
	}
	return c
}

// chunks leaves out, as vLLM does, what has no tokens, be it the end.
func (a *generateAnswer) chunks(d delta) []any {
	if len(d.tokens) == 0 {
		return nil
	}
	c := &tokenChunk{ID: a.job.id, Mode: "tokens", Choices: []tokenChoice{a.choice(d)}}
	if a.engine.streamOptions(a.params).ContinuousUsageStats {
		c.Usage = chunkUsage(d, d.total, true)
		c.Usage.PromptDetails = null
	}
	return []any{c}
}

func (a *generateAnswer) last() []any {
	if !a.engine.streamOptions(a.params).IncludeUsage {
		return nil
	}
	return []any{&tokenChunk{ID: a.job.id, Mode: "tokens", Choices: []tokenChoice{}, Usage: a.engine.lastUsage(a.job.tally(), false)}}
}

func (a *generateAnswer) whole(parts []delta) any {
	w := &tokenWhole{
		ID: a.job.id, Model: a.engine.cfg.Model, Created: a.created, Mode: "tokens",
		Usage: a.engine.fullUsage(a.job.tally(), false),
	}
	for _, d := range parts {
		w.Choices = append(w.Choices, a.choice(d))
	}
	return w
}
