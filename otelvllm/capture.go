package otelvllm

import (
	"os"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
)

// Capture says what content of requests and answers goes onto the request span. Its zero value
// captures nothing, which is the default.
type Capture struct {
	// Input puts the messages, prompt or texts of the request into gen_ai.input.messages.
	Input bool
	// Output puts the answer into gen_ai.output.messages: text, reasoning and tool calls.
	Output bool
	// Redact changes each text before it is cut to size, so that a cut cannot hide half a secret
	// from it. Nil changes nothing. It runs on the goroutine that ends the call and must not block;
	// where it panics, the text is left out.
	Redact func(string) string
	// MaxBytes bounds the texts of each of the two attributes together. Zero means 16 KiB. What is
	// longer is cut at the end of a character; the JSON stays valid.
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
	if c.Input {
		if text := c.encode(inputMessages(r.in.data)); text != "" {
			kvs = append(kvs, keyInputMessages.String(text))
		}
	}
	if c.Output {
		messages := outputMessages
		if streamed {
			messages = streamMessages
		}
		if text := c.encode(messages(r.out.data)); text != "" {
			kvs = append(kvs, keyOutputMessages.String(text))
		}
	}
	return kvs
}

// encode redacts and cuts the texts of the messages and returns them as JSON; empty if there are
// none.
func (c Capture) encode(messages []message) string {
	if len(messages) == 0 {
		return ""
	}
	left := c.MaxBytes
	if left <= 0 {
		left = defaultMaxBytes
	}
	for i := range messages {
		for j := range messages[i].Parts {
			for _, text := range messages[i].Parts[j].texts() {
				*text = cut(c.redact(*text), &left)
			}
		}
	}
	return marshal(messages)
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
