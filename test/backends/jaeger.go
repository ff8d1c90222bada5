package backends

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// jaegerConfig runs Jaeger with its memory store. Its own tracing is off: it would send to an address where
// nothing listens and wait for it at shutdown.
const jaegerConfig = `
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [jaeger_storage_exporter]
  telemetry:
    metrics: {level: none}
    logs: {level: warn}
extensions:
  jaeger_storage:
    backends:
      store: {memory: {max_traces: 10000}}
  jaeger_query:
    storage: {traces: store}
    enable_tracing: false
    http: {endpoint: %q}
    grpc: {endpoint: %q}
receivers:
  otlp:
    protocols:
      grpc: {endpoint: %q}
exporters:
  jaeger_storage_exporter: {trace_storage: store}
`

// startJaeger starts Jaeger and returns the address at which it takes OTLP over gRPC.
func (b *Backends) startJaeger(t testing.TB) (otlp string) {
	t.Helper()
	binary := jaegerBinary(t)
	query, grpc, otlp := freeAddress(t), freeAddress(t), freeAddress(t)
	config := filepath.Join(t.TempDir(), "jaeger.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, jaegerConfig, query, grpc, otlp), 0o600); err != nil {
		t.Fatal(err)
	}
	StartProcess(t, exec.Command(binary, "--config", config))

	b.JaegerURL = "http://" + query
	err := eventually(func() error {
		resp, err := b.client.Get(b.JaegerURL + "/api/services")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("jaeger: GET /api/services: %s", resp.Status)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("wait for Jaeger: %v", err)
	}
	return otlp
}

// jaegerBinary returns the path of Jaeger's binary, and builds it if no one has.
func jaegerBinary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("OTELVLLM_JAEGER"); path != "" {
		return path
	}
	path, err := filepath.Abs("../../.build/jaeger")
	if err != nil {
		t.Fatal(err)
	}
	t.Log("building Jaeger; this takes some minutes the first time")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "github.com/jaegertracing/jaeger/cmd/jaeger")
	build.Dir = "jaeger"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build Jaeger: %v\n%s", err, out)
	}
	return path
}

// Process is a program that runs for the length of a test.
type Process struct {
	cmd    *exec.Cmd
	output output
	done   chan struct{} // closed when the program has ended
	err    error         // what Wait returned; read after done
}

// StartProcess starts cmd and ends it with SIGTERM when the test ends. What it printed is logged if the test failed.
// Output fields of cmd must not be set.
func StartProcess(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		if _, err := p.Stop(); err != nil {
			t.Errorf("stop %s: %v", cmd.Path, err)
		}
		if t.Failed() {
			t.Logf("%s printed:\n%s", cmd.Path, p.Output())
		}
	})
	return p
}

// Output returns what the program has printed so far, standard error included.
func (p *Process) Output() string { return p.output.String() }

// Stop asks the program to end, if it has not ended, and returns its exit status. A program that ignores the
// request for 30 s is killed, which is an error.
func (p *Process) Stop() (status int, err error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	default:
	}
	// An error here means that it ended meanwhile, which the wait below sees.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
		return -1, fmt.Errorf("did not end within %v of SIGTERM", patience)
	}
}

// output collects what a program prints while others read it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
