package sim

import (
	"fmt"
	"net/http"
)

// cohereEmbedRequest is a request of POST /v2/embed.
type cohereEmbedRequest struct {
	Model      string   `json:"model"`
	Texts      []string `json:"texts"`
	InputType  string   `json:"input_type"`
	Dimensions int      `json:"output_dimension"`
}

func (e *Engine) serveCohereEmbed(w http.ResponseWriter, r *http.Request) {
	var req cohereEmbedRequest
	err := decode(r, &req, "model")
	if err == nil {
		err = e.checkModel(req.Model)
	}
	switch {
	case err != nil:
	case req.InputType != "":
		err = &apiError{
			Message: fmt.Sprintf("Unsupported input_type '%s'. This model does not define any input_type task instructions.", req.InputType),
			Type:    "BadRequestError", Code: http.StatusBadRequest,
		}
	case len(req.Texts) == 0:
		err = errValue("texts", "[]", "The input cannot be empty.")
	}
	if err != nil {
		writeError(w, err)
		return
	}
	j := e.newJob(r, "embd-", "")
	for _, text := range req.Texts {
		tokens := textOrTokens{text: text}.prompt()
		if _, err := e.room(&params{}, len(tokens), 1); err != nil {
			writeError(w, err)
			return
		}
		e.addInput(j, tokens)
	}
	e.run(w, r, j, false, &cohereEmbedAnswer{engine: e, job: j, req: &req})
}

// cohereEmbedAnswer is never streamed.
type cohereEmbedAnswer struct {
	engine *Engine
	job    *job
	req    *cohereEmbedRequest
}

func (a *cohereEmbedAnswer) chunks(delta) []any { return nil }
func (a *cohereEmbedAnswer) last() []any        { return nil }

func (a *cohereEmbedAnswer) whole([]delta) any {
	type version struct {
		Version string `json:"version"`
	}
	type units struct {
		Input  int `json:"input_tokens"`
		Images int `json:"image_tokens"`
	}
	type meta struct {
		API    version `json:"api_version"`
		Billed units   `json:"billed_units"`
	}
	var vectors [][]float32
	for _, s := range a.job.seqs {
		vectors = append(vectors, a.engine.vector(s.prompt, min(max(a.req.Dimensions, 0), a.engine.cfg.EmbeddingDim)))
	}
	return struct {
		ID         string                 `json:"id"`
		Embeddings map[string][][]float32 `json:"embeddings"`
		Texts      []string               `json:"texts"`
		Meta       meta                   `json:"meta"`
		Type       string                 `json:"response_type"`
	}{a.job.id, map[string][][]float32{"float": vectors}, a.req.Texts, meta{version{"2"}, units{Input: a.job.tally().prompt}}, "embeddings_by_type"}
}
