package sim

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

type embeddingsRequest struct {
	Model          string     `json:"model"`
	RequestID      string     `json:"request_id"`
	Input          promptList `json:"input"`
	EncodingFormat string     `json:"encoding_format"`
	Dimensions     int        `json:"dimensions"`
}

func (e *Engine) serveEmbeddings(w http.ResponseWriter, r *http.Request) {
	var req embeddingsRequest
	err := decode(r, &req, "input")
	if err == nil {
		err = e.checkModel(req.Model)
	}
	switch {
	case err != nil:
	case len(req.Input) == 0:
		err = errValue("input", "[]", "The input cannot be empty.")
	case req.Dimensions < 0 || req.Dimensions > e.cfg.EmbeddingDim:
		n := strconv.Itoa(req.Dimensions)
		err = errValue("dimensions", n, "dimensions must be between 1 and "+strconv.Itoa(e.cfg.EmbeddingDim)+", got "+n+".")
	case !slices.Contains([]string{"", "float", "base64", "bytes", "bytes_only"}, req.EncodingFormat):
		err = errValue("encoding_format", req.EncodingFormat, "encoding_format must be float, base64, bytes or bytes_only.")
	}
	if err != nil {
		writeError(w, err)
		return
	}
	j := e.newJob(r, "embd-", req.RequestID)
	for _, in := range req.Input {
		tokens := in.prompt()
		if _, err := e.room(&params{}, len(tokens), 1); err != nil {
			writeError(w, err)
			return
		}
		e.addInput(j, tokens)
	}
	e.run(w, r, j, false, &embeddingsAnswer{engine: e, job: j, req: &req, created: time.Now().Unix()})
}

type embeddingsAnswer struct {
	engine  *Engine
	job     *job
	req     *embeddingsRequest
	created int64
}

type embeddingsWhole struct {
	ID      string      `json:"id"`
	Object  string      `json:"object"`
	Created int64       `json:"created"`
	Model   string      `json:"model"`
	Data    []embedding `json:"data"`
	Usage   *usage      `json:"usage"`
}

type embedding struct {
	Index     int             `json:"index"`
	Object    string          `json:"object"`
	Embedding json.RawMessage `json:"embedding"`
}

func (a *embeddingsAnswer) whole([]delta) any {
	u := a.job.tally().usage()
	u.PromptDetails, u.CompletionDetails = null, null
	w := &embeddingsWhole{
		ID: a.job.id, Object: "list", Created: a.created, Model: a.engine.cfg.Model, Usage: &u,
		Data: []embedding{},
	}
	for _, s := range a.job.seqs {
		v := a.engine.vector(s.prompt, a.req.Dimensions)
		item := embedding{Index: s.index, Object: "embedding", Embedding: encode(v)}
		if a.req.EncodingFormat == "base64" {
			var raw []byte
			for _, f := range v {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
			}
			item.Embedding = encode(base64.StdEncoding.EncodeToString(raw))
		}
		w.Data = append(w.Data, item)
	}
	return w
}

// An embedding is never streamed.
func (a *embeddingsAnswer) chunks(delta) []any { return nil }
func (a *embeddingsAnswer) last() []any        { return nil }

// vector returns the embedding of a prompt, of length 1: the same for the same tokens, and nearer for prompts with
// more tokens in common.
func (e *Engine) vector(prompt []uint32, n int) []float32 {
	if n == 0 {
		n = e.cfg.EmbeddingDim
	}
	sum := make([]float64, n)
	for _, id := range prompt {
		rng := rand.New(rand.NewPCG(e.cfg.Seed, uint64(id)))
		for i := range sum {
			sum[i] += rng.NormFloat64()
		}
	}
	length := 0.0
	for _, f := range sum {
		length += f * f
	}
	length = math.Sqrt(length)
	v := make([]float32, n)
	for i, f := range sum {
		v[i] = float32(f / max(length, 1e-9))
	}
	return v
}
