package sidecar

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
)

// probePause is the time between two looks at /health while requests wait for the engine: the
// monitor's readings are too far apart for them.
const probePause = 250 * time.Millisecond

// probe asks whether the engine takes requests, not whether it makes progress: /health of a wedged
// vLLM stays 200. However many requests wait, one of them looks at a time, and all go by what it sees.
type probe struct {
	client engine.Client

	mu   sync.Mutex
	last *look // the one that is under way, or the last one
}

// look is one look at /health. Its fields are set once done is closed.
type look struct {
	done  chan struct{}
	ended time.Time
	err   error // nil: the engine is ready
}

func newProbe(base *url.URL) *probe { return &probe{client: engine.Client{URL: base.String()}} }

// wait returns nil once the engine is ready, or what the last look found when ctx ends.
func (p *probe) wait(ctx context.Context) error {
	err := ctx.Err()
	for {
		l := p.look(ctx)
		select {
		case <-l.done:
			if err = l.err; err == nil {
				return nil
			}
		case <-ctx.Done():
			return cmp.Or(err, ctx.Err())
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Until(l.ended.Add(probePause))):
		}
	}
}

// look returns the look that is under way, or the last one if it was just now; else it takes one, which does not end with
// the request that happens to take it.
func (p *probe) look(ctx context.Context) *look {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.last; l != nil {
		select {
		case <-l.done:
			if time.Since(l.ended) < probePause {
				return l
			}
		default:
			return l
		}
	}
	l := &look{done: make(chan struct{})}
	p.last = l
	go func() {
		defer close(l.done)
		status, err := p.client.Health(context.WithoutCancel(ctx)) // it has a time limit of its own
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("the engine is not ready: /health answered %d", status)
		}
		l.err, l.ended = err, time.Now()
	}()
	return l
}
