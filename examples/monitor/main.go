// Command monitor shows on a terminal how one or more vLLM engines are: what they run, what waits, how
// fast tokens come, and what is wrong with what to do about it.
//
//	go run ./examples/monitor -engine http://127.0.0.1:8000
//
// It reads the engines' own endpoints and exports nothing. -h lists the flags and the exit statuses.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/health"
)

// Exit statuses. The first three are those of -once; otherwise the program ends with 0.
const (
	exitOK          = 0
	exitDegraded    = 1
	exitDown        = 2
	exitUsage       = 64
	exitInterrupted = 130
)

const usage = `monitor shows how vLLM engines are.

Usage: monitor [-engine URL[,URL...]] [flags]
  -engine    base URLs of the engines, with commas between (http://127.0.0.1:8000);
             dns+http://name:8000 is every address of a name, dnssrv+http://name every SRV record
  -interval  time between two readings, at least 500ms (2s)
  -once      take two readings, print a summary and end. If an engine has work and nothing that it
             counts moves, this takes up to 40 s: so long it takes to tell a wedge from a long step
  -json      print the health document as the gateway's /health has it: with -once one, else one
             line each interval

Exit status with -once: 0 all engines serve and nothing was found, 1 some do not serve or something was
found, 2 none serves (down, loading, asleep or wedged), 130 interrupted. Without -once: 0 after Ctrl-C.
Bad flags: 64, as 2 has a meaning here.
`

// options are what the flags say.
type options struct {
	engines    []string
	interval   time.Duration
	once, json bool
}

func parse(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("monitor", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	list := flags.String("engine", "http://127.0.0.1:8000", "")
	flags.DurationVar(&o.interval, "interval", 2*time.Second, "")
	flags.BoolVar(&o.once, "once", false, "")
	flags.BoolVar(&o.json, "json", false, "")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	for url := range strings.SplitSeq(*list, ",") {
		if url = strings.TrimSpace(url); url != "" {
			o.engines = append(o.engines, url)
		}
	}
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q: give engines with -engine URL,URL", flags.Arg(0))
	case len(o.engines) == 0:
		return nil, errors.New("-engine is empty: give a URL such as http://127.0.0.1:8000")
	case o.interval < 500*time.Millisecond:
		return nil, fmt.Errorf("-interval %s is too short: give 500ms or more, as an engine that is slower than that would look down", o.interval)
	}
	return o, nil
}

// program is the command with everything it touches.
type program struct {
	out, errOut io.Writer
	size        func() (width, height int, ok bool) // of the terminal; not ok if out is none
	color       bool
	http        *http.Client // asks the engines; nil is the monitor's own
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	p := &program{out: os.Stdout, errOut: os.Stderr, size: terminalSize, color: os.Getenv("NO_COLOR") == ""}
	os.Exit(p.run(ctx, os.Args[1:]))
}

func (p *program) run(ctx context.Context, args []string) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(p.out, usage)
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(p.errOut, "monitor: %s (-h lists the flags)\n", err)
		return exitUsage
	}
	w, stop := start(ctx, o, p.http)
	defer stop()
	if o.once {
		return p.once(ctx, o, w)
	}
	return p.live(ctx, o, w)
}

// once waits until each engine is known well enough, prints how all are, and returns the status.
func (p *program) once(ctx context.Context, o *options, w *watch) int {
	began, ticker := time.Now(), time.NewTicker(50*time.Millisecond)
	defer ticker.Stop()
	for !w.settled(time.Since(began)) {
		select {
		case err := <-w.failed:
			return p.badTarget(err)
		case <-ctx.Done():
			fmt.Fprintln(p.errOut, "monitor: interrupted before the engines were known")
			return exitInterrupted
		case <-ticker.C:
		}
	}
	s := w.shot(ctx)
	if o.json {
		p.printJSON(&s.stats)
	} else {
		width, _, ok := p.size()
		v := view{width: width, color: ok && p.color}
		if !ok {
			v.width = 100
		}
		fmt.Fprintf(p.out, "%s\n\n%s\n", clean(s.stats.Summary()), strings.Join(v.frame(s), "\n"))
	}
	return grade(&s.stats)
}

// live shows how the engines are until ctx ends.
func (p *program) live(ctx context.Context, o *options, w *watch) int {
	_, _, terminal := p.size()
	terminal = terminal && !o.json
	every := o.interval
	show := p.appendLines()
	switch {
	case o.json:
		show = func(s *shot) { p.printJSON(&s.stats) }
	case terminal:
		every = min(every, time.Second) // ages go on between readings
		var leave func()
		show, leave = p.screen(o.interval)
		defer leave()
		show(w.shot(ctx))
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case err := <-w.failed:
			return p.badTarget(err)
		case <-ctx.Done():
			return exitOK
		case <-ticker.C:
			show(w.shot(ctx))
		}
	}
}

func (p *program) badTarget(err error) int {
	fmt.Fprintf(p.errOut, "monitor: -engine: %s\n", err)
	return exitUsage
}

// printJSON prints the health document as a line.
func (p *program) printJSON(stats *health.Stats) {
	err := json.NewEncoder(p.out).Encode(struct {
		Stats   *health.Stats `json:"stats"`
		Summary string        `json:"summary"`
	}{stats, stats.Summary()})
	if err != nil {
		fmt.Fprintln(p.errOut, "monitor: print the health document:", err)
	}
}

// grade is the exit status that says how the engines are.
func grade(stats *health.Stats) int {
	serving := 0
	for i := range stats.Engines {
		if stats.Engines[i].State == engine.Up {
			serving++
		}
	}
	switch {
	case serving == 0:
		return exitDown
	case serving < len(stats.Engines), len(stats.Findings) > 0:
		return exitDegraded
	}
	return exitOK
}
