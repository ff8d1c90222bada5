// Package demo holds what an example needs to run without a GPU and without a collector.
package demo

import (
	"context"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// Engine serves a simulated vLLM on a free port of this machine until stop is called.
func Engine(ctx context.Context, config sim.Config) (url string, stop func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: sim.New(config), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // its error is that stop was called
	return "http://" + l.Addr().String(), func() { server.Close() }, nil
}

// ExportIfAsked turns the export off unless the environment says where to: who has no collector
// yet need not wait for one. It tells whether something is exported.
func ExportIfAsked() bool {
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "OTEL_EXPORTER_") || name == "OTEL_CONFIG_FILE" ||
			strings.HasPrefix(name, "OTEL_") && strings.HasSuffix(name, "_EXPORTER") {
			return true
		}
	}
	for _, signal := range []string{"TRACES", "METRICS", "LOGS"} {
		os.Setenv("OTEL_"+signal+"_EXPORTER", "none")
	}
	return false
}
