package otelvllm

import (
	"encoding/json"

	"github.com/otelvllm/otelvllm-go/otelvllm/sse"
)

// answering is an answer in one piece, in any of the APIs.
type answering struct {
	Choices      few[apiChoice]  // chat, completions
	Message      *apiMessage     // Cohere
	Content      json.RawMessage // Messages: a list of blocks
	Output       json.RawMessage // Responses: a list of items
	StopReason   string          `json:"stop_reason"`
	FinishReason string          `json:"finish_reason"`
	Status       string
	Incomplete   struct{ Reason string } `json:"incomplete_details"`
}

// apiChoice is a choice of an answer, whole or of one event of a stream.
type apiChoice struct {
	Index        int
	Message      apiMessage
	Delta        apiMessage
	Text         string
	FinishReason string `json:"finish_reason"`
}

// outputMessages reads an answer that is not streamed.
func outputMessages(body []byte) []message {
	var a answering
	if !understand(body, &a) {
		return nil
	}
	return a.messages()
}

func (a *answering) messages() []message {
	if len(a.Choices) > 0 {
		return choiceMessages(a.Choices)
	}
	m := message{Role: "assistant", FinishReason: a.StopReason + a.FinishReason}
	switch {
	case a.Message != nil:
		m.Parts = a.Message.message().Parts
	case len(a.Output) > 0:
		for _, item := range blocks(a.Output) {
			if m.Parts = append(m.Parts, item.message().Parts...); len(m.Parts) > maxParts {
				break
			}
		}
		if m.FinishReason = a.Incomplete.Reason; m.FinishReason == "" {
			m.FinishReason = a.Status
		}
	default:
		m.Parts = contentParts(a.Content)
	}
	if len(m.Parts) == 0 {
		return nil
	}
	return []message{m}
}

func choiceMessages(choices []apiChoice) []message {
	messages, room := make([]message, 0, len(choices)), maxParts
	for _, c := range choices {
		if room <= 0 {
			break
		}
		m := c.Message.message()
		if c.Text != "" {
			m.Parts = append(m.Parts, part{Type: "text", Content: c.Text})
		}
		if m.Role == "" {
			m.Role = "assistant"
		}
		m.FinishReason = c.FinishReason
		messages = append(messages, m)
		room -= len(m.Parts)
	}
	return messages
}

// streamed is an event of a stream, in any of the APIs.
type streamed struct {
	Type     string
	Choices  few[apiChoice]  // chat, completions
	Delta    json.RawMessage // Responses: a string; Messages and Cohere: an object
	Item     block           // Responses: what begins
	Block    block           `json:"content_block"` // Messages: what begins
	Response *answering      // Responses: all of it, at the end
}

// streamedDelta is an object that brings a piece of an answer.
type streamedDelta struct {
	Text, Thinking string          // Messages
	JSON           string          `json:"partial_json"`
	StopReason     string          `json:"stop_reason"`
	FinishReason   string          `json:"finish_reason"` // Cohere
	Message        json.RawMessage // Cohere
}

// streamMessages puts the pieces of a stream together.
func streamMessages(body []byte) []message {
	var messages []message
	parser := sse.Parser{MaxData: maxCaptureBody}
	parser.OnEvent = func(e sse.Event) {
		var event streamed
		if understand(e.Data, &event) {
			messages = event.extend(messages)
		}
	}
	_, _ = parser.Write(body) // never fails
	for i := range messages {
		messages[i].join()
	}
	return messages
}

// extend adds what an event brings.
func (e *streamed) extend(messages []message) []message {
	for _, c := range e.Choices {
		if c.Index < 0 || c.Index >= maxChoices {
			continue
		}
		for len(messages) <= c.Index {
			messages = append(messages, message{Role: "assistant"})
		}
		messages[c.Index].extend(&c)
	}
	if e.Type == "" {
		return messages
	}
	var m message
	if len(messages) > 0 {
		m = messages[0]
	}
	if e.Response != nil && len(e.Response.Output) > 0 {
		if whole := e.Response.messages(); whole != nil {
			return whole
		}
	}
	e.piece(&m)
	if len(m.Parts) == 0 {
		return messages
	}
	m.Role = "assistant"
	return []message{m}
}

