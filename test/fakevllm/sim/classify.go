package sim

import "net/http"

// classLabels is the number of classes that the model knows.
const classLabels = 2

// serveClassify answers POST /classify.
func (e *Engine) serveClassify(w http.ResponseWriter, r *http.Request) {
	e.pool(w, r, "classify-", "input", (*poolRequest).inputs, func(a *poolAnswer) any {
		var data []any
		for _, s := range a.job.seqs {
			p := (1 + float64(a.engine.vector(s.prompt, 0)[0])) / classLabels // the first number of a vector of length 1
			label := "LABEL_0"
			if p < 0.5 {
				label = "LABEL_1"
			}
			data = append(data, struct {
				Index  int       `json:"index"`
				Label  string    `json:"label"`
				Probs  []float64 `json:"probs"`
				Number int       `json:"num_classes"`
			}{s.index, label, []float64{p, 1 - p}, classLabels})
		}
		return a.list(data)
	})
}

// serveGenerativeScoring answers POST /generative_scoring, which has a token made for each item and tells how likely a
// label was.
func (e *Engine) serveGenerativeScoring(w http.ResponseWriter, r *http.Request) {
	e.pool(w, r, "generative-scoring-", "items", func(req *poolRequest) (prompts [][]uint32) {
		for _, item := range req.Items {
			prompts = append(prompts, pairOf(req.Query, item))
		}
		return prompts
	}, func(a *poolAnswer) any {
		var data []any
		for i, item := range a.req.Items {
			data = append(data, struct {
				Index  int     `json:"index"`
				Object string  `json:"object"`
				Score  float64 `json:"score"`
			}{i, "score", a.engine.likeness(a.req.Query, item)})
		}
		list := a.list(data)
		list.Usage.CompletionTokens, list.Usage.TotalTokens = len(data), list.Usage.PromptTokens+len(data)
		return list
	})
}
