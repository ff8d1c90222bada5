package sim

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

type chatRequest struct {
	params
	Messages         []message       `json:"messages"`
	Logprobs         bool            `json:"logprobs"`
	TopLogprobs      int             `json:"top_logprobs"`
	Tools            []tool          `json:"tools"`
	ToolChoice       json.RawMessage `json:"tool_choice"`
	IncludeReasoning *bool           `json:"include_reasoning"`
}

type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

// text returns the message's text: a string, or the text of its parts.
func (m message) text() string {
	var one string
	if json.Unmarshal(m.Content, &one) == nil {
		return one
	}
	var parts []struct {
		Text string `json:"text"`
	}
	json.Unmarshal(m.Content, &parts) // what is neither has no text
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// prompt applies the chat template.
func (r *chatRequest) prompt() []uint32 {
	tokens := []uint32{tokenBegin}
	if len(r.Tools) > 0 {
		tokens = appendText(tokens, string(encode(r.Tools)))
	}
	for _, m := range r.Messages {
		tokens = append(tokens, tokenRole)
		tokens = appendText(tokens, m.text())
		tokens = append(tokens, tokenTurnEnd, tokenNewline)
	}
	return append(tokens, tokenAssistant)
}

func (e *Engine) serveChat(w http.ResponseWriter, r *http.Request) {
	var req chatRequest
	err := decode(r, &req, "messages")
	if err == nil {
		err = e.check(&req.params)
	}
	if err == nil && (req.TopLogprobs < 0 || req.TopLogprobs > maxLogprobs) {
		err = errLogprobs("top_logprobs", req.TopLogprobs)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	prompt := req.prompt()
	room, err := e.room(&req.params, len(prompt), 0)
	if err == nil {
		err = e.checkTools(&req)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	if err := req.checkFormat(); err != nil {
		refuse(w, err, req.Stream)
		return
	}
	j := e.newJob(r, "chatcmpl-", req.RequestID)
	limits := limits{
		maxTokens: room, minTokens: req.MinTokens, stop: req.Stop, logprobs: -1, temperature: req.Temperature,
		topP: req.TopP, noCacheRead: req.Echo || req.PromptLogprobs != nil,
	}
	if req.Logprobs {
		limits.logprobs = req.TopLogprobs
	}
	a := &chatAnswer{engine: e, job: j, req: &req, created: time.Now().Unix(), started: map[*sequence]bool{}}
	e.addPrompt(j, prompt, &req.params, limits)
	a.call = e.script(j, &req)
	e.run(w, r, j, req.Stream, a)
}

// chatAnswer makes the bodies of a chat.
type chatAnswer struct {
	engine  *Engine
	job     *job
	req     *chatRequest
	created int64
	call    *toolCall // what the model calls, nil for text
	role    bool      // the role chunks are out
	started map[*sequence]bool
}

type chatChunk struct {
	ID             string          `json:"id"`
	Object         string          `json:"object"`
	Created        int64           `json:"created"`
	Model          string          `json:"model"`
	Choices        []chunkChoice   `json:"choices"`
	Usage          *usage          `json:"usage,omitempty"`
	Fingerprint    string          `json:"system_fingerprint,omitempty"`
	Metrics        *timings        `json:"metrics,omitempty"`
	PromptTokenIDs json.RawMessage `json:"prompt_token_ids,omitzero"`
	PromptText     json.RawMessage `json:"prompt_text,omitzero"`
}

type chunkChoice struct {
	Index        int             `json:"index"`
	Delta        chatDelta       `json:"delta"`
	Logprobs     *chatLogprobs   `json:"logprobs"`
	FinishReason *string         `json:"finish_reason"`
	StopReason   json.RawMessage `json:"stop_reason,omitzero"`
	TokenIDs     json.RawMessage `json:"token_ids,omitzero"`
}

type chatDelta struct {
	Role      string          `json:"role,omitempty"`
	Content   json.RawMessage `json:"content,omitzero"`
	Reasoning string          `json:"reasoning,omitempty"`
	ToolCalls []callDelta     `json:"tool_calls,omitempty"`
}

func (a *chatAnswer) options() streamOptions { return a.engine.streamOptions(&a.req.params) }

func (a *chatAnswer) chunk(choice chunkChoice, u *usage) *chatChunk {
	return &chatChunk{
		ID: a.job.id, Object: "chat.completion.chunk", Created: a.created, Model: a.engine.cfg.Model,
		Choices: []chunkChoice{choice}, Usage: u,
	}
}

// roles are the first chunks, one for each choice, sent with the first token of any.
func (a *chatAnswer) roles() (events []any) {
	for _, s := range a.job.seqs {
		var u *usage
		if a.options().ContinuousUsageStats {
			u = chunkUsage(delta{seq: s}, 0, true)
		}
		c := a.chunk(chunkChoice{Index: s.index, Delta: chatDelta{Role: "assistant", Content: encode("")}}, u)
		c.PromptTokenIDs, c.PromptText = null, null
		if a.req.ReturnTokenIDs {
			c.PromptTokenIDs = encode(s.prompt)
		}
		events = append(events, c)
	}
	return events
}

func (a *chatAnswer) chunks(d delta) (events []any) {
	if d.err != nil && len(d.tokens) == 0 {
		return nil
	}
	if !a.role {
		a.role = true
		events = a.roles()
	}
	a.countParser("streaming", a.call != nil)
	for _, choice := range a.choices(d) {
		var u *usage
		if a.options().ContinuousUsageStats {
			u = chunkUsage(d, d.total, true)
		}
		c := a.chunk(choice, u)
		if choice.FinishReason != nil && !a.options().IncludeUsage {
			c.Fingerprint = a.engine.fingerprint
		}
		events = append(events, c)
	}
	return events
}

// choices are the contents of the chunks for one delta: none while there is nothing to say.
func (a *chatAnswer) choices(d delta) (choices []chunkChoice) {
	choice := chunkChoice{Index: d.seq.index, TokenIDs: null, Logprobs: a.logprobs(d)}
	if a.req.ReturnTokenIDs {
		choice.TokenIDs = encode(d.tokens)
	}
	if d.reasoning != "" && (a.req.IncludeReasoning == nil || *a.req.IncludeReasoning) {
		thought := choice
		thought.Delta.Reasoning = d.reasoning
		choices = append(choices, thought)
	}
	switch {
	case a.call != nil:
		for _, delta := range a.callDeltas(d) {
			part := choice
			part.Delta = delta
			choices = append(choices, part)
		}
	case d.text != "":
		choice.Delta.Content = encode(d.text)
		choices = append(choices, choice)
	}
	if len(choices) == 0 && (d.finish != "" || choice.Logprobs != nil) {
		choices = append(choices, choice)
	}
	if d.finish != "" {
		end := &choices[len(choices)-1]
		reason := a.reason(d)
		end.FinishReason, end.StopReason = &reason, stopReason(d)
	}
	return choices
}

func (a *chatAnswer) last() []any {
	if !a.options().IncludeUsage {
		return nil
	}
	c := a.chunk(chunkChoice{}, a.engine.lastUsage(a.job.tally(), true))
	c.Choices = []chunkChoice{}
	c.Fingerprint, c.Metrics = a.engine.fingerprint, a.engine.timings(a.job, true)
	return []any{c}
}

func stopReason(d delta) json.RawMessage {
	if d.stop == "" {
		return null
	}
	return encode(d.stop)
}
