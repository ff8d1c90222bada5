package wire

import "strings"

// Speech to text: POST /v1/audio/transcriptions and /v1/audio/translations. A request is a form with a file; its streams
// are like those of a chat. In one piece a transcription tells how many seconds of sound there were as its usage, which
// are no tokens, and a translation tells nothing. A stream tells tokens only where the field stream_include_usage asks.

var (
	audioBody  = answerSchema(generationUsage)
	audioEvent = chatEvent
)

// readField takes a field of a form.
func (r *Request) readField(name string, v *visit) {
	text := strings.ToValidUTF8(string(v.raw), "\uFFFD")
	number := visit{cut: v.cut}
	if raw := []byte(strings.TrimSpace(text) + " "); numberLen(raw) == len(raw)-1 {
		number.kind, number.raw = kindNumber, raw[:len(raw)-1]
	}
	switch name {
	case "model":
		r.Model = text
	case "stream":
		r.Stream = isTrue(text)
	case "stream_include_usage":
		r.IncludeUsage = isTrue(text)
	case "max_completion_tokens":
		r.MaxTokens = number.integer()
	case "seed":
		r.Seed = number.integer()
	case "top_k":
		r.TopK = number.integer()
	case "temperature":
		r.Temperature = number.float()
	case "top_p":
		r.TopP = number.float()
	case "frequency_penalty":
		r.FrequencyPenalty = number.float()
	case "presence_penalty":
		r.PresencePenalty = number.float()
	}
}

// isTrue reads a switch as vLLM's forms take it.
func isTrue(text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "t", "1", "yes", "y", "on":
		return true
	}
	return false
}
