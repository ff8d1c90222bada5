package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func none(string) string { return "" }

func noExport(t *testing.T) {
	for _, s := range []string{"TRACES", "METRICS", "LOGS"} {
		t.Setenv("OTEL_"+s+"_EXPORTER", "none")
	}
}

func TestBadSettingsAreOneClearLineAndStatus2(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{"an unknown flag", []string{"-nope"}, nil, "flag provided but not defined: -nope"},
		{"a stray word", []string{"http://127.0.0.1:8000"}, nil, `unexpected argument "http://127.0.0.1:8000"`},
		{"an engine without a scheme", []string{"-engine", "127.0.0.1:8000"}, nil, "such as http://127.0.0.1:8000"},
		{"an engine with a password", []string{"-engine", "http://u:p@h"}, nil, "without a password"},
		{"an address without a port", []string{"-listen", "localhost"}, nil, "host:port"},
		{"no concurrency", []string{"-max-concurrency", "0"}, nil, "from 1 to"},
		{"a queue that is no number", nil, map[string]string{"MAX_QUEUE": "many"}, `MAX_QUEUE="many": not a number`},
		{"a duration without a unit", []string{"-drain", "30"}, nil, "such as 30s"},
		{"a time below zero", []string{"-job-timeout", "-1s"}, nil, "above zero"},
		{"a bad interval of the health log", nil, map[string]string{"ENABLE_VLLM_MONITOR": "1", "VLLM_MONITOR_INTERVAL": "soon"}, "VLLM_MONITOR_INTERVAL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			status := run(t.Context(), tt.args, func(k string) string { return tt.env[k] }, &stderr)
			if got := stderr.String(); status != exitUsage || !strings.Contains(got, tt.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("got status %d and %q; want 2 and one line with %q", status, got, tt.want)
			}
		})
	}
}

func TestAFlagWinsOverItsVariable(t *testing.T) {
	c, err := parseConfig([]string{"-max-concurrency", "3"}, func(k string) string {
		return map[string]string{"MAX_CONCURRENCY": "broken", "MAX_QUEUE": "5", "OTELVLLM_ENGINE": "http://h:1/v1/"}[k]
	})
	if err != nil || c.concurrency != 3 || c.waiting != 5 || c.engine != "http://h:1/v1" || c.drain != 25*time.Second {
		t.Errorf("got %+v and error %v", c, err)
	}
}

func TestHelpIsNoError(t *testing.T) {
	var out bytes.Buffer
	if status := run(t.Context(), []string{"-h"}, none, &out); status != exitOK {
		t.Errorf("got status %d, want 0", status)
	}
	for _, s := range new(config).settings() {
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
	if status := run(t.Context(), []string{"-engine", "http://127.0.0.1:1", "-listen", l.Addr().String()}, none, &out); status != exitFailed || !strings.Contains(out.String(), "address already in use") {
		t.Errorf("got status %d and %q; want 1 and the address in use", status, out.String())
	}
}

// notifier tells a test when a line was written.
type notifier struct {
	buffer

	wrote chan struct{}
}

func (n *notifier) Write(p []byte) (int, error) {
	defer func() {
		select {
		case n.wrote <- struct{}{}:
		default:
		}
	}()
	return n.buffer.Write(p)
}

// until waits for a line that matches.
func (n *notifier) until(t *testing.T, pattern string) []string {
	t.Helper()
	want := regexp.MustCompile(pattern)
	for limit := time.After(patience); ; {
		if m := want.FindStringSubmatch(n.String()); m != nil {
			return m
		}
		select {
		case <-n.wrote:
		case <-limit:
			t.Fatalf("got %q, want %s", n, pattern)
		}
	}
}

func TestSigtermDrainsAndTheStatusIs0(t *testing.T) {
	noExport(t)
	out := &notifier{wrote: make(chan struct{}, 1)}
	ctx, sigterm := context.WithCancel(t.Context())
	status := make(chan int, 1)
	go func() { status <- run(ctx, []string{"-listen", "127.0.0.1:0"}, none, out) }()
	url := out.until(t, `jobs: +(http://\S+)`)[1]
	if !strings.HasPrefix(out.String(), "engine: simulated") {
		t.Errorf("got %q, want it to say that the engine is simulated", out)
	}
	done := make(chan string, 1)
	go func() {
		resp, err := http.Post(url+"/runsync", "application/json", strings.NewReader(`{"input":{"prompt":"x","sampling_params":{"max_tokens":60,"ignore_eos":true}}}`)) //nolint:gosec // this test's own server
		if err != nil {
			done <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		done <- string(text)
	}()
	out.until(t, `msg="generation start" trace_id=[0-9a-f]{32} span_id=[0-9a-f]{16}`)
	sigterm()
	out.until(t, "draining: 1 jobs have 25s to finish")
	resp, err := http.Post(url+"/run", "application/json", strings.NewReader(prompt)) //nolint:gosec // this test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var refused answer
	if err := json.NewDecoder(resp.Body).Decode(&refused); err != nil || resp.StatusCode != http.StatusServiceUnavailable || refused.Status != failed {
		t.Errorf("got %d %+v for a job while draining, want 503 in RunPod's form", resp.StatusCode, refused)
	}
	var got answer
	if text := <-done; json.Unmarshal([]byte(text), &got) != nil || got.Status != completed || got.Output.Usage.Output != 60 {
		t.Errorf("got %s, want the job that ran to be completed", text)
	}
	if s := <-status; s != exitOK {
		t.Errorf("got status %d, want 0: %s", s, out)
	}
	out.until(t, "msg=complete trace_id=[0-9a-f]{32}")
}
