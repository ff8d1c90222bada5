package sim

import (
	"encoding/json"
	"net/http"
)

// messagesRequest is a request of Anthropic's API.
type messagesRequest struct {
	params
	Messages      []message       `json:"messages"`
	System        json.RawMessage `json:"system"`
	StopSequences stringList      `json:"stop_sequences"`
	Tools         []messagesTool  `json:"tools"`
	ToolChoice    struct {
		Type string `json:"type"`
		Name string `json:"name"`
	} `json:"tool_choice"`
}

type messagesTool struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Schema      json.RawMessage `json:"input_schema"`
}

// chat is the same request as a chat. The system's words are a message like any other.
func (r *messagesRequest) chat() *chatRequest {
	chat := &chatRequest{Messages: r.Messages}
	if len(r.System) > 0 && string(r.System) != "null" {
		chat.Messages = append([]message{{Role: "system", Content: r.System}}, r.Messages...)
	}
	for _, t := range r.Tools {
		chat.Tools = append(chat.Tools, functionTool(t.Name, t.Description, t.Schema))
	}
	switch r.ToolChoice.Type {
	case "any":
		chat.ToolChoice = encode("required")
	case "tool":
		chat.ToolChoice = encode(functionTool(r.ToolChoice.Name, "", nil))
	case "none":
		chat.ToolChoice = encode("none")
	}
	return chat
}

func (r *messagesRequest) prompt() []uint32 { return r.chat().prompt() }

func (e *Engine) serveMessages(w http.ResponseWriter, r *http.Request) {
	var req messagesRequest
	if err := decode(r, &req, "messages", "max_tokens"); err != nil {
		writeError(w, err) // found before the endpoint, and so in no dialect
		return
	}
	j := e.newJob(r, "chatcmpl-", "")
	a := &messagesAnswer{engine: e, job: j}
	err := e.check(&req.params)
	prompt, room := req.prompt(), 0
	if err == nil {
		room, err = e.room(&req.params, len(prompt), 0)
	}
	if err != nil {
		a.refuse(w, err)
		return
	}
	e.addPrompt(j, prompt, &req.params, limits{
		maxTokens: room, stop: req.StopSequences, logprobs: -1, temperature: req.Temperature, topP: req.TopP,
	})
	a.call = e.script(j, req.chat())
	e.run(w, r, j, req.Stream, a)
}

func (e *Engine) serveCountTokens(w http.ResponseWriter, r *http.Request) {
	var req messagesRequest
	err := decode(r, &req, "messages")
	if err == nil {
		err = e.checkModel(req.Model)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	type original struct {
		Input int `json:"original_input_tokens"`
	}
	n := len(req.prompt())
	writeJSON(w, http.StatusOK, struct {
		Input   int      `json:"input_tokens"`
		Context original `json:"context_management"`
	}{n, original{n}})
}

// messagesAnswer makes the bodies of an answer in Anthropic's dialect.
type messagesAnswer struct {
	engine  *Engine
	job     *job
	call    *toolCall // nil for text
	started bool
	blocks  int // begun
	open    string
	finish  delta // the last one
}

type messageWhole struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Role     string          `json:"role"`
	Content  []contentBlock  `json:"content"`
	Model    string          `json:"model"`
	Reason   json.RawMessage `json:"stop_reason"`
	Sequence json.RawMessage `json:"stop_sequence,omitzero"`
	Usage    messageUsage    `json:"usage"`
}

type contentBlock struct {
	Type     string          `json:"type"`
	ID       string          `json:"id,omitempty"`
	Name     string          `json:"name,omitempty"`
	Input    json.RawMessage `json:"input,omitzero"`
	Text     *string         `json:"text,omitempty"`
	Thinking *string         `json:"thinking,omitempty"`
	Partial  *string         `json:"partial_json,omitempty"`
}

// messageUsage has in its input only what the cache neither had nor took in.
type messageUsage struct {
	Input   int  `json:"input_tokens"`
	Output  int  `json:"output_tokens"`
	Created *int `json:"cache_creation_input_tokens,omitempty"`
	Read    *int `json:"cache_read_input_tokens,omitempty"`
}

func (a *messagesAnswer) usage() messageUsage {
	t := a.job.tally()
	u := messageUsage{Input: t.prompt, Output: t.completion}
	if a.engine.cfg.PromptTokensDetails {
		u.Input -= t.cached + t.created
		u.Created, u.Read = &t.created, &t.cached
	}
	return u
}

// stopWords are the stop reason and the stop sequence.
func (a *messagesAnswer) stopWords(d delta) (reason, sequence json.RawMessage) {
	switch {
	case a.call != nil && d.finish == "stop":
		return encode("tool_use"), null
	case d.stop != "":
		return encode("stop_sequence"), encode(d.stop)
	case d.finish == "length":
		return encode("max_tokens"), null
	case d.finish == "stop":
		return encode("end_turn"), null
	}
	return null, null // vLLM has no word for an abort
}

