package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// params are what the generating endpoints have in common.
type params struct {
	Model               string          `json:"model"`
	RequestID           string          `json:"request_id"`
	Stream              bool            `json:"stream"`
	StreamOptions       *streamOptions  `json:"stream_options"`
	N                   *int            `json:"n"`
	MaxTokens           *int            `json:"max_tokens"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	MinTokens           int             `json:"min_tokens"`
	Temperature         *float64        `json:"temperature"`
	TopP                *float64        `json:"top_p"`
	Stop                stringList      `json:"stop"`
	IgnoreEOS           bool            `json:"ignore_eos"`
	Seed                *int64          `json:"seed"`
	Echo                bool            `json:"echo"`
	ReturnTokenIDs      bool            `json:"return_token_ids"`
	PromptLogprobs      *int            `json:"prompt_logprobs"`
	ResponseFormat      *responseFormat `json:"response_format"`
}

type streamOptions struct {
	IncludeUsage         bool `json:"include_usage"`
	ContinuousUsageStats bool `json:"continuous_usage_stats"`
}

type responseFormat struct {
	Type       string `json:"type"`
	JSONSchema struct {
		Schema json.RawMessage `json:"schema"`
	} `json:"json_schema"`
}

// stringList is one string or a list of them.
type stringList []string

func (l *stringList) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = stringList{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// decode reads a request's body into v.
func decode(r *http.Request, v any, required ...string) *apiError {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return errInvalid("", "Unsupported Media Type: Only 'application/json' is allowed")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return &apiError{Message: "There was an error parsing the body", Type: "Bad Request", Code: http.StatusBadRequest}
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return errJSON(err, len(body))
	}
	for _, name := range required {
		if _, ok := fields[name]; !ok {
			return errInvalid("body."+name, fmt.Sprintf("{'type': 'missing', 'loc': 'body.%s', 'msg': 'Field required', 'input': '<dict of %d items>'}", name, len(fields)))
		}
	}
	if err := json.Unmarshal(body, v); err != nil {
		return errJSON(err, len(body))
	}
	return nil
}

func errJSON(err error, n int) *apiError {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		at := int(syntax.Offset)
		if at < n {
			at-- // the offset is behind the wrong byte, except at the end
		}
		loc := "body." + strconv.Itoa(at)
		err := errInvalid(loc, "{'type': 'json_invalid', 'loc': '"+loc+"', 'msg': 'JSON decode error', 'input': '<dict of 0 items>', 'ctx': {'error': 'Expecting value'}}")
		err.syntax = true
		return err
	case errors.As(err, &wrong):
		loc, want := "body", wrong.Type.String()
		if wrong.Field != "" {
			loc += "." + strings.TrimPrefix(wrong.Field, "params.") // embedded, which the caller does not see
		}
		return errInvalid(loc, fmt.Sprintf("{'type': '%s_type', 'loc': '%s', 'msg': 'Input should be a valid %s', 'input': %s}", want, loc, want, wrong.Value))
	}
	return errInvalid("body", fmt.Sprintf("{'type': 'value_error', 'loc': 'body', 'msg': '%v', 'input': '<dict>'}", err))
}

// checkModel says whether the engine serves the model.
func (e *Engine) checkModel(name string) *apiError {
	if name == "" || name == e.cfg.Model || slices.Contains(e.cfg.Aliases, name) {
		return nil
	}
	param := "model"
	names := append([]string{e.cfg.Model}, e.cfg.Aliases...)
	return &apiError{
		Type: "NotFoundError", Param: &param, Code: http.StatusNotFound,
		Message: fmt.Sprintf("The model `%s` does not exist. Valid aliases: %s.", name, strings.Join(names, ", ")),
	}
}

// check says what is wrong with the parameters of a generating request.
func (e *Engine) check(p *params) *apiError {
	if err := e.checkModel(p.Model); err != nil {
		return err
	}
	if p.MaxCompletionTokens != nil {
		p.MaxTokens = p.MaxCompletionTokens
	}
	switch {
	case p.StreamOptions != nil && !p.Stream:
		return errValue("stream_options", "", "Stream options can only be defined when `stream=True`.")
	case p.Temperature != nil && *p.Temperature < 0:
		t := pythonFloat(*p.Temperature)
		return errValue("temperature", t, "temperature must be non-negative, got "+t+".")
	case p.MaxTokens != nil && *p.MaxTokens < 1:
		n := strconv.Itoa(*p.MaxTokens)
		return errValue("max_tokens", n, "max_tokens must be at least 1, got "+n+".")
	case p.MaxTokens != nil && *p.MaxTokens > e.cfg.MaxModelLen:
		n := strconv.Itoa(*p.MaxTokens)
		return errValue("max_tokens", n, fmt.Sprintf("max_tokens=%s cannot be greater than max_model_len=%d. Please request fewer output tokens.", n, e.cfg.MaxModelLen))
	case p.N != nil && (*p.N < 1 || *p.N > maxN):
		n := strconv.Itoa(*p.N)
		return errValue("n", n, fmt.Sprintf("n must be at least 1 and at most %d, got %s.", maxN, n))
	case p.MaxTokens != nil && p.MinTokens > *p.MaxTokens:
		n := strconv.Itoa(p.MinTokens)
		return errValue("min_tokens", n, fmt.Sprintf("min_tokens must be less than or equal to max_tokens=%d, got %s.", *p.MaxTokens, n))
	case p.PromptLogprobs != nil && (*p.PromptLogprobs < 0 || *p.PromptLogprobs > maxLogprobs):
		return errLogprobs("prompt_logprobs", *p.PromptLogprobs)
	case p.PromptLogprobs != nil && p.Stream:
		return errValue("prompt_logprobs", "", "`prompt_logprobs` are not available when `stream=True`.")
	}
	return nil
}

// What vLLM allows without further flags: VLLM_MAX_N_SEQUENCES and --max-logprobs.
const (
	maxN        = 16384
	maxLogprobs = 20
)

func errLogprobs(param string, n int) *apiError {
	return errValue(param, strconv.Itoa(n), fmt.Sprintf("Requested %s of %d, which is not between 0 and %d.", param, n, maxLogprobs))
}

// room returns how many tokens the answer to a prompt may have; fallback is the endpoint's default, 0 for "all that fit".
func (e *Engine) room(p *params, prompt, fallback int) (int, *apiError) {
	limit := e.cfg.MaxModelLen
	left := limit - prompt
	if prompt == 0 {
		return 0, &apiError{Message: "The decoder prompt cannot be empty", Type: "BadRequestError", Code: http.StatusBadRequest}
	}
	if left < 1 {
		n := strconv.Itoa(limit + 1)
		return 0, errValue("input_tokens", n, fmt.Sprintf("This model's maximum context length is %d tokens. However, your prompt contains at least %s input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt.", limit, n))
	}
	if p.MaxTokens != nil && *p.MaxTokens > left {
		n := strconv.Itoa(left + 1)
		return 0, errValue("input_tokens", n, fmt.Sprintf("This model's maximum context length is %d tokens. However, you requested %d output tokens and your prompt contains at least %d input tokens, for a total of at least %d tokens. Please reduce the length of the input prompt or the number of requested output tokens.", limit, *p.MaxTokens, prompt, prompt+*p.MaxTokens))
	}
	switch {
	case p.MaxTokens != nil:
		return *p.MaxTokens, nil
	case fallback > 0:
		return min(fallback, left), nil
	}
	return left, nil
}

// checkFormat is what the grammar compiler says. vLLM finds it only when the stream has begun.
func (p *params) checkFormat() *apiError {
	if p.ResponseFormat == nil || p.ResponseFormat.Type != "json_schema" {
		return nil
	}
	var schema struct {
		Type string `json:"type"`
	}
	json.Unmarshal(p.ResponseFormat.JSONSchema.Schema, &schema) // what is no schema has no type
	switch schema.Type {
	case "", "object", "array", "string", "number", "integer", "boolean", "null":
		return nil
	}
	return &apiError{Message: "Grammar error: Invalid type: " + schema.Type, Type: "BadRequestError", Code: http.StatusBadRequest}
}

func (p *params) choices() int {
	if p.N == nil {
		return 1
	}
	return *p.N
}
