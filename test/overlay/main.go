// Command overlay runs the net/http and net/http/httputil tests of the Go installation that runs it, with package httpwrap
// in front of every handler and around every body that a client reads or sends, and compares the outcome of each test with
// a run of the same tests without it.
//
// It uses go test -overlay: the changed files are made from GOROOT's own in a temporary folder, and GOROOT is not
// touched. Each change is tied to a piece of text that has to be in the file exactly once; where a new version of
// Go has changed it, the command says so and stops.
//
// The exit status is 0 if no test but the exceptions below ended otherwise than without httpwrap, and 1 if one did.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// exceptions are the tests that look at the text of a log line of net/http, in which the server names the caller of a
// second WriteHeader: the handler without a wrapper, the wrapper with one. No wrapper can pass them.
var exceptions = map[string]bool{
	"net/http TestWriteHeaderNoCodeCheck":          true,
	"net/http TestWriteHeaderNoCodeCheck/h1":       true,
	"net/http TestWriteHeaderNoCodeCheck_h1hijack": true,
}

func main() {
	var s suite
	source := flag.String("httpwrap", "otelvllm/internal/httpwrap", "`folder` of package httpwrap")
	flag.BoolVar(&s.race, "race", false, "build the tests with the race detector")
	flag.StringVar(&s.pattern, "run", "", "run only the tests that match this `regexp`")
	flag.DurationVar(&s.timeout, "timeout", 8*time.Minute, "give up on one run of the tests after this long")
	blind := flag.Bool("unwatched", false, "observe nothing of the bodies, as for files that are no interest")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "overlay: %q is not expected here\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	same, err := compare(ctx, s, *source, !*blind)
	if err != nil {
		fmt.Fprintln(os.Stderr, "overlay:", err)
	}
	if err != nil || !same {
		stop()
		os.Exit(1)
	}
}

// compare runs the tests without and with httpwrap and prints what differs.
func compare(ctx context.Context, s suite, source string, watch bool) (same bool, err error) {
	folder, err := os.MkdirTemp("", "overlay")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(folder)
	bareOverlay, oursOverlay, err := write(folder, source, watch)
	if err != nil {
		return false, err
	}
	bare, err := s.run(ctx, "bare", bareOverlay)
	if err != nil {
		return false, err
	}
	ours, err := s.run(ctx, "with httpwrap", oursOverlay)
	if err != nil {
		return false, err
	}
	again := func(test string) (steady bool, err error) { return s.steady(ctx, oursOverlay, test) }
	r, err := judge(bare, ours, again)
	if err != nil {
		return false, err
	}
	r.print(os.Stdout)
	return len(r.others) == 0, nil
}
