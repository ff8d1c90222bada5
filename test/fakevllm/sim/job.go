package sim

import (
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// newJob begins a request. Its id is made of X-Request-Id, or of the body's request_id, or is new.
func (e *Engine) newJob(r *http.Request, prefix, bodyID string) *job {
	id := r.Header.Get("X-Request-Id")
	if id == "" {
		id = bodyID
	}
	if id == "" {
		id = e.newID()
	}
	j := newJob(prefix + id)
	if e.tracer != nil {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		j.parent = trace.SpanContextFromContext(ctx)
	}
	if n, err := strconv.Atoi(r.Header.Get("X-Data-Parallel-Rank")); err == nil {
		j.rank = &n
	}
	return j
}

// addPrompt adds the n choices of one prompt to a job.
func (e *Engine) addPrompt(j *job, prompt []uint32, p *params, limits limits) {
	n := p.choices()
	g := &group{n: n, left: n}
	seed := e.cfg.Seed
	if p.Seed != nil {
		seed += uint64(*p.Seed) * 0x9e3779b97f4a7c15
	}
	for choice := range n {
		s := &sequence{
			job: j, group: g, index: len(j.seqs), id: j.id, prompt: prompt, limits: limits,
			author: newAuthor(seed, prompt, choice, e.cfg.MeanTokens),
		}
		if p.IgnoreEOS {
			s.author.length = -1
		}
		j.seqs = append(j.seqs, s)
	}
}

// addInput adds one input of an embeddings request to a job.
func (e *Engine) addInput(j *job, prompt []uint32) {
	i := len(j.seqs)
	s := &sequence{
		job: j, group: &group{n: 1, left: 1}, index: i, id: j.id + "-" + strconv.Itoa(i), prompt: prompt,
		limits: limits{logprobs: -1},
	}
	j.seqs = append(j.seqs, s)
}

// checkRank says whether there is such a rank.
func (e *Engine) checkRank(j *job) *apiError {
	if j.rank == nil || *j.rank >= 0 && *j.rank < e.cfg.DataParallelSize {
		return nil
	}
	return &apiError{Type: "BadRequestError", Code: http.StatusBadRequest, Message: "data_parallel_rank " +
		strconv.Itoa(*j.rank) + " is out of range [0, " + strconv.Itoa(e.cfg.DataParallelSize) + ")."}
}

// streamOptions are those of a request, as the engine's flags change them.
func (e *Engine) streamOptions(p *params) (o streamOptions) {
	if p.StreamOptions != nil {
		o = *p.StreamOptions
	}
	if e.cfg.ForceIncludeUsage {
		o = streamOptions{IncludeUsage: true, ContinuousUsageStats: true}
	}
	o.ContinuousUsageStats = o.ContinuousUsageStats && o.IncludeUsage
	return o
}
