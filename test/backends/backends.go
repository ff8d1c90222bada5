// Package backends starts what telemetry meets after it leaves a program: a real OpenTelemetry Collector, in
// this process, and a real Jaeger, as a process of its own behind it. Tests send OTLP to the Collector and read
// the traces back from Jaeger's query API, and the metrics and log records from memory.
//
// It is a module of its own so that users of the library never see these dependencies.
package backends

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// patience bounds every wait for a backend. It is long because a laptop that compiles something else at the same
// time is slow; nothing here takes it all unless it is broken.
const patience = 30 * time.Second

// Backends is a running Collector with a running Jaeger behind it.
type Backends struct {
	// OTLPEndpoint is the Collector's base URL for OTLP over HTTP, fit for OTEL_EXPORTER_OTLP_ENDPOINT.
	OTLPEndpoint string
	// JaegerURL is the base URL of Jaeger's query API.
	JaegerURL string

	received *sink
	client   *http.Client
}

// Start starts both and stops them when the test ends. It fails the test if one does not come up.
//
// Jaeger's binary is the one OTELVLLM_JAEGER names (make test-backends sets it); without the variable Start
// builds it, which takes some minutes the first time. Under -short Start skips the test.
func Start(t testing.TB) *Backends {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: not starting a Collector and a Jaeger")
	}
	b := &Backends{received: new(sink), client: &http.Client{Timeout: 10 * time.Second}}
	t.Cleanup(b.client.CloseIdleConnections)
	jaegerOTLP := b.startJaeger(t)
	b.startCollector(t, jaegerOTLP)
	return b
}

// freeAddress returns a loopback address that nothing listens on. Another process may take it before the caller
// does, which then fails to start: there is no way to hand an open socket to the programs under test.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}

// eventually calls ready every 20 ms until it returns nil, and returns its last error when patience runs out.
func eventually(ready func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v: %w", patience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
