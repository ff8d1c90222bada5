package otelvllm

import (
	"encoding/json"
	"strings"

	"github.com/otelvllm/otelvllm-go/otelvllm/sse"
)

// message and part are the shapes of gen_ai.input.messages and gen_ai.output.messages in the GenAI
// conventions v1.41.
type message struct {
	Role         string `json:"role"`
	Parts        []part `json:"parts"`
	FinishReason string `json:"finish_reason,omitempty"`
}

type part struct {
	Type      string `json:"type"` // text, reasoning, tool_call, tool_call_response, uri
	Content   string `json:"content,omitempty"`
	ID        string `json:"id,omitempty"`
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments,omitempty"`
	Response  string `json:"response,omitempty"`
	Modality  string `json:"modality,omitempty"`
	URI       string `json:"uri,omitempty"`
}

// texts returns what the caller or the model wrote.
func (p *part) texts() []*string {
	return []*string{&p.Content, &p.Name, &p.Arguments, &p.Response, &p.URI}
}

func marshal(messages []message) string {
	b, err := json.Marshal(messages)
	if err != nil {
		return "" // strings always encode
	}
	return string(b)
}

// apiMessage is a message of the chat API, asked or answered.
type apiMessage struct {
	Role             string          `json:"role"`
	Content          json.RawMessage `json:"content"`
	Reasoning        string          `json:"reasoning"`
	ReasoningContent string          `json:"reasoning_content"` // its name up to vLLM 0.11
	ToolCallID       string          `json:"tool_call_id"`
	ToolCalls        []apiToolCall   `json:"tool_calls"`
}

type apiToolCall struct {
	Index    int    `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// inputMessages reads the body of a request: the messages of a chat, a prompt, or texts to embed.
func inputMessages(body []byte) []message {
	var req struct {
		Messages      []apiMessage
		Prompt, Input json.RawMessage
	}
	if json.Unmarshal(body, &req) != nil {
		return nil
	}
	var messages []message
	for _, m := range req.Messages {
		messages = append(messages, m.message())
	}
	for _, text := range append(texts(req.Prompt), texts(req.Input)...) {
		messages = append(messages, message{Role: "user", Parts: []part{{Type: "text", Content: text}}})
	}
	return messages
}

// texts reads a string or a list of strings; token ids have no text.
func texts(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var many []string
	_ = json.Unmarshal(raw, &many) // anything else has no text
	return many
}

// message turns a message of the API into one of the conventions.
func (m *apiMessage) message() message {
	out := message{Role: m.Role}
	if reasoning := m.Reasoning + m.ReasoningContent; reasoning != "" {
		out.Parts = append(out.Parts, part{Type: "reasoning", Content: reasoning})
	}
	for _, p := range contentParts(m.Content) {
		if m.Role == "tool" {
			p = part{Type: "tool_call_response", ID: m.ToolCallID, Response: p.Content}
		}
		out.Parts = append(out.Parts, p)
	}
	for _, t := range m.ToolCalls {
		out.Parts = append(out.Parts, part{Type: "tool_call", ID: t.ID, Name: t.Function.Name, Arguments: t.Function.Arguments})
	}
	return out
}

// contentParts reads a content that is a string or a list of typed parts. Data in an URL is left
// out: it would fill the attribute.
func contentParts(raw json.RawMessage) (parts []part) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if text != "" {
			parts = append(parts, part{Type: "text", Content: text})
		}
		return parts
	}
	var list []struct {
		Type, Text string
		ImageURL   struct{ URL string } `json:"image_url"`
		VideoURL   struct{ URL string } `json:"video_url"`
		AudioURL   struct{ URL string } `json:"audio_url"`
	}
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	for _, p := range list {
		if p.Text != "" {
			parts = append(parts, part{Type: "text", Content: p.Text})
			continue
		}
		uri := p.ImageURL.URL + p.VideoURL.URL + p.AudioURL.URL
		if head, _, ok := strings.Cut(uri, ","); ok && strings.HasPrefix(uri, "data:") {
			uri = head
		}
		modality, _, _ := strings.Cut(p.Type, "_")
		parts = append(parts, part{Type: "uri", Modality: modality, URI: uri})
	}
	return parts
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
	var resp struct{ Choices []apiChoice }
	if json.Unmarshal(body, &resp) != nil {
		return nil
	}
	messages := make([]message, 0, len(resp.Choices))
	for _, c := range resp.Choices {
		m := c.Message.message()
		if c.Text != "" {
			m.Parts = append(m.Parts, part{Type: "text", Content: c.Text})
		}
		if m.Role == "" {
			m.Role = "assistant"
		}
		m.FinishReason = c.FinishReason
		messages = append(messages, m)
	}
	return messages
}

// streamMessages puts the deltas of a stream together.
func streamMessages(body []byte) []message {
	var messages []message
	parser := sse.Parser{MaxData: maxCaptureBody}
	parser.OnEvent = func(e sse.Event) {
		var chunk struct{ Choices []apiChoice }
		if json.Unmarshal(e.Data, &chunk) != nil {
			return
		}
		for _, c := range chunk.Choices {
			if c.Index < 0 || c.Index >= maxChoices {
				continue
			}
			for len(messages) <= c.Index {
				messages = append(messages, message{Role: "assistant"})
			}
			messages[c.Index].extend(&c)
		}
	}
	_, _ = parser.Write(body) // never fails
	return messages
}

// extend adds one delta.
func (m *message) extend(c *apiChoice) {
	if c.FinishReason != "" {
		m.FinishReason = c.FinishReason
	}
	m.appendText("reasoning", c.Delta.Reasoning+c.Delta.ReasoningContent)
	var text string
	_ = json.Unmarshal(c.Delta.Content, &text) // null and absent are no text
	m.appendText("text", text+c.Text)
	for _, t := range c.Delta.ToolCalls {
		last := len(m.Parts) - 1
		if t.ID != "" || t.Function.Name != "" || last < 0 || m.Parts[last].Type != "tool_call" {
			m.Parts = append(m.Parts, part{Type: "tool_call", ID: t.ID, Name: t.Function.Name})
			last++
		}
		m.Parts[last].Arguments += t.Function.Arguments
	}
}

func (m *message) appendText(kind, text string) {
	if text == "" {
		return
	}
	if last := len(m.Parts) - 1; last >= 0 && m.Parts[last].Type == kind {
		m.Parts[last].Content += text
		return
	}
	m.Parts = append(m.Parts, part{Type: kind, Content: text})
}