func (a *messagesAnswer) whole(parts []delta) any {
	d := parts[0]
	m := &messageWhole{ID: a.job.id, Type: "message", Role: "assistant", Content: []contentBlock{}, Model: a.engine.cfg.Model, Usage: a.usage()}
	if d.reasoning != "" {
		m.Content = append(m.Content, contentBlock{Type: "thinking", Thinking: &d.reasoning})
	}
	switch {
	case a.call != nil:
		input := json.RawMessage(d.text)
		if !json.Valid(input) {
			input = encode(struct{}{}) // an object that was cut
		}
		m.Content = append(m.Content, contentBlock{Type: "tool_use", ID: a.call.ids[d.seq], Name: a.call.name, Input: input})
	case d.text != "":
		m.Content = append(m.Content, contentBlock{Type: "text", Text: &d.text})
	}
	m.Reason, m.Sequence = a.stopWords(d)
	if d.stop == "" {
		m.Sequence = nil
	}
	return m
}

func (a *messagesAnswer) opening() []any { return nil }

func (a *messagesAnswer) chunks(d delta) (events []any) {
	if d.err != nil && len(d.tokens) == 0 {
		return nil
	}
	if !a.started {
		a.started = true
		events = append(events, event{"message_start", struct {
			Type    string       `json:"type"`
			Message messageWhole `json:"message"`
		}{"message_start", messageWhole{
			ID: a.job.id, Type: "message", Role: "assistant", Content: []contentBlock{}, Model: a.engine.cfg.Model, Reason: null, Sequence: null,
			Usage: messageUsage{Input: len(d.seq.prompt)},
		}}})
	}
	events = append(events, a.say("thinking", "thinking_delta", d.reasoning)...)
	if a.call != nil {
		events = append(events, a.argue(d)...)
	} else {
		events = append(events, a.say("text", "text_delta", d.text)...)
	}
	if d.finish != "" {
		a.finish = d
		events = append(events, a.closeBlock()...)
	}
	return events
}

// blockEvent is an event about a block of the answer.
type blockEvent struct {
	Type  string        `json:"type"`
	Delta *contentBlock `json:"delta,omitempty"`
	Block *contentBlock `json:"content_block,omitempty"`
	Index int           `json:"index"`
}

// say adds text to the block of its kind, after the one that is open has been closed if that is another.
func (a *messagesAnswer) say(kind, deltaKind, text string) (events []any) {
	if text == "" {
		return nil
	}
	block := func(typ string, text string) *contentBlock {
		if kind == "thinking" {
			return &contentBlock{Type: typ, Thinking: &text}
		}
		return &contentBlock{Type: typ, Text: &text}
	}
	if a.open != kind {
		events = a.closeBlock()
		a.open = kind
		a.blocks++
		events = append(events, event{"content_block_start", blockEvent{Type: "content_block_start", Block: block(kind, ""), Index: a.blocks - 1}})
	}
	return append(events, event{"content_block_delta", blockEvent{Type: "content_block_delta", Delta: block(deltaKind, text), Index: a.blocks - 1}})
}

// argue adds the arguments of a call to its block.
func (a *messagesAnswer) argue(d delta) (events []any) {
	if d.text == "" {
		return nil
	}
	if a.open != "tool_use" {
		events = a.closeBlock()
		a.open = "tool_use"
		a.blocks++
		begun := &contentBlock{Type: "tool_use", ID: a.call.ids[d.seq], Name: a.call.name, Input: encode(struct{}{})}
		events = append(events, event{"content_block_start", blockEvent{Type: "content_block_start", Block: begun, Index: a.blocks - 1}})
	}
	piece := &contentBlock{Type: "input_json_delta", Partial: &d.text}
	return append(events, event{"content_block_delta", blockEvent{Type: "content_block_delta", Delta: piece, Index: a.blocks - 1}})
}

func (a *messagesAnswer) closeBlock() []any {
	if a.open == "" {
		return nil
	}
	a.open = ""
	return []any{event{"content_block_stop", blockEvent{Type: "content_block_stop", Index: a.blocks - 1}}}
}

func (a *messagesAnswer) last() []any {
	type stop struct {
		Reason   json.RawMessage `json:"stop_reason"`
		Sequence json.RawMessage `json:"stop_sequence"`
	}
	var s stop
	s.Reason, s.Sequence = a.stopWords(a.finish)
	return []any{
		event{"message_delta", struct {
			Type  string       `json:"type"`
			Delta stop         `json:"delta"`
			Usage messageUsage `json:"usage"`
		}{"message_delta", s, a.usage()}},
		event{"message_stop", struct {
			Type string `json:"type"`
		}{"message_stop"}},
	}
}

type messageError struct {
	Type  string           `json:"type"`
	Error messageErrorBody `json:"error"`
}

type messageErrorBody struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// failure is the engine's death, of which vLLM in this dialect says no more than that something is amiss.
func (a *messagesAnswer) failure(err *apiError) []any {
	return []any{event{"error", messageError{"error", messageErrorBody{"internal_error", "2 validation errors for ChatCompletionStreamResponse\n" + err.Message}}}}
}

func (a *messagesAnswer) refuse(w http.ResponseWriter, err *apiError) {
	writeJSON(w, err.Code, messageError{"error", messageErrorBody{err.Type, err.Message}})
}
