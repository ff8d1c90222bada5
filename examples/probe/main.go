// Command probe asks a URL and ends with 0 if the answer is good: the health check of container images that have
// neither a shell nor curl.
//
//	probe http://127.0.0.1:9091/healthz
//
// It ends with 0 for a status from 200 to 299, with 1 for any other, for no answer and for one that takes longer than
// -timeout, and with 2 for bad arguments.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

const (
	exitGood  = 0
	exitBad   = 1
	exitUsage = 2
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stderr))
}

// run is the program; it returns the exit status.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: probe [-timeout 2s] URL")
		flags.PrintDefaults()
	}
	timeout := flags.Duration("timeout", 2*time.Second, "the longest `time` that the answer may take")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitGood
	case err != nil:
		return exitUsage
	case flags.NArg() != 1:
		fmt.Fprintln(stderr, "probe: give one URL, such as http://127.0.0.1:9091/healthz")
		return exitUsage
	}
	u, err := url.Parse(flags.Arg(0))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		fmt.Fprintf(stderr, "probe: %q is not a URL; give one such as http://127.0.0.1:9091/healthz\n", flags.Arg(0))
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	if err := ask(ctx, u.String()); err != nil {
		fmt.Fprintln(stderr, "probe:", err)
		return exitBad
	}
	return exitGood
}

// ask returns nil if the URL answers with a status from 200 to 299. The proxy variables do not count, as the one asked
// is in the same container, and a redirect is an answer like any other.
func ask(ctx context.Context, url string) error {
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}
