package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.opentelemetry.io/otel/propagation"
)

// What a job may ask for.
const (
	actionGenerate = "generate"
	actionHealth   = "health"
)

// task is what a job is to do.
type task struct {
	id    string
	input input
	// carrier holds the trace context of the request that brought the job, in the form of headers,
	// so that it would survive a queue outside this process too.
	carrier propagation.MapCarrier
	// sync tells that the caller waits for the output.
	sync bool
}

// input is the "input" of a job.
type input struct {
	Action         string                     `json:"action"` // empty means "generate"
	Prompt         string                     `json:"prompt"` // either this
	Messages       json.RawMessage            `json:"messages"`
	Model          string                     `json:"model"` // empty means the worker's own
	SamplingParams map[string]json.RawMessage `json:"sampling_params"`
	Stream         bool                       `json:"stream"` // hand the output out in parts, by /stream
}

// reserved are the parameters that a job does not set by sampling_params, as the worker has its own
// way with them.
var reserved = []string{"model", "messages", "prompt", "stream", "stream_options", "n", "tools", "tool_choice"}

// parse reads the body of /run and /runsync. Its errors are for the caller.
func parse(body io.Reader) (*task, error) {
	var request struct {
		Input *input `json:"input"`
	}
	d := json.NewDecoder(body)
	d.DisallowUnknownFields() // a misspelt parameter must not be ignored
	if err := d.Decode(&request); err != nil {
		if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) && wrong.Field == "" {
			err = fmt.Errorf("it is no JSON object but one of type %s", wrong.Value)
		} else if wrong.Field != "" {
			err = fmt.Errorf("%q must not be of type %s", wrong.Field, wrong.Value)
		}
		return nil, fmt.Errorf("read the job: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the body goes on behind the job; send one JSON object")
	}
	if request.Input == nil {
		return nil, errors.New(`the job has no "input"; send {"input":{"prompt":"…"}}`)
	}
	return &task{input: *request.Input}, request.Input.check()
}

func (in *input) check() error {
	switch in.Action {
	case actionHealth:
		return nil
	case "", actionGenerate:
	default:
		return fmt.Errorf("unknown action %.64q; there are %q and %q", in.Action, actionGenerate, actionHealth)
	}
	messages := len(in.Messages) > 0 && !bytes.Equal(in.Messages, []byte("null"))
	switch {
	case messages && in.Prompt != "":
		return errors.New(`the input has both "prompt" and "messages"; send one of them`)
	case !messages && in.Prompt == "":
		return errors.New(`the input has neither "prompt" nor "messages"`)
	case messages && in.Messages[0] != '[':
		return errors.New(`"messages" is not a list; send [{"role":"user","content":"…"}]`)
	}
	for _, name := range reserved {
		if _, ok := in.SamplingParams[name]; ok {
			return fmt.Errorf("sampling_params must not hold %q; it may hold what else the engine takes, such as %s", name, strings.Join([]string{"max_tokens", "temperature"}, " and "))
		}
	}
	return nil
}

// operation is the GenAI operation that the job comes to.
func (in *input) operation() string {
	if in.Prompt != "" {
		return "text_completion"
	}
	return "chat"
}

// body is the request to the engine. The token counts are asked for, as the job's output tells them.
func (in *input) body(model string) (json.RawMessage, error) {
	body := map[string]any{"model": model, "stream_options": map[string]bool{"include_usage": true}}
	if in.Prompt != "" {
		body["prompt"] = in.Prompt
	} else {
		body["messages"] = in.Messages
	}
	for name, value := range in.SamplingParams {
		body[name] = value
	}
	return json.Marshal(body)
}
