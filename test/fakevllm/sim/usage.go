package sim

import "encoding/json"

// usage is what a request has cost. Which keys are absent, which are null and which say something differs between
// endpoints, and between a stream and an answer in one piece.
type usage struct {
	PromptTokens      int             `json:"prompt_tokens"`
	TotalTokens       int             `json:"total_tokens"`
	CompletionTokens  int             `json:"completion_tokens"`
	PromptDetails     json.RawMessage `json:"prompt_tokens_details,omitzero"`
	CompletionDetails json.RawMessage `json:"completion_tokens_details,omitzero"`
}

// tally is usage in numbers.
type tally struct {
	prompt, completion, cached, created, reasoning int
}

// tally counts a job. Choices of one prompt share it. The Engine's mutex need not be held once the job has ended.
func (j *job) tally() (t tally) {
	counted := map[*group]bool{}
	for _, s := range j.seqs {
		if !counted[s.group] {
			counted[s.group] = true
			t.prompt += len(s.prompt)
			t.cached += s.cached
			t.created += s.created
		}
		t.completion += len(s.generated)
		if s.author != nil {
			t.reasoning += min(s.author.reasoning, len(s.generated))
		}
	}
	return t
}

func (t tally) usage() usage {
	return usage{PromptTokens: t.prompt, TotalTokens: t.prompt + t.completion, CompletionTokens: t.completion}
}

// promptDetails says how much of the prompt was in the prefix cache, if the engine was asked to tell.
func (e *Engine) promptDetails(t tally, chat bool) *cacheDetails {
	if !e.cfg.PromptTokensDetails {
		return nil
	}
	d := &cacheDetails{Cached: t.cached}
	if chat {
		d.Created = &t.created
	}
	return d
}

type cacheDetails struct {
	Cached  int
	Created *int // nil where the endpoint does not tell
}

// full is the usage of an answer in one piece: nothing is left out, unknown is null.
func (e *Engine) fullUsage(t tally, chat bool) *usage {
	u := t.usage()
	u.PromptDetails, u.CompletionDetails = null, null
	if d := e.promptDetails(t, chat); d != nil {
		u.PromptDetails = encode(struct {
			Cached     int  `json:"cached_tokens"`
			Created    *int `json:"created_cache_tokens"`
			Multimodal *int `json:"multimodal_tokens"`
		}{d.Cached, d.Created, nil})
	}
	if chat && e.cfg.ReasoningParser != "" {
		u.CompletionDetails = reasoningDetails(t)
	}
	return &u
}

// lastUsage is the usage at the end of a stream: nulls are left out.
func (e *Engine) lastUsage(t tally, chat bool) *usage {
	u := t.usage()
	if d := e.promptDetails(t, chat); d != nil {
		u.PromptDetails = encode(struct {
			Cached  int  `json:"cached_tokens"`
			Created *int `json:"created_cache_tokens,omitempty"`
		}{d.Cached, d.Created})
	}
	if chat && e.cfg.ReasoningParser != "" {
		u.CompletionDetails = reasoningDetails(t)
	}
	return &u
}

func reasoningDetails(t tally) json.RawMessage {
	return encode(struct {
		Reasoning int `json:"reasoning_tokens"`
	}{t.reasoning})
}

// chunkUsage is the usage on a chunk of a stream with continuous_usage_stats: what this choice has cost up to here.
func chunkUsage(d delta, total int, chat bool) *usage {
	t := tally{prompt: len(d.seq.prompt), completion: total}
	u := t.usage()
	if chat {
		u.CompletionDetails = null
	}
	return &u
}

// timings are the metrics object of a request.
type timings struct {
	FirstToken number          `json:"time_to_first_token_ms"`
	Generation number          `json:"generation_time_ms"`
	Queue      number          `json:"queue_time_ms"`
	MeanGap    json.RawMessage `json:"mean_itl_ms,omitzero"`
	Rate       json.RawMessage `json:"tokens_per_second,omitzero"`
	Drafts     json.RawMessage `json:"speculative_decoding,omitzero"`
}

// timings returns the metrics of a job of one sequence, nil where vLLM sends none: not asked for, or several sequences.
func (e *Engine) timings(j *job, stream bool) *timings {
	if !e.cfg.PerRequestMetrics || len(j.seqs) != 1 {
		return nil
	}
	s := j.seqs[0]
	ms := func(seconds float64) number { return number(seconds * 1000) }
	first, generation := s.first.Sub(s.scheduled).Seconds(), s.last.Sub(s.first).Seconds()
	t := &timings{FirstToken: ms(first), Generation: ms(generation), Queue: ms(s.scheduled.Sub(s.queued).Seconds())}
	n := float64(len(s.generated))
	if n > 1 {
		t.MeanGap = encode(ms(generation / (n - 1)))
	}
	if first+generation > 0 {
		t.Rate = encode(number(n / (first + generation)))
	}
	if !stream {
		t.Drafts = null
		if t.MeanGap == nil {
			t.MeanGap = null
		}
		if t.Rate == nil {
			t.Rate = null
		}
	}
	return t
}
