package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

func none(string) string { return "" }

func TestBadInputIsOneClearLineAndStatus2(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{"an unknown flag", []string{"-nope"}, nil, "flag provided but not defined: -nope"},
		{"a stray word", []string{"http://127.0.0.1:8000"}, nil, `unexpected argument "http://127.0.0.1:8000": settings are given as flags`},
		{"an engine without a scheme", []string{"-engine", "127.0.0.1:8000"}, nil, "such as http://127.0.0.1:8000"},
		{"an engine of another scheme", []string{"-engine", "ftp://x"}, nil, "http:// or https://"},
		{"an engine without a host", []string{"-engine", "http://"}, nil, "no host"},
		{"an engine with a password", []string{"-engine", "http://u:p@h"}, nil, "user name or password"},
		{"an engine with a query", []string{"-engine", "http://h/?a=b"}, nil, "query"},
		{"an engine with a port out of range", []string{"-engine", "http://h:99999"}, nil, "99999"},
		{"an address without a port", []string{"-listen", "localhost"}, nil, "host:port"},
		{"an address with a port out of range", []string{"-admin", "127.0.0.1:70000"}, nil, "host:port"},
		{"a duration without a unit", []string{"-stall-after", "30"}, nil, "such as 30s"},
		{"a duration of nothing", []string{"-scrape-interval", "0s"}, nil, "above zero"},
		{"a negative duration", []string{"-drain", "-1s"}, nil, "too small"},
		{"an unknown GPU mode", []string{"-gpu", "yes"}, nil, "auto, off, required, demo"},
		{"no model name", []string{"-models", " , "}, nil, "no model name"},
		{"an objective that there is not", []string{"-slo", "ttft=1s"}, nil, "time_to_first_token, time_per_output_token and total"},
		{"an objective without a time", []string{"-slo", "total=30s,time_to_first_token"}, nil, "time_to_first_token: "},
		{"neither true nor false", []string{"-usage-injection=maybe"}, nil, "neither true nor false"},
		{"a bad variable is named", nil, map[string]string{"OTELVLLM_STALL_AFTER": "soon"}, `OTELVLLM_STALL_AFTER="soon"`},
		{"a bad interval of the health log is named", nil, map[string]string{"ENABLE_VLLM_MONITOR": "1", "VLLM_MONITOR_INTERVAL": "soon"}, "VLLM_MONITOR_INTERVAL"},
		{"a bad variable of OpenTelemetry is named", []string{"-listen", "127.0.0.1:0", "-admin", "off"}, nil, "OTEL_TRACES_EXPORTER"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Contains(tt.want, "OTEL_") {
				t.Setenv("OTEL_TRACES_EXPORTER", "nope")
			}
			var stderr bytes.Buffer
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			status := run(ctx, tt.args, func(k string) string { return tt.env[k] }, &stderr)
			got := stderr.String()
			if status != exitUsage || !strings.Contains(got, tt.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("got status %d and %q; want %d and one line with %q", status, got, exitUsage, tt.want)
			}
		})
	}
}

func TestAFlagWinsOverItsVariableEvenIfThatIsBroken(t *testing.T) {
	c, err := parse([]string{"-stall-after", "5s", "-usage-injection=false"}, func(k string) string {
		return map[string]string{"OTELVLLM_STALL_AFTER": "broken", "OTELVLLM_DRAIN": "7s", "OTELVLLM_ADMIN": "off"}[k]
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.StallAfter != 5*time.Second || c.Drain != 7*time.Second || c.Admin != "" || c.UsageInjection {
		t.Errorf("got %+v", c.Config)
	}
}

func TestHelpIsNoError(t *testing.T) {
	var out bytes.Buffer
	if status := run(t.Context(), []string{"-h"}, none, &out); status != exitOK {
		t.Errorf("got status %d, want 0", status)
	}
	for _, s := range defaults().settings() {
		if !strings.Contains(out.String(), "-"+s.flag) || !strings.Contains(out.String(), s.env) {
			t.Errorf("the help lacks %s or %s", s.flag, s.env)
		}
	}
}

func TestAnAddressInUseIsStatus1(t *testing.T) {
	noExport(t)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out bytes.Buffer
	status := run(t.Context(), []string{"-engine", "http://127.0.0.1:1", "-admin", "off", "-listen", l.Addr().String()}, none, &out)
	if status != exitFailed || !strings.Contains(out.String(), "address already in use") {
		t.Errorf("got status %d and %q; want 1 and the address in use", status, out.String())
	}
}

func TestObjectivesAreReadAndMeasured(t *testing.T) {
	c, err := parse([]string{"-slo", "total=30s, time_per_output_token=50ms"}, none)
	if want := (otelvllm.SLO{Total: 30 * time.Second, TimePerOutputToken: 50 * time.Millisecond}); err != nil || c.SLO != want {
		t.Fatalf("got %+v, %v; want %+v", c.SLO, err, want)
	}
	engine := httptest.NewServer(sim.New(sim.Config{Model: "m"}))
	defer engine.Close()
	g := startGateway(t, engine.URL, "-slo", "total=30s")
	resp, err := http.Post(g.callers+"/v1/completions", "application/json", strings.NewReader(`{"model":"m","prompt":"a","max_tokens":2}`))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if !eventually(func() bool {
		_, body := get(t, g.admin+"/metrics")
		return regexp.MustCompile(`vllm_request_slo_total\{[^}]*vllm_slo_met="true",vllm_slo_objective="total"[^}]*\} 1`).MatchString(body)
	}) {
		t.Error("/metrics does not count the request that met its objective")
	}
}
