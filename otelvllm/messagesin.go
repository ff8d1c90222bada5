package otelvllm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"reflect"
)

// maxParts bounds the messages of a body that are captured, and the parts of all of them.
const maxParts = 1024

// few is a list of which no more than maxParts elements are read: a body of small ones would take a hundred times its
// own size.
type few[T any] []T

// UnmarshalJSON reads the list. Like encoding/json it goes on after an element of another type, and says so at the end.
func (f *few[T]) UnmarshalJSON(raw []byte) (odd error) {
	*f = nil
	if len(raw) <= maxParts { // there can be no more in it
		return json.Unmarshal(raw, (*[]T)(f))
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	switch first, err := d.Token(); {
	case err != nil || first == nil:
		return err
	case first != json.Delim('['):
		return &json.UnmarshalTypeError{Value: "something else than a list", Type: reflect.TypeFor[few[T]]()}
	}
	for len(*f) < maxParts && d.More() {
		var element T
		if err := d.Decode(&element); err != nil {
			odd = err
		}
		*f = append(*f, element)
	}
	return odd
}

// asking is what the body of a request says, in any of the APIs.
type asking struct {
	Messages     few[apiMessage]
	Prompt       json.RawMessage // completions: a string or a list
	Input        json.RawMessage // embeddings: a string or a list of them; Responses: a string or a list of items
	System       json.RawMessage // Messages: a string or a list of blocks
	Instructions json.RawMessage // Responses: a string
	Tools        few[apiTool]
}

// apiMessage is a message of a chat, asked or answered.
type apiMessage struct {
	Role             string           `json:"role"`
	Content          json.RawMessage  `json:"content"`
	Reasoning        string           `json:"reasoning"`
	ReasoningContent string           `json:"reasoning_content"` // its name up to vLLM 0.11
	ToolPlan         string           `json:"tool_plan"`         // Cohere's reasoning about tools
	ToolCallID       string           `json:"tool_call_id"`
	ToolCalls        few[apiToolCall] `json:"tool_calls"`
}

type apiToolCall struct {
	Index    int    `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// apiTool is a tool that the model may call: a chat puts what is said of it into function.
type apiTool struct {
	Type        string
	Name        string
	Description string
	Parameters  json.RawMessage
	InputSchema json.RawMessage `json:"input_schema"` // what the Messages API calls parameters
	Function    *struct {
		Name, Description string
		Parameters        json.RawMessage
	}
}

// readAsking reads the body of a request. What is not of the form it should have is nothing.
func readAsking(body []byte) (a asking) {
	if !understand(body, &a) {
		return asking{}
	}
	return a
}

// messages are those of a chat, a prompt, texts to embed, or the items of the Responses API.
func (a *asking) messages() (out []message) {
	room := maxParts
	add := func(list ...message) (full bool) {
		out = append(out, list...)
		for i := range list {
			room -= len(list[i].Parts)
		}
		return room <= 0
	}
	for _, m := range a.Messages {
		if add(m.messages()...) {
			break
		}
	}
	for _, text := range append(texts(a.Prompt), texts(a.Input)...) {
		out = append(out, message{Role: "user", Parts: []part{{Type: "text", Content: text}}})
	}
	for _, item := range blocks(a.Input) {
		if room <= 0 || add(item.message()) {
			break
		}
	}
	return out[:min(len(out), maxParts)]
}

// message turns an item of the Responses API into a message.
func (b *block) message() message {
	switch b.Type {
	case "", "message":
		return message{Role: cmp.Or(b.Role, "user"), Parts: contentParts(b.Content)}
	case "function_call_output":
		return message{Role: "tool", Parts: []part{b.part()}}
	}
	return message{Role: "assistant", Parts: []part{b.part()}}
}

// messages turns a message of the API into one of the conventions. Results of tools, which the Messages API puts into
// a message of the user, stand in messages of their own.
func (m *apiMessage) messages() []message {
	whole := m.message()
	var results, rest []part
	for _, p := range whole.Parts {
		if p.Type == "tool_call_response" && m.Role != "tool" {
			results = append(results, p)
		} else {
			rest = append(rest, p)
		}
	}
	if len(results) == 0 {
		return []message{whole}
	}
	out := []message{{Role: "tool", Parts: results}}
	if len(rest) > 0 {
		whole.Parts = rest
		out = append(out, whole)
	}
	return out
}

func (m *apiMessage) message() message {
	out := message{Role: m.Role}
	if reasoning := m.Reasoning + m.ReasoningContent + m.ToolPlan; reasoning != "" {
		out.Parts = append(out.Parts, part{Type: "reasoning", Content: reasoning})
	}
	for _, p := range contentParts(m.Content) {
		if m.Role == "tool" && p.Type == "text" {
			p = part{Type: "tool_call_response", ID: m.ToolCallID, Response: p.Content}
		}
		out.Parts = append(out.Parts, p)
	}
	for _, t := range m.ToolCalls {
		out.Parts = append(out.Parts, part{Type: "tool_call", ID: t.ID, Name: t.Function.Name, Arguments: t.Function.Arguments})
	}
	return out
}

// instructions are what the model is told apart from the messages.
func (a *asking) instructions() []part {
	return append(contentParts(a.System), contentParts(a.Instructions)...)
}

// tools are the definitions of the tools, in one shape for all APIs.
func (a *asking) tools() (out []toolDefinition) {
	for _, t := range a.Tools {
		d := toolDefinition{Type: t.Type, Name: t.Name, Description: t.Description, Parameters: t.Parameters}
		if len(t.InputSchema) > 0 {
			d.Parameters = t.InputSchema
		}
		if f := t.Function; f != nil {
			d.Name, d.Description, d.Parameters = f.Name, f.Description, f.Parameters
		}
		if d.Type == "" || d.Type == "custom" {
			d.Type = "function"
		}
		out = append(out, d)
	}
	return out
}
