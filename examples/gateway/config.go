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

	"github.com/otelvllm/otelvllm-go/examples/gateway/sidecar"
	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/health"
)

// setting is one flag with its environment variable. A flag wins over its variable.
type setting struct {
	flag, env, usage string
	set              func(string) error
	isBool           bool
}

// config is what flags and variables say.
type config struct {
	sidecar.Config

	gpu       string
	logHealth health.Logger
}

func (c *config) settings() []setting {
	return []setting{
		{flag: "listen", env: "OTELVLLM_LISTEN", usage: "`address` where callers connect", set: address(&c.Listen, false)},
		{flag: "engine", env: "OTELVLLM_ENGINE", usage: "vLLM's base `URL`, dns+http://name:8000 for every engine behind a name; without it a simulated engine answers", set: c.setEngine},
		{flag: "admin", env: "OTELVLLM_ADMIN", usage: "`address` of the live page, /health, /requests, /findings and /metrics; off closes it", set: address(&c.Admin, true)},
		{flag: "admin-hosts", env: "OTELVLLM_ADMIN_HOSTS", usage: "`names` by which the admin address may be asked for, beside localhost and IP addresses, with commas between; without it any name, except on a loopback address", set: names(&c.AdminHosts, "host name")},
		{flag: "stall-after", env: "OTELVLLM_STALL_AFTER", usage: "silence after which a request counts as stalled", set: duration(&c.StallAfter, true)},
		{flag: "scrape-interval", env: "OTELVLLM_SCRAPE_INTERVAL", usage: "time between two looks at the engine", set: duration(&c.ScrapeInterval, true)},
		{flag: "gpu", env: "OTELVLLM_GPU", usage: "read this host's GPUs: auto, off, required (fail without) or demo (made-up ones)", set: oneOf(&c.gpu, gpuAuto, gpuOff, gpuRequired, gpuDemo)},
		{flag: "wait-ready", env: "OTELVLLM_WAIT_READY", usage: "hold requests up to this long while the engine is not ready", set: duration(&c.WaitReady, false)},
		{flag: "drain", env: "OTELVLLM_DRAIN", usage: "on SIGTERM, time for running streams to finish", set: duration(&c.Drain, false)},
		{flag: "models", env: "OTELVLLM_MODELS", usage: "model `names` that always keep their own label, with commas between", set: names(&c.Models, "model name")},
		{flag: "slo", env: "OTELVLLM_SLO", usage: "`objectives` that each request is measured against, such as time_to_first_token=500ms,time_per_output_token=50ms,total=30s", set: objectives(&c.SLO)},
		{flag: "usage-injection", env: "OTELVLLM_USAGE_INJECTION", usage: "ask vLLM for the token counts of streams", set: boolean(&c.UsageInjection), isBool: true},
		{flag: "public", env: "OTELVLLM_PUBLIC", usage: "callers are strangers: link to their traces instead of joining them, and pass none of their trace state and baggage on", set: boolean(&c.Public), isBool: true},
	}
}

func defaults() *config {
	return &config{gpu: gpuAuto, Config: sidecar.Config{
		Listen: "127.0.0.1:8080", Admin: "127.0.0.1:9091", StallAfter: 30 * time.Second, ScrapeInterval: 5 * time.Second,
		Drain: 25 * time.Second, UsageInjection: true,
	}}
}

// flagValue makes a setting a flag.Value.
type flagValue struct{ setting }

func (f flagValue) Set(s string) error { return f.set(s) }
func (f flagValue) String() string     { return "" }
func (f flagValue) IsBoolFlag() bool   { return f.isBool }

// parse reads the environment, then the flags. Every error names what was wrong and what would do.
func parse(args []string, getenv func(string) string) (*config, error) {
	c := defaults()
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	for _, s := range c.settings() {
		if v := getenv(s.env); v != "" && !given(args, s.flag) {
			if err := s.set(v); err != nil {
				return nil, fmt.Errorf("%s=%q: %w", s.env, v, err)
			}
		}
		flags.Var(flagValue{s}, s.flag, s.usage)
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if enabled, err := c.logHealth.FromEnv(getenv); err != nil {
		return nil, err
	} else if enabled {
		c.HealthLog = &c.logHealth
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: settings are given as flags, such as -engine URL", flags.Arg(0))
	}
	return c, nil
}

// given tells whether the flag stands in args: then a broken variable of the same setting is no
// reason to fail.
func given(args []string, name string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		bare := strings.TrimLeft(a, "-")
		if a != bare && (bare == name || strings.HasPrefix(bare, name+"=")) {
			return true
		}
	}
	return false
}

