// Command worker runs jobs on a vLLM engine: callers put them into a queue by an API in the form of
// RunPod's serverless one, and each job is recorded by otelvllm's wrapper functions.
//
//	go run ./examples/worker -engine http://127.0.0.1:8000
//	curl http://127.0.0.1:8081/runsync -d '{"input":{"prompt":"Once upon a time"}}'
//
// generate.go is the part to read first. Flags and variables are listed by -h.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"go.opentelemetry.io/contrib/bridges/otelslog"

	"github.com/otelvllm/otelvllm-go/examples/internal/demo"
	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/health"
	"github.com/otelvllm/otelvllm-go/otelvllm/otlp"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // what fails at start, such as an address in use
	exitUsage  = 2 // bad flags, bad variables, stray words
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stderr))
}

// run is main with everything it touches as a parameter.
func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	fail := func(status int, err error) int { fmt.Fprintln(stderr, "worker:", err); return status }
	c, err := parseConfig(args, getenv)
	if errors.Is(err, flag.ErrHelp) {
		writeUsage(stderr)
		return exitOK
	}
	if err != nil {
		return fail(exitUsage, err)
	}
	monitor := &health.Logger{}
	monitoring, err := monitor.FromEnv(getenv)
	if err != nil {
		return fail(exitUsage, err)
	}
	if c.engine == "" {
		demo.ExportIfAsked()
	}
	telemetry, err := otlp.Setup(ctx, otlp.WithServiceName("otelvllm-worker"), otlp.WithServiceVersion(otelvllm.Version))
	if err != nil {
		return fail(exitUsage, err)
	}
	defer leave(telemetry, stderr)
	if c.engine == "" {
		url, stop, err := demo.Engine(ctx, sim.Config{PerRequestMetrics: true, TracerProvider: telemetry.TracerProvider()})
		if err != nil {
			return fail(exitFailed, fmt.Errorf("simulated engine: %w", err))
		}
		defer stop()
		c.engine = url
		fmt.Fprintln(stderr, "engine: simulated (no -engine was given): answers are made up")
	}
	logger := slog.New(slog.NewMultiHandler(
		otelslog.NewHandler(otelvllm.ScopeName, otelslog.WithLoggerProvider(telemetry.LoggerProvider())),
		slog.NewTextHandler(stderr, nil),
	))
	s := newService(c, telemetry.Propagator(), logger, concurrencyEnv(getenv),
		otelvllm.WithTracerProvider(telemetry.TracerProvider()), otelvllm.WithMeterProvider(telemetry.MeterProvider()))
	if monitor.Source, monitor.Log = s.health, logger; monitoring {
		monitor.Start(ctx)
		defer monitor.Stop()
	}
	if err := s.serve(ctx, func(line string) { fmt.Fprintln(stderr, line) }); err != nil {
		return fail(exitFailed, err)
	}
	return exitOK
}

// leave sends what telemetry is left and says what was lost.
func leave(t *otlp.Telemetry, stderr io.Writer) {
	ctx, cancel := context.WithTimeout(context.Background(), lastWait)
	defer cancel()
	_ = t.Shutdown(ctx) // Lost says it in numbers
	if lost := t.Lost(); lost != (otlp.Lost{}) {
		fmt.Fprintf(stderr, "telemetry lost: spans=%d metrics=%d logs=%d\n", lost.Spans, lost.Metrics, lost.Logs)
	}
}
