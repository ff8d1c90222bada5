package sim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

type completionRequest struct {
	params
	Prompt   promptList `json:"prompt"`
	Logprobs *int       `json:"logprobs"`
}

// promptList is one prompt or several, each as text or as tokens.
type promptList []textOrTokens

type textOrTokens struct {
	text   string
	tokens []uint32
}

func (l *promptList) UnmarshalJSON(b []byte) error {
	var one string
	var several []string
	var tokens []uint32
	var lists [][]uint32
	switch {
	case json.Unmarshal(b, &one) == nil:
		*l = promptList{{text: one}}
	case json.Unmarshal(b, &tokens) == nil:
		*l = promptList{{tokens: tokens}}
	case json.Unmarshal(b, &several) == nil:
		for _, text := range several {
			*l = append(*l, textOrTokens{text: text})
		}
	default:
		if err := json.Unmarshal(b, &lists); err != nil {
			return err
		}
		for _, tokens := range lists {
			*l = append(*l, textOrTokens{tokens: tokens})
		}
	}
	return nil
}

// prompt returns the tokens: text gets one for the beginning.
func (t textOrTokens) prompt() []uint32 {
	if t.tokens != nil {
		return t.tokens
	}
	return appendText([]uint32{tokenBegin}, t.text)
}

func (e *Engine) serveCompletions(w http.ResponseWriter, r *http.Request) {
	var req completionRequest
	err := decode(r, &req, "prompt")
	if err == nil {
		err = e.check(&req.params)
	}
	if err == nil && len(req.Prompt) == 0 {
		err = errValue("prompt", "", "Either prompt or prompt_embeds must be provided and non-empty.")
	}
	if err == nil && req.Logprobs != nil && (*req.Logprobs < 0 || *req.Logprobs > maxLogprobs) {
		err = errLogprobs("logprobs", *req.Logprobs)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	j := e.newJob(r, "cmpl-", req.RequestID)
	for _, p := range req.Prompt {
		tokens := p.prompt()
		room, err := e.room(&req.params, len(tokens), 16)
		if err != nil {
			writeError(w, err)
			return
		}
		limits := limits{
			maxTokens: room, minTokens: req.MinTokens, stop: req.Stop, logprobs: -1, topP: req.TopP,
			temperature: req.Temperature, noCacheRead: req.PromptLogprobs != nil || req.Echo && req.Logprobs != nil,
		}
		if req.Logprobs != nil {
			limits.logprobs = *req.Logprobs
		}
		e.addPrompt(j, tokens, &req.params, limits)
	}
	for i, s := range j.seqs {
		s.id = j.id + "-" + strconv.Itoa(i/req.choices())
	}
	e.run(w, r, j, req.Stream, &completionAnswer{
		engine: e, job: j, req: &req, created: time.Now().Unix(),
		offsets: map[*sequence]int{},
	})
}

type completionAnswer struct {
	engine  *Engine
	job     *job
	req     *completionRequest
	created int64
	offsets map[*sequence]int // bytes sent of each choice; absent before the first chunk
}

type textChunk struct {
	ID          string            `json:"id"`
	Object      string            `json:"object"`
	Created     int64             `json:"created"`
	Model       string            `json:"model"`
	Choices     []textChunkChoice `json:"choices"`
	Usage       *usage            `json:"usage,omitempty"`
	Fingerprint string            `json:"system_fingerprint,omitempty"`
	Metrics     *timings          `json:"metrics,omitempty"`
}

type textChunkChoice struct {
	Index          int             `json:"index"`
	Text           string          `json:"text"`
	Logprobs       *textLogprobs   `json:"logprobs"`
	FinishReason   *string         `json:"finish_reason"`
	StopReason     json.RawMessage `json:"stop_reason"`
	PromptTokenIDs json.RawMessage `json:"prompt_token_ids"`
	TokenIDs       json.RawMessage `json:"token_ids"`
}

type textWhole struct {
	ID          string          `json:"id"`
	Object      string          `json:"object"`
	Created     int64           `json:"created"`
	Model       string          `json:"model"`
	Choices     []textChoice    `json:"choices"`
	ServiceTier json.RawMessage `json:"service_tier"`
	Fingerprint string          `json:"system_fingerprint"`
	Usage       *usage          `json:"usage"`
	KVTransfer  json.RawMessage `json:"kv_transfer_params"`
	ECTransfer  json.RawMessage `json:"ec_transfer_params"`
	Metrics     *timings        `json:"metrics"`
}

type textChoice struct {
	Index          int             `json:"index"`
	Text           string          `json:"text"`
	Logprobs       *textLogprobs   `json:"logprobs"`
	FinishReason   string          `json:"finish_reason"`
	StopReason     json.RawMessage `json:"stop_reason"`
	TokenIDs       json.RawMessage `json:"token_ids"`
	PromptLogprobs json.RawMessage `json:"prompt_logprobs"`
	PromptTokenIDs json.RawMessage `json:"prompt_token_ids"`
	RoutedExperts  json.RawMessage `json:"routed_experts"`
}

// echoed is the prompt's text at the head of an answer that echoes it.
func (a *completionAnswer) echoed(s *sequence) string {
	if !a.req.Echo {
		return ""
	}
	return a.req.Prompt[s.index/a.req.choices()].text
}

// logprobs are those of the tokens of one delta, and before the first of an answer that echoes, of the prompt.
func (a *completionAnswer) logprobs(d delta, offset int, echo string) *textLogprobs {
	if a.req.Logprobs == nil {
		return nil
	}
	l := &textLogprobs{}
	if echo != "" {
		l.add("<s>", tokenBegin, 0, 0, false)
		for rest := echo; rest != ""; {
			piece := rest[:min(bytesPerToken, len(rest))]
			rest = rest[len(piece):]
			l.add(piece, textToken(piece), offset, *a.req.Logprobs, true)
			offset += len(piece)
		}
	}
	for _, p := range d.pieces {
		l.add(p.text, p.id, offset, *a.req.Logprobs, true)
		offset += len(p.text)
	}
	return l
}

func (a *completionAnswer) chunks(d delta) []any {
	if d.err != nil && len(d.tokens) == 0 {
		return nil
	}
	options := a.engine.streamOptions(&a.req.params)
	offset, begun := a.offsets[d.seq]
	c := textChunkChoice{Index: d.seq.index, Text: d.text}
	echo := ""
	if !begun {
		echo = a.echoed(d.seq)
		c.Text = echo + c.Text
	}
	c.Logprobs = a.logprobs(d, offset, echo)
	a.offsets[d.seq] = offset + len(c.Text)
	if a.req.ReturnTokenIDs {
		c.TokenIDs = encode(d.tokens)
		if !begun {
			c.PromptTokenIDs = encode(d.seq.prompt)
		}
	}
	chunk := a.chunk([]textChunkChoice{c})
	if d.finish != "" {
		chunk.Choices[0].FinishReason, chunk.Choices[0].StopReason = &d.finish, stopReason(d)
		if !options.IncludeUsage {
			chunk.Fingerprint = a.engine.fingerprint
		}
	}
	if options.ContinuousUsageStats {
		chunk.Usage = chunkUsage(d, d.total, false)
	}
	return []any{chunk}
}

func (a *completionAnswer) chunk(choices []textChunkChoice) *textChunk {
	return &textChunk{ID: a.job.id, Object: "text_completion", Created: a.created, Model: a.engine.cfg.Model, Choices: choices}
}

func (a *completionAnswer) last() []any {
	if !a.engine.streamOptions(&a.req.params).IncludeUsage {
		return nil
	}
	c := a.chunk([]textChunkChoice{})
	c.Usage, c.Fingerprint = a.engine.lastUsage(a.job.tally(), false), a.engine.fingerprint
	c.Metrics = a.engine.timings(a.job, true)
	return []any{c}
}

func (a *completionAnswer) whole(parts []delta) any {
	w := textWhole{
		ID: a.job.id, Object: "text_completion", Created: a.created, Model: a.engine.cfg.Model,
		Fingerprint: a.engine.fingerprint, Usage: a.engine.fullUsage(a.job.tally(), false),
		Metrics: a.engine.timings(a.job, false),
	}
	for _, d := range parts {
		echo := a.echoed(d.seq)
		c := textChoice{
			Index: d.seq.index, Text: echo + d.text, Logprobs: a.logprobs(d, 0, echo), FinishReason: d.finish,
			StopReason: stopReason(d),
		}
		switch k := a.req.PromptLogprobs; {
		case k != nil:
			c.PromptLogprobs = encode(promptLogprobs(d.seq.prompt, *k))
		case a.req.Echo && a.req.Logprobs != nil:
			c.PromptLogprobs = encode(promptLogprobs(d.seq.prompt, *a.req.Logprobs))
		}
		if a.req.ReturnTokenIDs {
			c.TokenIDs, c.PromptTokenIDs = encode(d.tokens), encode(d.seq.prompt)
		}
		w.Choices = append(w.Choices, c)
	}
	return &w
}
