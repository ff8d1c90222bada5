//go:build live

package test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// jaegerConfig runs Jaeger with its memory store. Its own tracing is off: it would send to an address where nothing listens.
const jaegerConfig = `
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {receivers: [otlp], exporters: [jaeger_storage_exporter]}
  telemetry: {metrics: {level: none}, logs: {level: warn}}
extensions:
  jaeger_storage: {backends: {store: {memory: {max_traces: 10000}}}}
  jaeger_query: {storage: {traces: store}, enable_tracing: false, http: {endpoint: %q}, grpc: {endpoint: %q}}
receivers: {otlp: {protocols: {http: {endpoint: %q}}}}
exporters: {jaeger_storage_exporter: {trace_storage: store}}
`

// jaeger is a real Jaeger: OTELVLLM_JAEGER is the path of its program.
type jaeger struct{ query, otlp string }

// startJaeger starts Jaeger, and returns nil where there is none.
func startJaeger(t *testing.T) *jaeger {
	t.Helper()
	program := os.Getenv("OTELVLLM_JAEGER")
	if program == "" {
		t.Log("OTELVLLM_JAEGER is not set to a Jaeger program, so the spans are looked at in memory")
		return nil
	}
	var address [3]string
	for i := range address {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address[i] = l.Addr().String()
		l.Close()
	}
	config := filepath.Join(t.TempDir(), "jaeger.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, jaegerConfig, address[0], address[1], address[2]), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	j := &jaeger{query: "http://" + address[0], otlp: "http://" + address[2]}
	for range 100 {
		if _, err := j.stalls("00000000000000000000000000000001"); err == nil {
			return j
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Fatal("Jaeger does not answer")
	return nil
}

// stalls returns the causes of the stall spans of a trace that Jaeger has.
func (j *jaeger) stalls(trace string) (causes []string, err error) {
	resp, err := http.Get(j.query + "/api/traces/" + trace)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Data []struct {
			Spans []struct {
				OperationName string
				Tags          []struct {
					Key   string
					Value any
				}
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	for _, d := range answer.Data {
		for _, s := range d.Spans {
			for _, tag := range s.Tags {
				if s.OperationName == "stall" && tag.Key == "vllm.stall.cause" {
					causes = append(causes, fmt.Sprint(tag.Value))
				}
			}
		}
	}
	return causes, nil
}

// stallInJaeger tells whether Jaeger has a stall span with the cause for a request that still runs.
func (b *bench) stallInJaeger(want watchdog.Code) bool {
	for range 60 {
		for _, s := range b.gateway.Registry.Running() {
			causes, err := b.jaeger.stalls(s.TraceID)
			if err != nil {
				b.t.Errorf("ask Jaeger for trace %s: %v", s.TraceID, err)
				return false
			}
			for _, cause := range causes {
				if cause == string(want) && b.stillRuns(s.TraceID) {
					return true
				}
			}
		}
		<-time.After(100 * time.Millisecond)
	}
	return false
}

// stillRuns tells whether the request of a trace has not ended.
func (b *bench) stillRuns(trace string) bool {
	for _, s := range b.gateway.Registry.Running() {
		if s.TraceID == trace {
			return true
		}
	}
	return false
}