// piece adds what an event of an API with types brings to the only message there is.
func (e *streamed) piece(m *message) {
	switch e.Type {
	case "response.output_item.added":
		m.beginCall(&e.Item)
	case "content_block_start":
		m.beginCall(&e.Block)
	case "response.output_text.delta", "response.refusal.delta":
		m.appendText("text", oneText(e.Delta))
	case "response.reasoning_text.delta", "response.reasoning_summary_text.delta":
		m.appendText("reasoning", oneText(e.Delta))
	case "response.function_call_arguments.delta":
		m.appendArguments(oneText(e.Delta))
	case "content_block_delta", "message_delta", "content-delta", "tool-plan-delta", "tool-call-start", "tool-call-delta", "message-end":
		var d streamedDelta
		if !understand(e.Delta, &d) {
			return
		}
		m.appendText("text", d.Text)
		m.appendText("reasoning", d.Thinking)
		m.appendArguments(d.JSON)
		m.appendCohere(d.Message)
		if reason := d.StopReason + d.FinishReason; reason != "" {
			m.FinishReason = reason
		}
	}
}

// appendCohere adds a piece of Cohere's, whose message holds one thing at a time.
func (m *message) appendCohere(raw json.RawMessage) {
	var piece struct {
		ToolPlan  string      `json:"tool_plan"`
		Content   block       `json:"content"`
		ToolCalls apiToolCall `json:"tool_calls"`
	}
	if !understand(raw, &piece) {
		return
	}
	m.appendText("reasoning", piece.ToolPlan+piece.Content.Thinking)
	m.appendText("text", piece.Content.Text)
	if call := &piece.ToolCalls; call.ID != "" || call.Function.Name != "" {
		m.Parts = append(m.Parts, part{Type: "tool_call", ID: call.ID, Name: call.Function.Name})
	}
	m.appendArguments(piece.ToolCalls.Function.Arguments)
}

// beginCall begins a call of a tool, if that is what the block is. Its arguments come in pieces.
func (m *message) beginCall(b *block) {
	if p := b.part(); p.Type == "tool_call" {
		p.Arguments = ""
		m.Parts = append(m.Parts, p)
	}
}

func (m *message) appendArguments(text string) {
	if last := len(m.Parts) - 1; last >= 0 && m.Parts[last].Type == "tool_call" {
		m.Parts[last].pieces = append(m.Parts[last].pieces, text...)
	}
}

// extend adds one delta of a chat or a completion.
func (m *message) extend(c *apiChoice) {
	if c.FinishReason != "" {
		m.FinishReason = c.FinishReason
	}
	m.appendText("reasoning", c.Delta.Reasoning+c.Delta.ReasoningContent)
	m.appendText("text", oneText(c.Delta.Content)+c.Text)
	for _, t := range c.Delta.ToolCalls {
		last := len(m.Parts) - 1
		if t.ID != "" || t.Function.Name != "" || last < 0 || m.Parts[last].Type != "tool_call" {
			m.Parts = append(m.Parts, part{Type: "tool_call", ID: t.ID, Name: t.Function.Name})
		}
		m.appendArguments(t.Function.Arguments)
	}
}

func (m *message) appendText(kind, text string) {
	if text == "" {
		return
	}
	if last := len(m.Parts) - 1; last >= 0 && m.Parts[last].Type == kind {
		m.Parts[last].pieces = append(m.Parts[last].pieces, text...)
		return
	}
	m.Parts = append(m.Parts, part{Type: kind, Content: text})
}

// join puts the pieces of each part behind what it began with. That is done once, as a text that grows by a token at a time
// would be copied for each.
func (m *message) join() {
	for i := range m.Parts {
		p := &m.Parts[i]
		to := &p.Content
		if p.Type == "tool_call" {
			to = &p.Arguments
		}
		*to += string(p.pieces)
		p.pieces = nil
	}
}
