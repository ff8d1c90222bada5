package main

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
)

var errBroken = errors.New("the engine's answer broke off before its end")

// notReadyError tells that the engine did not become ready in time, and why.
type notReadyError struct {
	within time.Duration
	last   error
}

func (e *notReadyError) Error() string {
	return fmt.Sprintf("the engine was not ready within %s: %s", e.within, engine.Reason(e.last))
}

func (e *notReadyError) Unwrap() error { return e.last }

// forCaller puts an error into words that tell the caller what the engine said and leave out where
// the engine is.
func forCaller(err error) error {
	var (
		status   *openai.Error
		event    *ssestream.StreamError
		notReady *notReadyError
	)
	switch {
	case err == nil, errors.Is(err, errBroken), errors.As(err, &notReady):
		return err
	case errors.As(err, &status):
		text := status.Message
		if text == "" {
			text = http.StatusText(status.StatusCode)
		}
		return fmt.Errorf("the engine answered %d: %s", status.StatusCode, text)
	case errors.As(err, &event):
		return fmt.Errorf("the engine failed: %s", event.Message)
	}
	return fmt.Errorf("the connection to the engine failed: %s", engine.Reason(err))
}
