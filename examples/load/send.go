package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	reportEvery = 10 * time.Second
	firstHang   = 5 * time.Second // after the start, so that who looks need not wait
)

// kind is one sort of request. How often it comes is its weight over the sum of all.
type kind struct {
	weight int
	path   string
	body   map[string]any // beside model and prompt
	fault  string         // for a simulated engine; such kinds need -faults
	leave  time.Duration  // after which the caller leaves
}

var kinds = []kind{
	{weight: 56, path: "/v1/chat/completions", body: map[string]any{"stream": true}},
	{weight: 14, path: "/v1/chat/completions"},
	{weight: 10, path: "/v1/completions", body: map[string]any{"stream": true}},
	{weight: 10, path: "/v1/embeddings"},
	{weight: 4, path: "/v1/chat/completions", body: map[string]any{"stream": true}, leave: 300 * time.Millisecond},
	{weight: 2, path: "/v1/chat/completions", body: map[string]any{"temperature": -1}}, // refused with 400
	{weight: 2, path: "/v1/chat/completions", body: map[string]any{"stream": true}, fault: "error-event; after=10"},
	{weight: 2, path: "/v1/chat/completions", body: map[string]any{"stream": true}, fault: "truncate; after=10"},
}

// hanging falls silent after some tokens, for longer than the gateway takes to call that a stall.
var hanging = kind{path: "/v1/chat/completions", body: map[string]any{"stream": true}, fault: "hang-decode; after=20; for=50s"}

// choose draws a kind.
func choose(r *rand.Rand, faults bool) kind {
	sum := 0
	for _, k := range kinds {
		if k.fault == "" || faults {
			sum += k.weight
		}
	}
	n := r.IntN(sum)
	for _, k := range kinds {
		if k.fault != "" && !faults {
			continue
		}
		if n -= k.weight; n < 0 {
			return k
		}
	}
	return kinds[0]
}

var words = strings.Fields("tell me about the sea a river old maps and why it rains on mountains first what do birds know of winter")

// request makes the path and body of a request, with a prompt and a length drawn at random.
func (k kind) request(r *rand.Rand, model string) []byte {
	body := map[string]any{"model": model}
	prompt := make([]string, 5+r.IntN(120))
	for i := range prompt {
		prompt[i] = words[r.IntN(len(words))]
	}
	text := strings.Join(prompt, " ")
	switch k.path {
	case "/v1/chat/completions":
		body["messages"] = []any{map[string]any{"role": "user", "content": text}}
	case "/v1/embeddings":
		body["input"] = text
	default:
		body["prompt"] = text
	}
	if k.path != "/v1/embeddings" {
		body["max_tokens"] = 20 + r.IntN(180)
	}
	for name, value := range k.body {
		body[name] = value
	}
	b, _ := json.Marshal(body) // of maps, strings and numbers it cannot fail
	return b
}

// sender sends requests. Its counters may be read at any time.
type sender struct {
	*options
	client *http.Client
	random *rand.Rand
	free   chan struct{} // holds one for each request that runs

	sent, unsent, completed, refused, failed, left atomic.Int64
}

// run sends until ctx ends, and then gives running requests some time to end.
func (s *sender) run(ctx context.Context, stdout io.Writer) {
	var wg sync.WaitGroup
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	next, report := time.NewTimer(0), time.NewTicker(reportEvery)
	defer next.Stop()
	defer report.Stop()
	var hang <-chan time.Time
	if s.faults {
		hang = time.After(min(firstHang, s.hang))
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-report.C:
			s.report(stdout)
		case <-hang:
			hang = time.After(s.hang)
			s.start(requests, &wg, hanging)
		case <-next.C:
			next.Reset(time.Duration(s.random.ExpFloat64() / s.rate * float64(time.Second)))
			s.start(requests, &wg, choose(s.random, s.faults))
		}
	}
	stop := time.AfterFunc(s.drain, cancel)
	defer stop.Stop()
	wg.Wait()
	s.report(stdout)
}

// start sends one request on a goroutine of its own, unless too many run.
func (s *sender) start(ctx context.Context, wg *sync.WaitGroup, k kind) {
	body := k.request(s.random, s.model)
	select {
	case s.free <- struct{}{}:
	default:
		s.unsent.Add(1)
		return
	}
	s.sent.Add(1)
	wg.Go(func() {
		defer func() { <-s.free }()
		s.send(ctx, k, body).Add(1)
	})
}

// send sends one request, reads its answer, and returns the counter of how it ended.
func (s *sender) send(ctx context.Context, k kind, body []byte) *atomic.Int64 {
	if k.leave > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, k.leave)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.engine+k.path, bytes.NewReader(body))
	if err != nil {
		return &s.failed
	}
	req.Header.Set("Content-Type", "application/json")
	if k.fault != "" {
		req.Header.Set("X-Fake-Fault", k.fault)
	}
	resp, err := s.client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
	}
	switch {
	case ctx.Err() != nil:
		return &s.left
	case err != nil || resp.StatusCode >= 500:
		return &s.failed
	case resp.StatusCode >= 400:
		return &s.refused
	}
	return &s.completed
}

func (s *sender) report(stdout io.Writer) {
	fmt.Fprintf(stdout, "load: sent %d: %d completed, %d refused, %d failed, %d left; %d not sent\n",
		s.sent.Load(), s.completed.Load(), s.refused.Load(), s.failed.Load(), s.left.Load(), s.unsent.Load())
}
