// Command fakevllm is a simulated vLLM server: the HTTP API, the streams, the metrics and the failures of a real one,
// without a GPU and without a model.
//
//	go run ./test/fakevllm -port 8000
//
// Its flags are named after those of vLLM where vLLM has such a flag. Besides vLLM's endpoints it has /fake/fault, which
// lets faults happen and ends them:
//
//	curl http://127.0.0.1:8000/fake/fault -d '{"kind":"wedge"}'
//	curl http://127.0.0.1:8000/fake/fault -d '{"kind":"wedge","rank":1,"for":"45s"}'
//	curl http://127.0.0.1:8000/fake/fault -d '{"kind":"hang-decode","times":2,"after_tokens":10,"for":"1m"}'
//	curl -X DELETE http://127.0.0.1:8000/fake/fault
//
// Faults of the engine last until DELETE, or as long as "for" says: wedge, wedge-api, dead, loading, slow ("factor"),
// pause, sleep, busy. Faults of requests strike the next "times" requests: hang-headers, hang-queue, hang-prefill,
// hang-decode, error-event, truncate, end-early, reset. Package sim says what each looks like. A dead engine refuses
// connections, to /fake/fault too, so give "for" with it, or open a second port with -control.
//
// -metrics v0, v1 or rust gives /metrics the names and form of vLLM 0.6.6, 0.10.0 or the front end in Rust.
//
// With -allow-request-faults a request chooses its own fault, by the header X-Fake-Fault: hang-decode; after=5; for=30s
// or by [fault:hang-decode; after=5; for=30s] in its prompt.
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
