package main

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// simulate serves a simulated vLLM on a free port of this machine. end closes it.
func simulate(ctx context.Context) (engine *url.URL, end func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	server := &http.Server{
		Handler:           sim.New(sim.Config{PerRequestMetrics: true, PromptTokensDetails: true, AllowRequestFaults: true}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() { _ = server.Serve(l) }()
	return &url.URL{Scheme: "http", Host: l.Addr().String()}, func() { server.Close() }, nil
}
