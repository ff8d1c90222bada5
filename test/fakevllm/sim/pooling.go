package sim

import (
	"net/http"
	"time"
)

// poolRequest is what the endpoints take that compute a prompt and generate nothing. Each uses some of it.
type poolRequest struct {
	Model     string     `json:"model"`
	RequestID string     `json:"request_id"`
	Input     promptList `json:"input"`     // /pooling
	Text1     stringList `json:"text_1"`    // /score
	Text2     stringList `json:"text_2"`    // /score
	Query     string     `json:"query"`     // /rerank
	Documents stringList `json:"documents"` // /rerank
	// EncodingFormat is of /pooling: "" and float are JSON, bytes and bytes_only are not.
	EncodingFormat string `json:"encoding_format"`

	TopN  int        `json:"top_n"` // /rerank
	Items stringList `json:"items"` // /generative_scoring
}

// poolAnswer is an answer made of vectors. None is streamed.
type poolAnswer struct {
	engine  *Engine
	job     *job
	req     *poolRequest
	created int64
	build   func(*poolAnswer) any
}

func (a *poolAnswer) whole([]delta) any  { return a.build(a) }
func (a *poolAnswer) chunks(delta) []any { return nil }
func (a *poolAnswer) last() []any        { return nil }

// pool has prompts computed that a request makes, one or more.
func (e *Engine) pool(w http.ResponseWriter, r *http.Request, prefix, required string, prompts func(*poolRequest) [][]uint32, build func(*poolAnswer) any) {
	var req poolRequest
	err := decode(r, &req, required)
	if err == nil {
		err = e.checkModel(req.Model)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	j := e.newJob(r, prefix, req.RequestID)
	for _, tokens := range prompts(&req) {
		if _, err := e.room(&params{}, len(tokens), 1); err != nil {
			writeError(w, err)
			return
		}
		e.addInput(j, tokens)
	}
	if len(j.seqs) == 0 {
		writeError(w, errValue(required, "[]", "The input cannot be empty."))
		return
	}
	e.run(w, r, j, false, &poolAnswer{engine: e, job: j, req: &req, created: time.Now().Unix(), build: build})
}

// poolList is a list with one item for each input.
type poolList struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	Model   string `json:"model"`
	Data    []any  `json:"data"`
	Usage   *usage `json:"usage"`
}

func (a *poolAnswer) list(data []any) *poolList {
	u := a.job.tally().usage()
	u.PromptDetails, u.CompletionDetails = null, null
	return &poolList{ID: a.job.id, Object: "list", Created: a.created, Model: a.engine.cfg.Model, Data: data, Usage: &u}
}

// inputs are the prompts of a request that has one in each element of its input.
func (req *poolRequest) inputs() (prompts [][]uint32) {
	for _, in := range req.Input {
		prompts = append(prompts, in.prompt())
	}
	return prompts
}

func (e *Engine) servePooling(w http.ResponseWriter, r *http.Request) {
	e.pool(w, r, "pooling-", "input", (*poolRequest).inputs, func(a *poolAnswer) any {
		var data []any
		for _, s := range a.job.seqs {
			data = append(data, struct {
				Index  int       `json:"index"`
				Object string    `json:"object"`
				Data   []float32 `json:"data"`
			}{s.index, "pooling", a.engine.vector(s.prompt, 0)})
		}
		return a.list(data)
	})
}

func (e *Engine) serveScore(w http.ResponseWriter, r *http.Request) {
	e.pool(w, r, "score-", "text_1", func(req *poolRequest) (prompts [][]uint32) {
		for i, text := range req.Text2 {
			if len(req.Text1) == 0 {
				return nil
			}
			prompts = append(prompts, pairOf(req.Text1[min(i, len(req.Text1)-1)], text))
		}
		return prompts
	}, func(a *poolAnswer) any {
		var data []any
		for i, text := range a.req.Text2 {
			data = append(data, struct {
				Index  int     `json:"index"`
				Object string  `json:"object"`
				Score  float64 `json:"score"`
			}{i, "score", a.engine.likeness(a.req.Text1[min(i, len(a.req.Text1)-1)], text)})
		}
		return a.list(data)
	})
}
