package sidecar

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// Times of the engine probe.
const (
	probeTimeout = 3 * time.Second
	probePause   = 250 * time.Millisecond // between two looks while requests wait
)

// probe asks the engine's /health now and then. It tells whether the engine takes requests, not
// whether it makes progress: /health of a wedged vLLM stays 200.
type probe struct {
	url      string
	client   *http.Client
	interval time.Duration
	state    atomic.Pointer[engineState]
}

// engineState is the answer to one probe.
type engineState struct {
	err  error
	when time.Time
}

func newProbe(engine *url.URL, interval time.Duration) *probe {
	p := &probe{interval: interval}
	if engine != nil {
		p.url = engine.JoinPath("/health").String()
	}
	p.client = &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p
}

func (p *probe) run(ctx context.Context) {
	for {
		p.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.interval):
		}
	}
}

// look asks once and keeps the answer.
func (p *probe) look(ctx context.Context) error {
	err := p.ask(ctx)
	if ctx.Err() == nil {
		p.state.Store(&engineState{err: err, when: time.Now()})
	}
	return err
}

func (p *probe) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: /health answered %d", errNotReady, resp.StatusCode)
	}
	return nil
}

// up tells whether the last look found the engine ready.
func (p *probe) up() bool {
	s := p.state.Load()
	return s != nil && s.err == nil
}

// wait returns nil once the engine is ready, or what the last look found when ctx ends.
func (p *probe) wait(ctx context.Context) error {
	for {
		err := p.look(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(probePause):
		}
	}
}
