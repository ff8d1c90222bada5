package otelvllm

import (
	"encoding/json"
	"os"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
)

// Capture says what content of requests and answers goes onto the request span. Its zero value
// captures nothing, which is the default.
type Capture struct {
	// Input puts the messages, prompt or texts of the request into gen_ai.input.messages, what the model is told
	// apart from them into gen_ai.system_instructions, and the tools it may call into gen_ai.tool.definitions. It
	// reads chats, completions and embeddings, the Responses and Messages APIs, and Cohere's chat.
	Input bool
	// Output puts the answer into gen_ai.output.messages: text, reasoning and tool calls. Of speech to text,
	// be it a form or a WebSocket, nothing is captured.
	Output bool
	// Redact changes each text before it is cut to size, so that a cut cannot hide half a secret
	// from it. Nil changes nothing. It runs on the goroutine that ends the call and must not block;
	// where it panics, the text is left out.
	Redact func(string) string
	// MaxBytes bounds the texts of each of the attributes together. Zero means 16 KiB. What is longer is cut at
	// the end of a character, or left out if it is JSON, as the parameters of a tool are; the JSON stays valid. Of
	// a body at most 1,024 messages are kept, with 1,024 parts in all.
	MaxBytes int
}

// envCapture is the variable by which operators of GenAI instrumentations switch capture on.
const envCapture = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

// Bounds on what is kept of a body until the call ends. A longer one is not captured.
const (
	maxCaptureBody  = 4 << 20
	defaultMaxBytes = 16 << 10
)

// WithContentCapture records content as c says, in the JSON shapes of the GenAI conventions v1.41.
// It wins over the variable OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT, whose values
// SPAN_ONLY, SPAN_AND_EVENT and true capture both input and output.
func WithContentCapture(c Capture) Option { return func(cfg *config) { cfg.capture = c } }

// captureFromEnv reads the variable. Content goes onto the span or nowhere: EVENT_ONLY captures
// nothing.
func captureFromEnv() Capture {
	switch strings.ToUpper(strings.TrimSpace(os.Getenv(envCapture))) {
	case "SPAN_ONLY", "SPAN_AND_EVENT", "TRUE":
		return Capture{Input: true, Output: true}
	}
	return Capture{}
}

// recording keeps the bodies of one call for its capture. A nil recording keeps nothing.
type recording struct{ in, out kept }

// kept is a body, as long as it is not too large.
type kept struct {
	data     []byte
	overflow bool
}

func (k *kept) add(p []byte) {
	if k.overflow {
		return
	}
	if len(k.data)+len(p) > maxCaptureBody {
		k.data, k.overflow = nil, true
		return
	}
	k.data = append(k.data, p...)
}

func newRecording(c Capture) *recording {
	if !c.Input && !c.Output {
		return nil
	}
	return &recording{}
}

// request keeps bytes of the request.
func (r *recording) request(p []byte) {
	if r != nil {
		r.in.add(p)
	}
}

// answer keeps bytes of the answer.
func (r *recording) answer(p []byte) {
	if r != nil {
		r.out.add(p)
	}
}

// restart forgets an answer that another attempt replaces.
func (r *recording) restart() {
	if r != nil {
		r.out = kept{}
	}
}

// attributes makes the content attributes. A body that is not what it should be captures nothing.
func (r *recording) attributes(c Capture, streamed bool) []attribute.KeyValue {
	if r == nil {
		return nil
	}
	var kvs []attribute.KeyValue
	add := func(key attribute.Key, text string) {
		if text != "" {
			kvs = append(kvs, key.String(text))
		}
	}
	if c.Input {
		asked := readAsking(r.in.data)
		add(keyInputMessages, c.encode(asked.messages()))
		add(keySystemInstructions, c.encodeParts(asked.instructions()))
		add(keyToolDefinitions, c.encodeTools(asked.tools()))
	}
	if c.Output {
		messages := outputMessages
		if streamed {
			messages = streamMessages
		}
		add(keyOutputMessages, c.encode(messages(r.out.data)))
	}
	return kvs
}

// encode redacts and cuts the texts of the messages and returns them as JSON; empty if there are
// none.
func (c Capture) encode(messages []message) string {
	if len(messages) == 0 {
		return ""
	}
	left, room := c.limit(), maxParts
	for i := range messages {
		m := &messages[i]
		m.Parts = m.Parts[:min(len(m.Parts), room)]
		room -= len(m.Parts)
		m.Role, m.FinishReason = role(m.Role), clean(m.FinishReason, maxText)
		c.trim(m.Parts, &left)
	}
	return marshal(messages)
}

func (c Capture) encodeParts(parts []part) string {
	if len(parts) == 0 {
		return ""
	}
	left := c.limit()
	parts = parts[:min(len(parts), maxParts)]
	c.trim(parts, &left)
	return marshal(parts)
}

func (c Capture) limit() int {
	if c.MaxBytes > 0 {
		return c.MaxBytes
	}
	return defaultMaxBytes
}

// trim redacts and cuts the texts of parts.
func (c Capture) trim(parts []part, left *int) {
	for i := range parts {
		for _, text := range parts[i].texts() {
			if *text != "" {
				*text = cut(c.redact(*text), left)
			}
		}
	}
}

// encodeTools does the same for the definitions of tools. Parameters that are no JSON any more after the redaction, or
// that do not fit, are left out.
func (c Capture) encodeTools(tools []toolDefinition) string {
	if len(tools) == 0 {
		return ""
	}
	left := c.limit()
	for i := range tools {
		t := &tools[i]
		for _, text := range []*string{&t.Type, &t.Name, &t.Description} {
			if *text != "" {
				*text = cut(c.redact(*text), &left)
			}
		}
		if len(t.Parameters) == 0 {
			continue
		}
		parameters := strings.ToValidUTF8(c.redact(string(t.Parameters)), "\uFFFD")
		if t.Parameters = nil; json.Valid([]byte(parameters)) && len(parameters) <= left {
			left -= len(parameters)
			t.Parameters = json.RawMessage(parameters)
		}
	}
	return marshal(tools)
}

// role is a role of the conventions, or "other": what a caller writes there is not redacted.
func role(s string) string {
	switch s {
	case "system", "developer", "user", "assistant", "tool", "function":
		return s
	}
	return "other"
}

// redact runs the user's function; a panic of it must neither reach the request nor let the text
// out.
func (c Capture) redact(s string) (out string) {
	if c.Redact == nil {
		return s
	}
	defer func() {
		if recover() != nil {
			out = ""
		}
	}()
	return c.Redact(s)
}

// cut returns as much of s as there is room for, as valid UTF-8.
func cut(s string, left *int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	n := min(len(s), *left)
	for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	*left -= n
	return s[:n]
}
