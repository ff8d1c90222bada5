// Package backends starts what telemetry meets after it leaves a program: a real OpenTelemetry Collector, Jaeger,
// Prometheus and VictoriaMetrics, each a process of its own, with the configurations that the project ships. Tests send
// telemetry in where a program would and read it back from the query API that a person's browser would ask.
//
// It is a module of its own so that users of the library never see these dependencies.
package backends

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait for a backend. It is long because a laptop that compiles something else at the same
// time is slow; nothing here takes it all unless it is broken.
const patience = 30 * time.Second

// Backends is a Collector beside a program, with a Jaeger behind it. What the Collector sends as metrics and logs is
// kept in memory.
type Backends struct {
	*Jaeger
	*Sink
	Collector *Collector
	// OTLPEndpoint is the Collector's base URL for OTLP over HTTP, fit for OTEL_EXPORTER_OTLP_ENDPOINT.
	OTLPEndpoint string
}

// Start starts all of it and stops it when the test ends. It fails the test if one part does not come up, and skips it
// where a program is not there, and under -short.
func Start(t testing.TB) *Backends {
	t.Helper()
	b := &Backends{Jaeger: StartJaeger(t), Sink: StartSink(t)}
	b.Collector = StartCollector(t, map[string]string{
		"OTELCOL_TRACES_ENDPOINT":  b.OTLPGRPC,
		"OTELCOL_METRICS_ENDPOINT": b.Sink.URL,
		"OTELCOL_LOGS_EXPORTER":    "otlp_http/logs",
		"OTELCOL_LOGS_ENDPOINT":    b.Sink.URL,
	}, "agent.yaml")
	b.OTLPEndpoint = "http://" + b.Collector.HTTP
	return b
}

// ports counts through the ports that freeAddress hands out, none of them twice. The system gives the ports from 32768 on
// to outgoing connections and to listeners that ask for any port, of which the programs under test have many: an
// address among those may be gone before the program that it was found for takes it.
var ports = struct {
	sync.Mutex
	next int
}{next: firstPort + os.Getpid()%(endPort-firstPort)}

const firstPort, endPort = 15000, 32000

// freeAddress returns a loopback address that nothing listens on and that no other call has returned.
func freeAddress(t testing.TB) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range endPort - firstPort {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports.next))
		if ports.next++; ports.next == endPort {
			ports.next = firstPort
		}
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatalf("no port from %d to %d is free", firstPort, endPort-1)
	return ""
}

func hostPort(t testing.TB, address string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
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

// getter asks programs by HTTP.
type getter struct{ http.Client }

func newGetter(t testing.TB) *getter {
	g := &getter{http.Client{Timeout: 10 * time.Second}}
	t.Cleanup(g.CloseIdleConnections)
	return g
}

// errNotFound is what text returns for status 404.
var errNotFound = errors.New("not found")

// text returns the body of a URL that answers with 200.
func (g *getter) text(url string) (string, error) {
	resp, err := g.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return "", fmt.Errorf("GET %s: %w", url, err)
	case resp.StatusCode == http.StatusNotFound:
		return "", fmt.Errorf("GET %s: %w", url, errNotFound)
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("GET %s: %s: %.300s", url, resp.Status, body)
	}
	return string(body), nil
}

// json reads the answer of a URL into a value.
func (g *getter) json(url string, into any) error {
	body, err := g.text(url)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	return nil
}

// await waits until a program answers at a URL, and fails the test if it ends instead.
func (g *getter) await(t testing.TB, p *Process, url string) {
	t.Helper()
	err := eventually(func() error {
		if err := p.ended(); err != nil {
			t.Fatalf("%v; it printed:\n%s", err, p.Output())
		}
		_, err := g.text(url)
		return err
	})
	if err != nil {
		t.Fatalf("wait for %s: %v", p.cmd.Path, err)
	}
}
