package sidecar

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
)

// probePause is the time between two looks at /health while requests wait for the engine: the
// monitor's readings are too far apart for them.
const probePause = 250 * time.Millisecond

// probe asks whether the engine takes requests, not whether it makes progress: /health of a wedged
// vLLM stays 200.
type probe struct{ client engine.Client }

func newProbe(base *url.URL) *probe { return &probe{engine.Client{URL: base.String()}} }

// wait returns nil once the engine is ready, or what the last look found when ctx ends.
func (p *probe) wait(ctx context.Context) error {
	for {
		status, err := p.client.Health(ctx)
		switch {
		case err == nil && status == http.StatusOK:
			return nil
		case err == nil:
			err = fmt.Errorf("the engine is not ready: /health answered %d", status)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(probePause):
		}
	}
}
