// Command fakevllm is a simulated vLLM server: the HTTP API, the streams, the metrics and the failures of a real one,
// without a GPU and without a model.
//
//	go run ./test/fakevllm -port 8000
//
// Its flags are named after those of vLLM where vLLM has such a flag. Besides vLLM's endpoints it has /fake/fault, which
// lets faults happen:
//
//	curl -X POST   http://127.0.0.1:8000/fake/fault -d '{"kind":"wedge"}'
//	curl -X DELETE http://127.0.0.1:8000/fake/fault
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// serveControl serves the control endpoint on a port of its own, which stays open when the engine is dead.
func serveControl(ctx context.Context, addr string, h http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for faults: %w", err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(l) // ends with the process
	context.AfterFunc(ctx, func() { srv.Close() })
	return nil
}
