package otelvllm

import (
	"encoding/json"
	"errors"
	"strings"
)

// message and part are the shapes of gen_ai.input.messages and gen_ai.output.messages in the GenAI
// conventions v1.41; gen_ai.system_instructions is a list of parts.
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

	pieces []byte // of a stream, behind Content, or Arguments of a call
}

// texts returns what the caller or the model wrote.
func (p *part) texts() []*string {
	return []*string{&p.Content, &p.ID, &p.Name, &p.Arguments, &p.Response, &p.Modality, &p.URI}
}

// toolDefinition is one of gen_ai.tool.definitions. Its parameters are a JSON schema.
type toolDefinition struct {
	Type        string          `json:"type"`
	Name        string          `json:"name,omitempty"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
}

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "" // strings and valid JSON always encode
	}
	return string(b)
}

// block is a piece of content in any of the APIs: an item or a content part of the Responses API, a content block of
// the Messages API, a content part of a chat, OpenAI's or Cohere's.
type block struct {
	Type, Text, Thinking, Refusal string
	Role                          string
	ID, Name                      string
	CallID                        string          `json:"call_id"`
	ToolUseID                     string          `json:"tool_use_id"`
	Arguments                     json.RawMessage // a string
	Input                         json.RawMessage // an object
	Content, Summary, Output      json.RawMessage // a string or a list of blocks
	ImageURL                      json.RawMessage `json:"image_url"` // a string or an object
	VideoURL                      json.RawMessage `json:"video_url"`
	AudioURL                      json.RawMessage `json:"audio_url"`
	Source                        struct {
		URL       string
		MediaType string `json:"media_type"`
	}
}

// part turns a block into a part of the conventions. A block that is not known has what text it has.
func (b *block) part() part {
	switch b.Type {
	case "thinking", "reasoning_text", "summary_text":
		return part{Type: "reasoning", Content: b.text()}
	case "reasoning":
		return part{Type: "reasoning", Content: plainText(b.Summary) + plainText(b.Content)}
	case "tool_use":
		return part{Type: "tool_call", ID: b.ID, Name: b.Name, Arguments: string(b.Input)}
	case "function_call":
		return part{Type: "tool_call", ID: b.CallID, Name: b.Name, Arguments: oneText(b.Arguments)}
	case "tool_result":
		return part{Type: "tool_call_response", ID: b.ToolUseID, Response: plainText(b.Content)}
	case "function_call_output":
		return part{Type: "tool_call_response", ID: b.CallID, Response: plainText(b.Output)}
	}
	if text := b.text(); text != "" || b.Type == "text" || strings.HasSuffix(b.Type, "_text") {
		return part{Type: "text", Content: text}
	}
	modality, _, _ := strings.Cut(strings.TrimPrefix(b.Type, "input_"), "_")
	return part{Type: "uri", Modality: modality, URI: b.uri()}
}

// uri is where an image or the like is. Data in an URL is left out: it would fill the attribute.
func (b *block) uri() string {
	var found strings.Builder
	found.WriteString(b.Source.URL)
	for _, raw := range []json.RawMessage{b.ImageURL, b.VideoURL, b.AudioURL} {
		var object struct{ URL string }
		_ = json.Unmarshal(raw, &object) // a string has none
		found.WriteString(object.URL + oneText(raw))
	}
	uri := found.String()
	if uri == "" && b.Source.MediaType != "" {
		return "data:" + b.Source.MediaType
	}
	if head, _, ok := strings.Cut(uri, ","); ok && strings.HasPrefix(uri, "data:") {
		return head
	}
	return uri
}

// contentParts reads a content that is a string or a list of blocks.
func contentParts(raw json.RawMessage) (parts []part) {
	if text := oneText(raw); text != "" {
		return []part{{Type: "text", Content: text}}
	}
	for _, b := range blocks(raw) {
		parts = append(parts, b.part())
	}
	return parts
}

// blocks reads a list of blocks. One that is not a block is left out.
func blocks(raw json.RawMessage) []block {
	var list few[json.RawMessage]
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	out := make([]block, 0, len(list))
	for _, item := range list {
		var b block
		if understand(item, &b) && item[0] == '{' {
			out = append(out, b)
		}
	}
	return out
}

// plainText is the text of a string or a list of blocks. Blocks within those are passed over: who nests them deeply would
// have everything inside read once for each level.
func plainText(raw json.RawMessage) string {
	if text := oneText(raw); text != "" {
		return text
	}
	var text strings.Builder
	for _, b := range blocks(raw) {
		text.WriteString(b.text())
	}
	return text.String()
}

// text is the text of a block that holds no others.
func (b *block) text() string {
	switch b.Type {
	case "thinking", "reasoning_text", "summary_text":
		return b.Text + b.Thinking
	case "reasoning", "tool_use", "function_call", "tool_result", "function_call_output":
		return ""
	}
	return b.Text + b.Refusal
}

// understand reads JSON as far as it is of the form that v has: a member of another form is passed over.
func understand(raw []byte, v any) bool {
	err := json.Unmarshal(raw, v)
	var wrong *json.UnmarshalTypeError
	return err == nil || errors.As(err, &wrong)
}

// oneText returns a string, and "" for anything else.
func oneText(raw json.RawMessage) (text string) {
	_ = json.Unmarshal(raw, &text) // anything else has no text
	return text
}

// texts reads a string or a list of strings; token ids have no text.
func texts(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var many few[string]
	if json.Unmarshal(raw, &many) != nil {
		return nil
	}
	return many
}
