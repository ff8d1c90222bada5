package sim

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
)

type ranked struct {
	Index    int      `json:"index"`
	Document document `json:"document"`
	Score    float64  `json:"relevance_score"`
}

type document struct {
	Text       string          `json:"text"`
	Multimodal json.RawMessage `json:"multi_modal"`
}

func (e *Engine) serveRerank(w http.ResponseWriter, r *http.Request) {
	e.pool(w, r, "score-", "documents", func(req *poolRequest) (prompts [][]uint32) {
		for _, text := range req.Documents {
			prompts = append(prompts, pairOf(req.Query, text))
		}
		return prompts
	}, (*poolAnswer).ranking)
}

// ranking is the answer of /rerank: the documents that fit the query best come first.
func (a *poolAnswer) ranking() any {
	var results []ranked
	for i, text := range a.req.Documents {
		results = append(results, ranked{i, document{text, null}, a.engine.likeness(a.req.Query, text)})
	}
	slices.SortStableFunc(results, func(a, b ranked) int { return cmp.Compare(b.Score, a.Score) })
	if a.req.TopN > 0 {
		results = results[:min(a.req.TopN, len(results))]
	}
	t := a.job.tally()
	type short struct {
		Prompt int `json:"prompt_tokens"`
		Total  int `json:"total_tokens"`
	}
	return struct {
		ID      string   `json:"id"`
		Model   string   `json:"model"`
		Usage   short    `json:"usage"`
		Results []ranked `json:"results"`
	}{a.job.id, a.engine.cfg.Model, short{t.prompt, t.prompt}, results}
}

// pairOf is a prompt of two texts.
func pairOf(a, b string) []uint32 {
	return appendText(append(appendText([]uint32{tokenBegin}, a), tokenTurnEnd), b)
}

// likeness is 0 to 1, and more for texts that have more tokens in common.
func (e *Engine) likeness(a, b string) float64 {
	u, v := e.vector(appendText(nil, a), 0), e.vector(appendText(nil, b), 0)
	product := 0.0
	for i := range u {
		product += float64(u[i]) * float64(v[i])
	}
	return min(max((product+1)/2, 0), 1)
}
