package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// options are the flags that are not in sim.Config.
type options struct {
	listen, host   string
	port           int
	control        string
	names          string
	tracesEndpoint string
}

// flags binds every flag.
func flags(cfg *sim.Config, o *options, errs io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("fakevllm", flag.ContinueOnError)
	f.SetOutput(errs)
	f.StringVar(&o.listen, "listen", "", "`address` to listen on; wins over -host and -port")
	f.StringVar(&o.host, "host", "127.0.0.1", "`host` to listen on")
	f.IntVar(&o.port, "port", 8000, "`port` to listen on")
	f.StringVar(&o.control, "control", "", "`address` of a second port for /fake/fault, open also when the engine is dead")
	f.StringVar(&o.names, "served-model-name", "simulated", "model `names`, with commas between; the first is reported")
	f.StringVar(&cfg.APIKey, "api-key", os.Getenv("VLLM_API_KEY"), "`key` that requests below /v1 need (VLLM_API_KEY)")
	f.StringVar(&o.tracesEndpoint, "otlp-traces-endpoint", "", "`URL` that llm_request spans go to; else OTEL_EXPORTER_OTLP_ENDPOINT")
	f.Var((*dialect)(&cfg.Metrics), "metrics", "`dialect` of /metrics: v0, v1 or rust (default today's)")
	f.Var((*dialect)(&cfg.Errors), "errors", "`dialect` of errors: v0, v1 or rust (default today's)")
	f.IntVar(&cfg.MaxModelLen, "max-model-len", 32768, "most `tokens` of prompt and answer")
	f.IntVar(&cfg.MaxNumSeqs, "max-num-seqs", 256, "most `sequences` in a batch")
	f.IntVar(&cfg.MaxNumBatchedTokens, "max-num-batched-tokens", 8192, "most `tokens` in a step")
	f.IntVar(&cfg.BlockSize, "block-size", 16, "`tokens` in a KV cache block")
	f.IntVar(&cfg.NumGPUBlocks, "num-gpu-blocks-override", 8192, "KV cache `blocks` of a rank")
	f.BoolVar(&cfg.NoPrefixCaching, "no-enable-prefix-caching", false, "compute every prompt anew")
	f.IntVar(&cfg.DataParallelSize, "data-parallel-size", 1, "engine `ranks`")
	f.IntVar(&cfg.MaxNumQueuedReqs, "max-num-queued-reqs", 0, "refuse more than `n` requests with 503; 0: no limit")
	f.IntVar(&cfg.MaxNumQueuedTokens, "max-num-queued-tokens", 0, "refuse more than `n` waiting tokens with 503; 0: no limit")
	f.BoolVar(&cfg.PerRequestMetrics, "enable-per-request-metrics", false, "send a request's timings with its answer")
	f.BoolVar(&cfg.PromptTokensDetails, "enable-prompt-tokens-details", false, "send cached tokens in usage")
	f.BoolVar(&cfg.RequestIDHeaders, "enable-request-id-headers", false, "send X-Request-Id")
	f.BoolVar(&cfg.ServerLoadTracking, "enable-server-load-tracking", false, "count in /load")
	f.BoolVar(&cfg.ForceIncludeUsage, "enable-force-include-usage", false, "send usage on every chunk of every stream")
	f.StringVar(&cfg.ToolCallParser, "tool-call-parser", "", "`name` of the tool parser; with one its counter is in /metrics")
	f.StringVar(&cfg.ReasoningParser, "reasoning-parser", "", "`name` of the reasoning parser; with one the model thinks first")
	f.IntVar(&cfg.StreamInterval, "stream-interval", 1, "`tokens` in a chunk")
	f.Var((*seconds)(&cfg.SSEKeepAlive), "sse-keep-alive-interval", "silence in `seconds` after which a stream gets a comment; 0: none (default 0)")
	f.Uint64Var(&cfg.Seed, "seed", 0, "`number` that fixes words, ids and jitter")
	f.DurationVar(&cfg.Timing.Step, "step", 8*time.Millisecond, "least `duration` of a step")
	f.DurationVar(&cfg.Timing.PerSeq, "per-seq", 100*time.Microsecond, "`duration` that each sequence adds to a step")
	f.DurationVar(&cfg.Timing.PerPromptToken, "per-prompt-token", 50*time.Microsecond, "`duration` that each prompt token adds to a step")
	f.Float64Var(&cfg.Timing.Jitter, "jitter", 0.1, "`share` by which steps vary")
	f.DurationVar(&cfg.LoadTime, "load-time", 0, "how long the model loads; the port refuses meanwhile")
	f.IntVar(&cfg.LoadStatus, "load-status", 0, "`status` to answer with while the model loads, such as 503; 0: refuse")
	f.BoolVar(&cfg.AllowRequestFaults, "allow-request-faults", false, "let requests choose their fault by "+sim.RequestFault)
	f.Usage = func() {
		fmt.Fprint(errs, "usage: fakevllm [flags]\n\nA simulated vLLM server. POST {\"kind\":\"wedge\"} to /fake/fault to let it hang, DELETE to let it go on,\n"+
			"GET to see what else there is. VLLM_SERVER_DEV_MODE=1 opens /sleep, /pause and their like;\n"+
			"VLLM_KEEP_ALIVE_ON_ENGINE_DEATH=1 keeps the server up when the engine is dead.\n\n")
		f.PrintDefaults()
	}
	return f
}

