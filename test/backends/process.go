package backends

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program returns the path of a program that a test runs: the one that the variable OTELVLLM_ and its name gives (make
// test-backends sets them), else the one in the project's folder .build. The test is skipped where there is none.
func program(t testing.TB, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skipf("-short: not starting %s", name)
	}
	variable := "OTELVLLM_" + strings.ToUpper(strings.ReplaceAll(name, "-", ""))
	if path := os.Getenv(variable); path != "" {
		return path
	}
	path, err := filepath.Abs("../../.build/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no %s: set %s to its path, or run make test-backends, which builds it", name, variable)
	}
	return path
}

// environ is the test's own environment without what would configure the programs under test, plus extra.
func environ(extra map[string]string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "OTEL") && !strings.HasPrefix(kv, "JAEGER_") && !strings.HasPrefix(kv, "HOSTNAME=") {
			env = append(env, kv)
		}
	}
	for k, v := range extra {
		env = append(env, k+"="+v)
	}
	return env
}

// Process is a program that runs for the length of a test.
type Process struct {
	cmd    *exec.Cmd
	output output
	done   chan struct{} // closed when the program has ended
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
		_ = cmd.Wait() // its state tells
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

// ended returns an error once the program has ended.
func (p *Process) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended with %s", filepath.Base(p.cmd.Path), p.cmd.ProcessState)
	default:
		return nil
	}
}

// Kill ends the program at once, as the kernel does when memory is short.
func (p *Process) Kill() {
	// An error means that it has ended, which the wait sees.
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the program to end, if it has not ended, and returns its exit status. A program that ignores the
// request for 30 s is killed, which is an error.
func (p *Process) Stop() (status int, err error) {
	if p.ended() != nil {
		return p.cmd.ProcessState.ExitCode(), nil
	}
	// An error here means that it ended meanwhile, which the wait below sees.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		p.Kill()
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
