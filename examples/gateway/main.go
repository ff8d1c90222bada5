// Command gateway is the sidecar in front of a vLLM engine: it passes requests through untouched and
// exports a trace, metrics and log records for each, and shows the running ones on a live page.
//
//	go run ./examples/gateway -engine http://127.0.0.1:8000
//
// Flags and variables are listed by -h. OTEL_* variables configure the export.
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
	"time"

	"go.opentelemetry.io/contrib/bridges/otelslog"

	"github.com/otelvllm/otelvllm-go/examples/gateway/sidecar"
	"github.com/otelvllm/otelvllm-go/examples/internal/demo"
	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/otlp"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // what fails at start, such as an address in use
	exitUsage  = 2 // bad flags, bad variables, stray words
)

// minFlush is the least time the telemetry has to leave after a drain.
const minFlush = 2 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stderr))
}

// run is main with everything it touches as a parameter.
func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	config, err := parse(args, getenv)
	if errors.Is(err, flag.ErrHelp) {
		usage(stderr)
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(stderr, "gateway:", err)
		return exitUsage
	}
	return start(ctx, config, stderr)
}

// start sets up the telemetry and the engine, and runs the gateway until ctx ends.
func start(ctx context.Context, config *config, stderr io.Writer) int {
	telemetry, err := otlp.Setup(ctx, otlp.WithServiceName("otelvllm-gateway"), otlp.WithServiceVersion(otelvllm.Version))
	if err != nil {
		fmt.Fprintln(stderr, "gateway:", err)
		return exitUsage
	}
	config.Metrics, config.MeterProvider = telemetry.Handler(), telemetry.MeterProvider()
	say := func(line string) { fmt.Fprintln(stderr, line) }
	if config.Engine == nil {
		engine, end, err := demo.Engine(ctx, sim.Config{PerRequestMetrics: true, PromptTokensDetails: true, AllowRequestFaults: true})
		if err == nil {
			defer end()
			err = config.setEngine(engine)
		}
		if err != nil {
			fmt.Fprintln(stderr, "gateway: simulated engine:", err)
			return exitFailed
		}
		say("engine:    simulated (no -engine was given): answers are made up")
	}
	if config.gpu == gpuDemo {
		say("GPUs:      made up (-gpu demo), and so is each reading")
	}
	records := otelslog.NewHandler(otelvllm.ScopeName, otelslog.WithLoggerProvider(telemetry.LoggerProvider()))
	config.logHealth.Log = slog.New(slog.NewTextHandler(stderr, nil))
	drained := make(chan time.Time, 1) // when the time of the drain is over
	defer context.AfterFunc(ctx, func() { drained <- time.Now().Add(config.Drain) })()
	s := gateway(config, telemetry, slog.New(records))
	s.Watchdog.OnChange = logFindings(slog.New(slog.NewMultiHandler(records, slog.NewTextHandler(stderr, nil))))
	err = s.Run(ctx, say)
	status := exitOK
	if err != nil {
		fmt.Fprintln(stderr, "gateway:", err)
		status = exitFailed
	}
	limit := minFlush
	select {
	case end := <-drained:
		limit = max(limit, time.Until(end))
	default:
	}
	leave(telemetry, limit, say)
	return status
}

// gateway wires the sidecar as flags and variables say.
func gateway(config *config, telemetry *otlp.Telemetry, logger *slog.Logger) *sidecar.Sidecar {
	var s *sidecar.Sidecar
	config.GPUs = gpuMonitor(config.gpu, telemetry.MeterProvider(), func() float64 { return s.Load() })
	config.GPURequired = config.gpu == gpuRequired
	s = sidecar.New(config.Config,
		otelvllm.WithTracerProvider(telemetry.TracerProvider()), otelvllm.WithMeterProvider(telemetry.MeterProvider()),
		otelvllm.WithPropagators(telemetry.Propagator()), otelvllm.WithLogger(logger),
	)
	return s
}

// logFindings writes a line for each cause, not for each of the requests that it holds up: those have log records of their
// own, which only the export gets.
func logFindings(log *slog.Logger) func(raised, cleared []watchdog.Finding) {
	return func(raised, cleared []watchdog.Finding) {
		for _, f := range raised {
			log.Warn("finding raised", append(named(&f), "summary", f.Summary, "remedy", f.Remedy)...)
		}
		for _, f := range cleared {
			log.Info("finding cleared", append(named(&f), "lasted", f.Cleared.Sub(f.Since).Round(time.Second))...)
		}
	}
}

// named says what a finding is about. The first of its requests is enough to find the others by.
func named(f *watchdog.Finding) []any {
	args := []any{"code", f.Code}
	if f.Engine != nil {
		args = append(args, "engine", *f.Engine)
	}
	if len(f.Requests) > 0 {
		args = append(args, "requests", len(f.Requests), "trace_id", f.Requests[0])
	}
	return args
}

// leave sends what telemetry is left and says what was lost.
func leave(t *otlp.Telemetry, limit time.Duration, say func(string)) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	_ = t.Shutdown(ctx) // Lost says it in numbers
	if lost := t.Lost(); lost != (otlp.Lost{}) {
		say(fmt.Sprintf("telemetry lost: spans=%d metrics=%d logs=%d", lost.Spans, lost.Metrics, lost.Logs))
	}
}
