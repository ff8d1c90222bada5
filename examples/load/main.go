// Command load sends requests to a vLLM server, or to the gateway in front of one, so that there is something to look
// at: streamed and whole chats, completions, embeddings, callers who leave, and a mistake now and then.
//
//	go run ./examples/load -engine http://127.0.0.1:8080 -rate 3
//
// With -faults a simulated engine (test/fakevllm -allow-request-faults) also breaks some answers off and lets one hang;
// a real vLLM takes no notice. It is no benchmark: requests come at random times, whether or not earlier ones ended.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const (
	exitOK    = 0
	exitUsage = 2
)

// options are what the flags say.
type options struct {
	engine   string
	model    string        // empty asks the engine
	rate     float64       // requests per second, on average
	most     int           // requests at a time
	faults   bool          // ask a simulated engine for faults
	hang     time.Duration // with faults: time from one request that hangs to the next
	duration time.Duration // 0 goes on until a signal
	drain    time.Duration // for answers that still come when the end has come
	seed     uint64
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.engine, "engine", "http://127.0.0.1:8080", "base `URL` of vLLM or of the gateway")
	f.StringVar(&o.model, "model", "", "`name` of the model; without it the engine's first one")
	f.Float64Var(&o.rate, "rate", 2, "`requests` per second, on average")
	f.IntVar(&o.most, "most", 64, "most `requests` at a time; those beyond are not sent")
	f.BoolVar(&o.faults, "faults", false, "ask a simulated engine for faults")
	f.DurationVar(&o.hang, "hang-every", 90*time.Second, "with -faults: `time` from one request that hangs to the next")
	f.DurationVar(&o.duration, "duration", 0, "how `long`; 0 goes on until a signal")
	f.DurationVar(&o.drain, "drain", 5*time.Second, "at the end: `time` for running requests")
	f.Uint64Var(&o.seed, "seed", 0, "`number` that fixes the order of requests; 0 draws one")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	u, err := url.Parse(o.engine)
	switch {
	case f.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q; give the engine as -engine URL", f.Arg(0))
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		err = errors.New("-engine is not a URL; give one such as http://127.0.0.1:8080")
	case o.rate <= 0 || o.rate > 1000:
		err = errors.New("-rate: give a number of requests per second above 0 and up to 1000")
	case o.most < 1:
		err = errors.New("-most: give a number above 0")
	case o.hang <= 0 || o.duration < 0 || o.drain < 0:
		err = errors.New("-hang-every, -duration and -drain: give times such as 90s")
	}
	if err != nil {
		fmt.Fprintln(stderr, "load:", err)
		return nil, err
	}
	o.engine = strings.TrimRight(o.engine, "/")
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	return o, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		return exitUsage
	}
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.most, IdleConnTimeout: 4 * time.Second}}
	defer client.CloseIdleConnections()
	if o.model == "" {
		if o.model = firstModel(ctx, client, o.engine, stdout); o.model == "" {
			return exitOK // the end came first
		}
	}
	fmt.Fprintf(stdout, "load: %.3g requests per second to %s, model %s, seed %d\n", o.rate, o.engine, o.model, o.seed)
	s := &sender{options: o, client: client, random: rand.New(rand.NewPCG(o.seed, 0)), free: make(chan struct{}, o.most)}
	s.run(ctx, stdout)
	return exitOK
}

// firstModel asks the engine for its models until it names one, as it may be loading. It returns "" when ctx ends.
func firstModel(ctx context.Context, client *http.Client, engine string, stdout io.Writer) string {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for told := false; ; {
		model, err := askModel(ctx, client, engine)
		if err == nil {
			return model
		}
		if !told && ctx.Err() == nil {
			told = true
			fmt.Fprintf(stdout, "load: waiting for %s: %v\n", engine, err)
		}
		select {
		case <-ctx.Done():
			return ""
		case <-ticker.C:
		}
	}
}

func askModel(ctx context.Context, client *http.Client, engine string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, engine+"/v1/models", http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var models struct{ Data []struct{ ID string } }
	switch err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&models); {
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("/v1/models answered %s", resp.Status)
	case err != nil:
		return "", fmt.Errorf("read /v1/models: %w", err)
	case len(models.Data) == 0:
		return "", errors.New("it serves no model")
	}
	return models.Data[0].ID, nil
}
