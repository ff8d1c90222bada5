package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitReady(t *testing.T) {
	const address = "10.0.0.1:8000"
	for _, tt := range []struct {
		name   string
		url    string
		engine func(*scripted) // as it is while the model loads, the first 10 s
		limit  time.Duration
		reason string // of the error; empty means none
		took   time.Duration
	}{
		{"an engine that is up is not waited for", "", nil, time.Minute, "", 0},
		{"one that refuses while it loads is waited for", "", func(e *scripted) { e.refuses = true }, time.Minute, "", 11300 * time.Millisecond},
		{"one that answers 503 while it loads is waited for", "", func(e *scripted) { e.health = 503 }, time.Minute, "", 11300 * time.Millisecond},
		{"the error tells that it refused, not that the time is over", "", func(e *scripted) { e.refuses = true }, 3 * time.Second, "connection_refused", 3 * time.Second},
		{"the error tells the last status", "", func(e *scripted) { e.health = 503 }, 3 * time.Second, "status_503", 3 * time.Second},
		{"the error of a question that never was answered is its own", "", func(e *scripted) { e.silent = true }, time.Second, "timeout", time.Second},
		{"a URL that is none is no reason to wait", "vllm", nil, time.Minute, "bad_url", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, stop := newWorld(address)
				defer stop()
				if tt.engine != nil {
					w.engines[address].set(tt.engine)
				}
				time.AfterFunc(10*time.Second, func() {
					w.engines[address].set(func(e *scripted) { e.refuses, e.health = false, 200 })
				})
				client := Client{URL: "http://" + address, HTTP: w.client()}
				if tt.url != "" {
					client.URL = tt.url
				}
				ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
				defer cancel()
				start := time.Now()
				err := client.WaitReady(ctx)
				if took := time.Since(start); Reason(err) != tt.reason || took != tt.took {
					t.Errorf("got %v after %s, want reason %q after %s", err, took, tt.reason, tt.took)
				}
				client.HTTP.CloseIdleConnections()
			})
		})
	}
}