// seconds is a duration that may also be a plain number of seconds, as in vLLM's flags.
type seconds time.Duration

func (s *seconds) String() string { return time.Duration(*s).String() }

func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, number := strconv.ParseFloat(text, 64); number == nil {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		return errors.New("give a number of seconds, or a duration such as 500ms")
	}
	*s = seconds(d)
	return nil
}

// dialect is a flag for whose /metrics the engine has.
type dialect sim.Dialect

func (d *dialect) String() string { return string(*d) }

func (d *dialect) Set(text string) error {
	switch *d = dialect(text); sim.Dialect(text) {
	case sim.DialectNew, sim.DialectV0, sim.DialectV1, sim.DialectRust:
		return nil
	}
	return errors.New("want v0, v1 or rust")
}

// run is the program: it returns the exit status.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	cfg := sim.Config{
		DevMode:                os.Getenv("VLLM_SERVER_DEV_MODE") == "1",
		KeepAliveOnEngineDeath: os.Getenv("VLLM_KEEP_ALIVE_ON_ENGINE_DEATH") == "1",
	}
	var o options
	f := flags(&cfg, &o, errs)
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case f.NArg() > 0:
		fmt.Fprintf(errs, "fakevllm: unexpected word %q\n", f.Arg(0))
		return 2
	case cfg.LoadStatus != 0 && (cfg.LoadStatus < 400 || cfg.LoadStatus > 599):
		fmt.Fprintf(errs, "fakevllm: -load-status %d: give 0 or a status between 400 and 599\n", cfg.LoadStatus)
		return 2
	case o.names == "":
		fmt.Fprintln(errs, "fakevllm: -served-model-name is empty: give at least one name")
		return 2
	}
	names := strings.Split(o.names, ",")
	cfg.Model, cfg.Aliases = names[0], names[1:]
	if o.listen == "" {
		o.listen = net.JoinHostPort(o.host, strconv.Itoa(o.port))
	}
	if err := serve(ctx, cfg, o, out); err != nil {
		fmt.Fprintf(errs, "fakevllm: %v\n", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, cfg sim.Config, o options, out io.Writer) error {
	provider, shutdown, err := traces(ctx, o.tracesEndpoint)
	if err != nil {
		return err
	}
	defer shutdown()
	cfg.TracerProvider = provider
	engine := sim.New(cfg)
	mux := http.NewServeMux()
	mux.Handle("/", engine)
	mux.Handle("/fake/fault", engine.Control())
	if o.control != "" {
		if err := serveControl(ctx, o.control, mux); err != nil {
			return err
		}
	}
	said := false
	listen := func() (net.Listener, error) {
		l, err := net.Listen("tcp", o.listen)
		if err == nil && !said {
			said = true
			fmt.Fprintf(out, "fakevllm: serving %s on http://%s (POST /fake/fault to break it)\n", cfg.Model, l.Addr())
		}
		return l, err
	}
	return engine.Serve(ctx, listen, mux, 2*time.Second)
}