// usage writes the list of settings.
func usage(w io.Writer) {
	fmt.Fprintln(w, "gateway observes the requests to a vLLM engine.\n\nUsage: gateway [-engine URL] [flags]")
	for _, s := range defaults().settings() {
		fmt.Fprintf(w, "  -%-16s %s (%s)\n", s.flag, strings.ReplaceAll(s.usage, "`", ""), s.env)
	}
	fmt.Fprintln(w, "\nOTEL_* variables configure the export. Only these settings change what callers get: -wait-ready and -drain.")
}

// setEngine takes the engine's URL. With dns+ before it requests go to the name, one of whose addresses each new
// connection gets, and every engine behind the name is watched.
func (c *config) setEngine(s string) error {
	base, several := strings.CutPrefix(s, "dns+")
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return errors.New("not a URL; give one such as http://127.0.0.1:8000")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("not a URL with http:// or https://; give one such as http://127.0.0.1:8000")
	case u.Hostname() == "":
		return errors.New("the URL has no host; give one such as http://127.0.0.1:8000")
	case u.User != nil:
		return errors.New("the URL holds a user name or password; leave it out: callers send their own Authorization header")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("the URL has a query or a fragment; give the base URL alone")
	}
	if p := u.Port(); p != "" {
		if !isPort(p) {
			return fmt.Errorf("port %s is not between 1 and 65535", p)
		}
	}
	c.Engine, c.Watch = u, ""
	if several {
		c.Watch = s
	}
	return nil
}

// names sets a list. what says in the error what there is none of.
func names(p *[]string, what string) func(string) error {
	return func(s string) error {
		*p = nil
		for name := range strings.SplitSeq(s, ",") {
			if name = strings.TrimSpace(name); name != "" {
				*p = append(*p, name)
			}
		}
		if len(*p) == 0 {
			return fmt.Errorf("no %s; give one or more, with commas between", what)
		}
		return nil
	}
}

// objectives reads an SLO, whose objectives have the names that they have in the metric vllm.request.slo.
func objectives(slo *otelvllm.SLO) func(string) error {
	return func(s string) error {
		*slo = otelvllm.SLO{}
		fields := map[string]*time.Duration{
			"time_to_first_token": &slo.TimeToFirstToken, "time_per_output_token": &slo.TimePerOutputToken, "total": &slo.Total,
		}
		for objective := range strings.SplitSeq(s, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(objective), "=")
			field := fields[name]
			if field == nil {
				return fmt.Errorf("%q is none of time_to_first_token, time_per_output_token and total; write such as total=30s", name)
			}
			if err := duration(field, true)(value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}
}

func address(p *string, mayBeOff bool) func(string) error {
	return func(s string) error {
		if mayBeOff && s == "off" {
			*p = ""
			return nil
		}
		_, port, err := net.SplitHostPort(s)
		if err != nil || !isPort(port) {
			return errors.New("not an address; give host:port, such as 127.0.0.1:8080")
		}
		*p = s
		return nil
	}
}

func duration(p *time.Duration, positive bool) func(string) error {
	return func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil {
			return errors.New("not a duration; give a number with a unit, such as 30s or 2m")
		}
		if d < 0 || positive && d == 0 {
			return errors.New("too small; give a duration above zero, such as 30s")
		}
		*p = d
		return nil
	}
}

func boolean(p *bool) func(string) error {
	return func(s string) error {
		switch strings.ToLower(s) {
		case "true", "1":
			*p = true
		case "false", "0":
			*p = false
		default:
			return errors.New("neither true nor false")
		}
		return nil
	}
}

func oneOf(p *string, values ...string) func(string) error {
	return func(s string) error {
		for _, v := range values {
			if s == v {
				*p = s
				return nil
			}
		}
		return fmt.Errorf("not one of %s", strings.Join(values, ", "))
	}
}

// isPort tells whether s is the number of a port; 0 lets the system choose.
func isPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 0 && n <= 65535
}
