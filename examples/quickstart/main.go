// Command quickstart shows what otelvllm records, with nothing to install: it starts a simulated vLLM
// and the gateway in this process, sends four requests, and prints the trace of each. The last one
// hangs, and is shown while it hangs.
//
//	go run ./examples/quickstart          # ends by itself
//	go run ./examples/quickstart -serve   # keeps the gateway and its page open until Ctrl-C
//
// OTEL_* variables send the same telemetry to a collector.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/otelvllm/otelvllm-go/examples/gateway/sidecar"
	"github.com/otelvllm/otelvllm-go/examples/internal/demo"
	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/otlp"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// stallAfter is short, so that the hanging request is found while you watch.
const stallAfter = 2 * time.Second

// model is the name under which the simulated engine serves.
const model = "demo-8b"

func main() {
	serve := flag.Bool("serve", false, "keep the gateway and its live page open until Ctrl-C")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "quickstart: unexpected argument %q; the only flag is -serve\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *serve); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run starts everything, shows it, and ends it again.
func run(ctx context.Context, out io.Writer, serve bool) error {
	spans := newCollector()
	demo.ExportIfAsked()
	telemetry, err := otlp.Setup(ctx, otlp.WithServiceName("otelvllm-quickstart"), otlp.WithSpanProcessor(spans))
	if err != nil {
		return err
	}
	defer func() {
		left, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = telemetry.Shutdown(left) // Lost says it in numbers
		if lost := telemetry.Lost(); lost != (otlp.Lost{}) {
			fmt.Fprintf(out, "telemetry lost: spans=%d metrics=%d logs=%d\n", lost.Spans, lost.Metrics, lost.Logs)
		}
	}()
	work, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()

	engine, err := startEngine(work, spans)
	if err != nil {
		return err
	}
	gateway, callers, page, err := startGateway(work, &wg, engine, telemetry)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "simulated vLLM at %s, gateway at http://%s, live page at http://%s/\n\n", engine, callers, page)
	tour := &tour{out: out, spans: spans, gateway: gateway, base: "http://" + callers.String()}
	if err := tour.take(ctx); err != nil {
		return err
	}
	if serve {
		fmt.Fprintf(out, "The gateway stays open; try\n  curl -N http://%s/v1/chat/completions -H 'Content-Type: application/json' -d '{\"model\":%q,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'\n  and look at http://%s/  (Ctrl-C ends it)\n", callers, model, page)
		<-ctx.Done()
	} else {
		fmt.Fprintln(out, "With -serve the gateway and its live page stay open. In front of a real vLLM: go run ./examples/gateway -engine http://127.0.0.1:8000")
	}
	return nil
}

// startEngine serves a simulated vLLM on a free port until ctx ends. Its spans join the same traces.
func startEngine(ctx context.Context, spans sdktrace.SpanProcessor) (*url.URL, error) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "vllm"))))
	engine, end, err := demo.Engine(ctx, sim.Config{
		Model: model, PerRequestMetrics: true, PromptTokensDetails: true, AllowRequestFaults: true, TracerProvider: provider,
	})
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, end)
	return url.Parse(engine)
}

// startGateway serves the gateway and its page on free ports.
func startGateway(ctx context.Context, wg *sync.WaitGroup, engine *url.URL, t *otlp.Telemetry) (*sidecar.Sidecar, net.Addr, net.Addr, error) {
	var gateway *sidecar.Sidecar
	gpus, err := gpumetrics.New(demo.GPUs(func() float64 { return gateway.Load() }), gpumetrics.WithMeterProvider(t.MeterProvider()), gpumetrics.WithInterval(time.Second))
	if err != nil {
		return nil, nil, nil, err
	}
	gateway = sidecar.New(sidecar.Config{
		Engine: engine, StallAfter: stallAfter, ScrapeInterval: 250 * time.Millisecond, UsageInjection: true, Metrics: t.Handler(), MeterProvider: t.MeterProvider(), GPUs: gpus,
	}, otelvllm.WithTracerProvider(t.TracerProvider()), otelvllm.WithMeterProvider(t.MeterProvider()), otelvllm.WithPropagators(t.Propagator()))
	lc := net.ListenConfig{}
	callers, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, err
	}
	page, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, errors.Join(err, callers.Close())
	}
	wg.Go(func() { _ = gateway.Serve(ctx, callers, page, func(string) {}) })
	return gateway, callers.Addr(), page.Addr(), nil
}
