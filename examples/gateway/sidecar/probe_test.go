package sidecar

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// TestManyWhoWaitLookAtTheEngineAsOne has a hundred requests wait for an engine that is ready at the fourth look.
func TestManyWhoWaitLookAtTheEngineAsOne(t *testing.T) {
	const waiting = 100
	var looks atomic.Int64
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if looks.Add(1) < 4 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer engine.Close()
	base, _ := url.Parse(engine.URL)
	p := newProbe(base)
	var all sync.WaitGroup
	for range waiting {
		all.Go(func() {
			if err := p.wait(t.Context()); err != nil {
				t.Errorf("got %v, want nil", err)
			}
		})
	}
	all.Wait()
	if got := looks.Load(); got > waiting/4 {
		t.Errorf("got %d looks at the engine for %d requests, want a few", got, waiting)
	}
}

func TestTheLookDoesNotEndWithWhoTookIt(t *testing.T) {
	var looks atomic.Int64
	asked, answer := make(chan struct{}), make(chan struct{})
	engine := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if looks.Add(1) == 1 {
			close(asked)
			<-answer
		}
	}))
	defer engine.Close()
	base, _ := url.Parse(engine.URL)
	p := newProbe(base)
	first, leave := context.WithCancel(t.Context())
	left, stayed := make(chan error, 1), make(chan error, 1)
	go func() { left <- p.wait(first) }()
	<-asked
	go func() { stayed <- p.wait(t.Context()) }()
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v, want context.Canceled", err)
	}
	close(answer)
	if err := <-stayed; err != nil {
		t.Errorf("who stayed got %v, want nil", err)
	}
	if got := looks.Load(); got != 1 {
		t.Errorf("got %d looks, want the one that both waited for", got)
	}
}
