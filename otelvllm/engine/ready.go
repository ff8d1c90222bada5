package engine

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Pauses between two questions of [Client.WaitReady].
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// WaitReady asks /health until its status is 200, with pauses that grow from 0.1 s to 5 s. It is for the start of a
// job or a service, and fits otelvllm.EngineInit:
//
//	err := otelvllm.EngineInit(ctx, client.WaitReady)
//
// Where ctx ends before, the error is that of the last question that was answered or refused, so that [Reason] tells
// what was wrong and not that the time is over. A URL that is none is an error at once.
func (c *Client) WaitReady(ctx context.Context) error {
	var last error
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := c.ready(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if Reason(err) == "bad_url" {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return last
		}
	}
}

// ready asks once.
func (c *Client) ready(ctx context.Context) error {
	status, err := c.Health(ctx)
	if err == nil && status != http.StatusOK {
		return fail(statusWord(status), "the engine is not ready: its /health answers %d", status)
	}
	if err != nil {
		return fmt.Errorf("the engine is not ready: %w", err)
	}
	return nil
}
