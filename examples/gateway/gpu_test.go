package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestDemoGPUsAreShownAndTheirEnergyIsSharedAmongRequests(t *testing.T) {
	g := startGateway(t, "", "-gpu", "demo")
	if !eventually(func() bool { return strings.Contains(g.out.String(), "GPUs:      8 x NVIDIA H100") }) {
		t.Fatalf("the gateway does not say which GPUs there are: %s", g.out)
	}
	resp, err := http.Post(g.callers+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"simulated","max_tokens":40,"stream":true,"messages":[{"role":"user","content":"hi"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	for path, wants := range map[string][]string{
		"/health": {`"memory_total_mb":81559`, `"name":"NVIDIA H100 80GB HBM3"`, `"state":"ok"`, `"power_limit_watts":700`},
		"/":       {"H100"},
		"/metrics": {
			"hw_gpu_utilization_ratio{", "hw_energy_joules_total{", "nvidia_gpu_xid_errors_total{",
			`vllm_request_gpu_energy_joules_count{gen_ai_operation_name="chat"`, `vllm_request_gpu_time_seconds_count{gen_ai_operation_name="chat"`,
			`vllm_request_gpu_energy_per_token`,
		},
	} {
		for _, want := range wants {
			if !eventually(func() bool { _, body := get(t, g.admin+path); return strings.Contains(body, want) }) {
				t.Errorf("GET %s does not come to hold %q", path, want)
			}
		}
	}
	if _, body := get(t, g.admin+"/findings"); !strings.HasPrefix(body, `{"findings":[],`) {
		t.Errorf("got %s, want no finding", body)
	}
}

func TestGPUsThatAreOffAreInNoAnswer(t *testing.T) {
	g := startGateway(t, "", "-gpu", "off")
	if _, body := get(t, g.admin+"/health"); !strings.Contains(body, `"gpu_stats":null`) {
		t.Errorf("got %s, want null for the GPUs", body)
	}
	if _, body := get(t, g.admin+"/metrics"); strings.Contains(body, "nvidia_gpu") {
		t.Error("there are GPU metrics")
	}
	if strings.Contains(g.out.String(), "GPU") {
		t.Errorf("got %s, want not a word of GPUs", g.out)
	}
}

// build compiles the gateway with cgo or without.
func build(t *testing.T, cgo string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("it compiles the gateway: left out with -short")
	}
	if cgo == "1" {
		if _, err := exec.LookPath("gcc"); err != nil || runtime.GOOS != "linux" {
			t.Skip("there is no gcc to link NVML's part with")
		}
	}
	program := filepath.Join(t.TempDir(), "gateway")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build with CGO_ENABLED=%s: %v\n%s", cgo, err, out)
	}
	return program
}

// program runs a built gateway until its output holds until, or it ends, and returns both.
func program(t *testing.T, path string, env []string, until string, args ...string) (output string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{"-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none")
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		all.WriteString(lines.Text() + "\n")
		if until != "" && strings.Contains(all.String(), until) {
			_ = cmd.Process.Signal(os.Interrupt)
			until = ""
		}
	}
	err = cmd.Wait()
	return all.String(), err
}

// TestFault_H02_TheGatewayStartsHoweverItIsBuilt starts real binaries: without cgo, and linked so that every symbol is resolved at
// start, as a hardened build is.
func TestFault_H02_TheGatewayStartsHoweverItIsBuilt(t *testing.T) {
	for _, tt := range []struct {
		name, cgo string
		env       []string
	}{
		{"without cgo", "0", nil},
		{"with cgo, every symbol resolved at start", "1", []string{"LD_BIND_NOW=1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := build(t, tt.cgo)
			out, err := program(t, path, tt.env, "GPUs: ", "-gpu", "auto")
			if err != nil || !strings.Contains(out, "callers: ") || strings.Count(out, "GPUs: ") != 1 {
				t.Errorf("-gpu auto: got %v and %q, want status 0 and one line about GPUs", err, out)
			}
			out, err = program(t, path, tt.env, "GPUs:      8 x NVIDIA H100", "-gpu", "demo")
			if err != nil || !strings.Contains(out, "GPUs:      made up") || !strings.Contains(out, "GPUs:      8 x NVIDIA H100") {
				t.Errorf("-gpu demo: got %v and %q, want status 0, the cards, and that they are made up", err, out)
			}
			if hasDriver() {
				t.Skip("there is a driver here, so -gpu required may find a GPU")
			}
			out, err = program(t, path, tt.env, "", "-gpu", "required")
			exit, ok := err.(*exec.ExitError) //nolint:errorlint // Wait returns it as it is
			if !ok || exit.ExitCode() != exitFailed || !strings.Contains(out, "gateway: no usable GPU (-gpu required): ") || strings.Count(out, "GPU (") != 1 || strings.Contains(out, "GPUs: ") {
				t.Errorf("-gpu required: got %v and %q, want status 1 and one line that says why", err, out)
			}
		})
	}
}

func hasDriver() bool {
	_, err := os.Stat("/dev/nvidiactl")
	return err == nil
}
