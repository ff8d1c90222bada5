package sim

import (
	"encoding/json"
	"net/http"
	"strings"
)

// cohereRequest is a request of Cohere's chat, version 2. What it has no words of its own for is as in a chat.
type cohereRequest struct {
	chatRequest
	StopSequences []string `json:"stop_sequences"`
}

func (e *Engine) serveCohere(w http.ResponseWriter, r *http.Request) {
	var req cohereRequest
	a := &cohereAnswer{engine: e}
	err := decode(r, &req, "model", "messages")
	if err == nil {
		err = e.check(&req.params)
	}
	prompt, room := req.prompt(), 0
	if err == nil {
		room, err = e.room(&req.params, len(prompt), 0)
	}
	if err != nil {
		a.refuse(w, err)
		return
	}
	req.ToolChoice = encode(strings.ToLower(strings.Trim(string(req.ToolChoice), `"`)))
	a.job = e.newJob(r, "chatcmpl-", "")
	e.addPrompt(a.job, prompt, &req.params, limits{
		maxTokens: room, stop: req.StopSequences, logprobs: -1, temperature: req.Temperature, topP: req.TopP,
	})
	a.call = e.script(a.job, &req.chatRequest)
	e.run(w, r, a.job, req.Stream, a)
}

// cohereAnswer makes the bodies of an answer in Cohere's dialect. Its events have their type in the data alone.
type cohereAnswer struct {
	engine  *Engine
	job     *job
	call    *toolCall // nil for text
	started bool
	open    string // what the block is that is open: thinking, text, tool-call
	blocks  int
	finish  delta
}

type cohereUsage struct {
	Billed cohereTokens `json:"billed_units"`
	Tokens cohereTokens `json:"tokens"`
	Cached *number      `json:"cached_tokens,omitempty"`
}

type cohereTokens struct {
	Input  number `json:"input_tokens"`
	Output number `json:"output_tokens"`
}

func (a *cohereAnswer) usage() cohereUsage {
	t := a.job.tally()
	n := cohereTokens{number(t.prompt), number(t.completion)}
	u := cohereUsage{Billed: n, Tokens: n}
	if a.engine.cfg.PromptTokensDetails {
		cached := number(t.cached)
		u.Cached = &cached
	}
	return u
}

// reason puts a finish reason into Cohere's words.
func (a *cohereAnswer) reason(d delta) string {
	switch {
	case d.stop != "":
		return "STOP_SEQUENCE"
	case d.finish == "length":
		return "MAX_TOKENS"
	case a.call != nil && d.finish == "stop":
		return "TOOL_CALL"
	}
	return "COMPLETE"
}

type cohereBlock struct {
	Type     string  `json:"type,omitempty"`
	Text     *string `json:"text,omitempty"`
	Thinking *string `json:"thinking,omitempty"`
}

func (a *cohereAnswer) whole(parts []delta) any {
	d := parts[0]
	m := struct {
		Role    string        `json:"role"`
		Content []cohereBlock `json:"content,omitempty"`
		Calls   []callWhole   `json:"tool_calls,omitempty"`
	}{Role: "assistant"}
	if d.reasoning != "" {
		m.Content = append(m.Content, cohereBlock{Type: "thinking", Thinking: &d.reasoning})
	}
	switch {
	case a.call != nil:
		m.Calls = []callWhole{{ID: a.call.ids[d.seq], Type: "function", Function: callFunction{Name: a.call.name, Arguments: &d.text}}}
	case d.text != "":
		m.Content = append(m.Content, cohereBlock{Type: "text", Text: &d.text})
	}
	return struct {
		ID      string      `json:"id"`
		Reason  string      `json:"finish_reason"`
		Message any         `json:"message"`
		Usage   cohereUsage `json:"usage"`
	}{a.job.id, a.reason(d), m, a.usage()}
}

// cohereEvent is one event. Which of its members there are, and in which order, depends on its type.
type cohereEvent struct {
	ID    string `json:"id,omitempty"`
	Index *int   `json:"index,omitempty"`
	Delta any    `json:"delta,omitempty"`
	Type  string `json:"type"`
}

// cohereMessage wraps what an event brings.
func cohereMessage(name string, v any) any {
	return map[string]any{"message": map[string]any{name: v}}
}

func (a *cohereAnswer) opening() []any { return nil }

func (a *cohereAnswer) chunks(d delta) (events []any) {
	if d.err != nil && len(d.tokens) == 0 {
		return nil
	}
	if !a.started {
		a.started = true
		events = append(events, cohereEvent{ID: a.job.id, Delta: cohereMessage("role", "assistant"), Type: "message-start"})
	}
	events = append(events, a.say("thinking", d.reasoning)...)
	if a.call != nil {
		events = append(events, a.argue(d)...)
	} else {
		events = append(events, a.say("text", d.text)...)
	}
	if d.finish != "" {
		a.finish = d
		events = append(events, a.closeBlock()...)
	}
	return events
}

func (a *cohereAnswer) event(kind string, delta any) cohereEvent {
	index := a.blocks - 1
	return cohereEvent{Index: &index, Delta: delta, Type: kind}
}

// say adds text to the block of its kind.
func (a *cohereAnswer) say(kind, text string) (events []any) {
	if text == "" {
		return nil
	}
	if a.open != kind {
		events = a.closeBlock()
		a.open = kind
		a.blocks++
		events = append(events, a.event("content-start", cohereMessage("content", map[string]string{kind: "", "type": kind})))
	}
	return append(events, a.event("content-delta", cohereMessage("content", map[string]string{kind: text})))
}

// argue adds the arguments of a call.
func (a *cohereAnswer) argue(d delta) (events []any) {
	if len(d.tokens) == 0 || d.reasoning != "" {
		return nil
	}
	if a.open != "tool-call" {
		events = append(events, a.closeBlock()...)
		a.open = "tool-call"
		a.blocks++
		none := ""
		events = append(events, a.event("tool-call-start", cohereMessage("tool_calls",
			callWhole{ID: a.call.ids[d.seq], Type: "function", Function: callFunction{Name: a.call.name, Arguments: &none}})))
	}
	if d.text == "" {
		return events
	}
	return append(events, a.event("tool-call-delta", cohereMessage("tool_calls", map[string]callFunction{"function": {Arguments: &d.text}})))
}

func (a *cohereAnswer) closeBlock() []any {
	kind := map[string]string{"thinking": "content-end", "text": "content-end", "tool-call": "tool-call-end"}[a.open]
	if a.open = ""; kind == "" {
		return nil
	}
	return []any{a.event(kind, nil)}
}

func (a *cohereAnswer) last() []any {
	return []any{cohereEvent{ID: a.job.id, Type: "message-end", Delta: struct {
		Reason string      `json:"finish_reason"`
		Usage  cohereUsage `json:"usage"`
	}{a.reason(a.finish), a.usage()}}, json.RawMessage("[DONE]")}
}

func (a *cohereAnswer) failure(err *apiError) []any {
	return []any{struct {
		Type  string            `json:"type"`
		Delta map[string]string `json:"delta"`
	}{"message-end", map[string]string{"error": err.Message, "finish_reason": "ERROR"}}, json.RawMessage("[DONE]")}
}

func (a *cohereAnswer) refuse(w http.ResponseWriter, err *apiError) {
	writeJSON(w, err.Code, struct {
		Message string `json:"message"`
	}{err.Message})
}
