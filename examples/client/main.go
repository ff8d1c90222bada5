// Command client talks to vLLM with the OpenAI SDK: a streamed chat, a tool call and embeddings. The
// only line about telemetry in the SDK's way is its HTTP client's Transport; what that recorded is
// printed at the end.
//
//	go run ./examples/client -engine http://127.0.0.1:8000
//
// VLLM_API_KEY is sent to the engine. OTEL_* variables configure the export.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/otelvllm/otelvllm-go/examples/internal/demo"
	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/otlp"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

func main() {
	engine := flag.String("engine", "", "vLLM's base `URL`; without it a simulated engine answers")
	model := flag.String("model", "", "`name` of the model; without it the engine's first one")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "client: unexpected argument %q; give the engine as -engine URL\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *engine, *model); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, engine, model string, opts ...otelvllm.Option) (err error) {
	if !demo.ExportIfAsked() {
		fmt.Fprintln(out, "telemetry: not exported; set OTEL_EXPORTER_OTLP_ENDPOINT to send it to a collector")
	}
	telemetry, err := otlp.Setup(ctx, otlp.WithServiceName("otelvllm-client"))
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, telemetry.Shutdown(last)) // its error says what was lost
	}()
	if engine == "" {
		url, stop, err := demo.Engine(ctx, sim.Config{PerRequestMetrics: true, EmbeddingDim: 8})
		if err != nil {
			return err
		}
		defer stop()
		engine = url
		fmt.Fprintln(out, "engine: simulated (no -engine was given): answers are made up")
	}
	key := os.Getenv("VLLM_API_KEY")
	if key == "" {
		key = "none" // the SDK wants one
	}
	var recorded []string
	opts = append(opts, otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) { recorded = append(recorded, line(c)) }))
	client := openai.NewClient(
		option.WithBaseURL(strings.TrimSuffix(strings.TrimRight(engine, "/"), "/v1")+"/v1"), option.WithAPIKey(key),
		option.WithHTTPClient(&http.Client{Transport: otelvllm.NewTransport(nil, opts...)}),
	)
	if model == "" {
		if model, err = firstModel(ctx, client); err != nil {
			return err
		}
	}
	for _, call := range []func(context.Context, openai.Client, string, io.Writer) error{chat, callTool, embed} {
		if failed := call(ctx, client, model, out); failed != nil {
			err = errors.Join(err, explain(failed, out))
		}
	}
	fmt.Fprintf(out, "\nrecorded:\n%s", strings.Join(recorded, ""))
	return err
}

// line puts the record of a call into words. What the engine did not tell is left out.
func line(c otelvllm.Call) string {
	parts := []string{fmt.Sprintf("  %-10s %s: %s in %s", c.Operation, c.Model, c.Outcome, c.Duration.Round(time.Millisecond))}
	if c.ErrorType != "" {
		parts[0] += " (" + c.ErrorType + ")"
	}
	if c.Usage.Input.Known {
		parts = append(parts, fmt.Sprintf("%d tokens in", c.Usage.Input.N))
	}
	if c.Usage.Output.Known {
		parts = append(parts, fmt.Sprintf("%d out", c.Usage.Output.N))
	}
	if rate, ok := c.OutputRate(); ok {
		parts = append(parts, fmt.Sprintf("%.1f tokens/s", rate))
	}
	if c.TimeToFirstToken > 0 {
		parts = append(parts, fmt.Sprintf("first token after %s", c.TimeToFirstToken.Round(100*time.Microsecond)))
	}
	return strings.Join(parts, ", ") + fmt.Sprintf(", trace %s\n", c.TraceID)
}
