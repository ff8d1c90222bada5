package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestWrongFlagsEndWithStatus2AndSayWhy(t *testing.T) {
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"-nope"}, "-nope"},
		{[]string{"-port", "many"}, "port"},
		{[]string{"word"}, "word"},
		{[]string{"-sse-keep-alive-interval", "-2"}, "sse-keep-alive-interval"},
		{[]string{"-load-status", "7"}, "load-status"},
		{[]string{"-served-model-name", ""}, "served-model-name"},
	} {
		var out, errs bytes.Buffer
		if status := run(t.Context(), test.args, &out, &errs); status != 2 || !strings.Contains(errs.String(), test.says) || out.Len() > 0 {
			t.Errorf("%q: got status %d, %q, want 2 and %q", test.args, status, errs.String(), test.says)
		}
	}
}

func TestAddressInUseEndsWithStatus1(t *testing.T) {
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"-listen", "127.0.0.1:99999"}, &out, &errs); status != 1 || !strings.Contains(errs.String(), "99999") {
		t.Errorf("got status %d, %q", status, errs.String())
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"-help"}, &out, &errs); status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
	for _, name := range []string{"max-num-seqs", "served-model-name", "port", "api-key", "enable-per-request-metrics", "/fake/fault"} {
		if !strings.Contains(errs.String(), name) {
			t.Errorf("%s is missing", name)
		}
	}
}

// start runs the program until the test ends, and returns the URL that it printed and what waits for its status.
func start(t *testing.T, args ...string) (url string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, append([]string{"-listen", "127.0.0.1:0"}, args...), w, io.Discard)
		w.Close()
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(line, "http://")
	return "http://" + strings.Fields(after)[0], func() int {
		cancel()
		return <-status
	}
}

func TestProgramServesAndEnds(t *testing.T) {
	url, stop := start(t, "-served-model-name", "one,two", "-step", "1ms", "-jitter", "0")
	for _, name := range []string{"one", "two"} {
		res, err := http.Post(url+"/v1/completions", "application/json", strings.NewReader(`{"model":"`+name+`","prompt":"x","max_tokens":3}`))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"model":"one"`)) {
			t.Errorf("model %s: got %d %s", name, res.StatusCode, body)
		}
	}
	res, err := http.Post(url+"/fake/fault", "application/json", strings.NewReader(`{"kind":"busy"}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Errorf("fault: got %s", res.Status)
	}
	if status := stop(); status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
}

// TestSignalEndsTheProcessWithStatus0 builds the command, because a signal needs a process.
func TestSignalEndsTheProcessWithStatus0(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command")
	}
	bin := filepath.Join(t.TempDir(), "fakevllm")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		cmd := exec.CommandContext(t.Context(), bin, "-listen", "127.0.0.1:0")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "fakevllm: serving simulated on http://127.0.0.1:") {
			t.Errorf("got %q, %v", line, err)
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: got %v, want status 0", signal, err)
		}
	}
}

func TestKeepAliveIntervalTakesPlainSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{"2": 2 * time.Second, "0.5": 500 * time.Millisecond, "250ms": 250 * time.Millisecond} {
		var got seconds
		if err := got.Set(text); err != nil || time.Duration(got) != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
}
