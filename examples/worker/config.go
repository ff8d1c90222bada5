package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// config is what flags and variables say. A flag wins over its variable.
type config struct {
	listen               string
	engine               string // vLLM's base URL; empty is the simulated one
	apiKey               string
	model                string
	concurrency, waiting int
	history              int
	timeout, waitReady   time.Duration
	stallAfter, drain    time.Duration
	syncWait             time.Duration // how long /runsync waits for the end of the job
}

// setting is one flag with its environment variable.
type setting struct {
	flag, env, value, usage string
	set                     func(string) error
}

func (c *config) settings() []setting {
	return []setting{
		{"listen", "OTELVLLM_LISTEN", "127.0.0.1:8081", "where callers connect", address(&c.listen)},
		{"engine", "OTELVLLM_ENGINE", "", "vLLM's base URL; without it a simulated engine answers", base(&c.engine)},
		{"model", "MODEL_NAME", "", "model of jobs that name none; without it the engine's first one", word(&c.model)},
		{"max-concurrency", "MAX_CONCURRENCY", "8", "jobs that run at a time", count(&c.concurrency)},
		{"max-queue", "MAX_QUEUE", "64", "jobs that wait beyond those", count(&c.waiting)},
		{"history", "JOB_HISTORY", "256", "ended jobs that /status knows", count(&c.history)},
		{"job-timeout", "JOB_TIMEOUT", "10m", "longest time of a job, from when it is picked up", duration(&c.timeout)},
		{"wait-ready", "OTELVLLM_WAIT_READY", "5m", "how long a job waits for an engine that is not ready", duration(&c.waitReady)},
		{"stall-after", "OTELVLLM_STALL_AFTER", "30s", "silence after which a job counts as stalled", duration(&c.stallAfter)},
		{"drain", "OTELVLLM_DRAIN", "25s", "on SIGTERM, time for the jobs to finish", duration(&c.drain)},
	}
}

// parseConfig reads the defaults, the environment and the flags. Every error names what was wrong
// and what would do.
func parseConfig(args []string, getenv func(string) string) (*config, error) {
	c := &config{apiKey: getenv("VLLM_API_KEY"), syncWait: 90 * time.Second}
	if c.apiKey == "" {
		c.apiKey = "none" // the OpenAI client wants one
	}
	flags := flag.NewFlagSet("worker", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	given := make(map[string]string)
	for _, s := range c.settings() {
		flags.Func(s.flag, s.usage, func(v string) error { given[s.flag] = v; return s.set(v) })
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: settings are given as flags, such as -engine URL", flags.Arg(0))
	}
	for _, s := range c.settings() {
		if _, ok := given[s.flag]; ok {
			continue
		}
		v := s.value
		if e := getenv(s.env); e != "" {
			v = e
		}
		if v == "" {
			continue
		}
		if err := s.set(v); err != nil {
			return nil, fmt.Errorf("%s=%q: %w", s.env, v, err)
		}
	}
	return c, nil
}

// writeUsage writes the list of settings.
func writeUsage(w io.Writer) {
	fmt.Fprintln(w, "worker runs jobs on a vLLM engine and answers in the form of RunPod's serverless API.\n\nUsage: worker [-engine URL] [flags]")
	for _, s := range new(config).settings() {
		value := ""
		if s.value != "" {
			value = ", " + s.value
		}
		fmt.Fprintf(w, "  -%-16s %s (%s%s)\n", s.flag, s.usage, s.env, value)
	}
	fmt.Fprintln(w, "\nVLLM_API_KEY is sent to the engine. ENABLE_VLLM_MONITOR=1 logs the health document every VLLM_MONITOR_INTERVAL\nseconds. OTEL_* variables configure the export.")
}

func word(p *string) func(string) error { return func(s string) error { *p = s; return nil } }

func address(p *string) func(string) error {
	return func(s string) error {
		_, port, err := net.SplitHostPort(s)
		if err != nil || !isPort(port) {
			return errors.New("not an address; give host:port, such as 127.0.0.1:8081")
		}
		*p = s
		return nil
	}
}

func base(p *string) func(string) error {
	return func(s string) error {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return errors.New("not a base URL; give one such as http://127.0.0.1:8000")
		}
		if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return errors.New("give the base URL alone, without a password and a query; VLLM_API_KEY holds the key")
		}
		*p = strings.TrimRight(s, "/")
		return nil
	}
}

func count(p *int) func(string) error {
	return func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1_000_000 {
			return errors.New("not a number from 1 to 1000000")
		}
		*p = n
		return nil
	}
}

func duration(p *time.Duration) func(string) error {
	return func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return errors.New("not a duration above zero; give a number with a unit, such as 30s or 2m")
		}
		*p = d
		return nil
	}
}

// isPort tells whether s is the number of a port; 0 lets the system choose.
func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 0 && n <= 65535
}
