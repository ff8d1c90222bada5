package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

func noExport(t *testing.T) {
	for _, s := range []string{"TRACES", "METRICS", "LOGS"} {
		t.Setenv("OTEL_"+s+"_EXPORTER", "none")
	}
}

// lines is a writer that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running is a gateway under test.
type running struct {
	callers, admin string
	out            *lines
	stop           context.CancelFunc
	status         chan int
}

func startGateway(t *testing.T, engine string, args ...string) *running {
	t.Helper()
	noExport(t)
	ctx, stop := context.WithCancel(t.Context())
	g := &running{out: &lines{}, stop: stop, status: make(chan int, 1)}
	args = append([]string{"-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-scrape-interval", "50ms"}, args...)
	if engine != "" {
		args = append(args, "-engine", engine)
	}
	go func() { g.status <- run(ctx, args, none, g.out) }()
	t.Cleanup(stop)
	address := regexp.MustCompile(`(?s)callers: +(http://\S+).*live page: (http://\S+)/`)
	if !eventually(func() bool { return address.MatchString(g.out.String()) }) {
		t.Fatalf("the gateway did not start: %s", g.out)
	}
	m := address.FindStringSubmatch(g.out.String())
	g.callers, g.admin = m[1], m[2]
	return g
}

func eventually(ok func() bool) bool {
	for range 1000 {
		if ok() {
			return true
		}
		<-time.After(10 * time.Millisecond)
	}
	return false
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url) //nolint:gosec // of this test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestSimulatedEngineAnswersAndTheAdminEndpointsTell(t *testing.T) {
	g := startGateway(t, "", "-stall-after", "300ms")
	if !strings.Contains(g.out.String(), "simulated") {
		t.Errorf("the gateway does not say that its engine is simulated: %s", g.out)
	}
	resp, err := http.Post(g.callers+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"simulated","max_tokens":4,"stream":true,"messages":[{"role":"user","content":"hi"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !bytes.HasSuffix(answer, []byte("data: [DONE]\n\n")) {
		t.Errorf("got %s, want a stream that ends with [DONE]", answer)
	}
	for path, want := range map[string]string{
		"/": "<!doctype html>", "/healthz": "ok", "/readyz": "ready", "/findings": `{"findings":[],`, "/health": `"stats"`,
		"/requests": `"outcome":"completed"`, "/metrics": "vllm_request_active",
	} {
		if !eventually(func() bool {
			status, body := get(t, g.admin+path)
			return status == http.StatusOK && strings.Contains(body, want)
		}) {
			status, body := get(t, g.admin+path)
			t.Errorf("GET %s: got %d %.200s, want 200 with %q", path, status, body, want)
		}
	}
	g.stop()
	if status := <-g.status; status != exitOK {
		t.Errorf("got status %d, want 0: %s", status, g.out)
	}
}

func TestAHangingRequestIsFoundAndCutByTheDrain(t *testing.T) {
	engine := httptest.NewServer(sim.New(sim.Config{Model: "m", AllowRequestFaults: true}))
	defer engine.Close()
	g := startGateway(t, engine.URL, "-stall-after", "200ms", "-drain", "300ms")
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, g.callers+"/v1/chat/completions",
		strings.NewReader(`{"model":"m","stream":true,"max_tokens":400,"ignore_eos":true,"messages":[{"role":"user","content":"hi"}]}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Fake-Fault", "hang-decode")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var findings struct{ Findings []struct{ Code string } }
	if !eventually(func() bool {
		_, body := get(t, g.admin+"/findings")
		return json.Unmarshal([]byte(body), &findings) == nil && len(findings.Findings) == 1
	}) {
		t.Fatal("the hanging request was not found")
	}
	if !eventually(func() bool { return strings.Contains(g.out.String(), "finding raised") }) {
		t.Errorf("the terminal does not tell of the stall: %s", g.out)
	}
	g.stop()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v at the end of the stream, want a cut", err)
	}
	if status := <-g.status; status != exitOK || !strings.Contains(g.out.String(), "cut 1 requests") {
		t.Errorf("got status %d and %s; want 0 and word of the cut", status, g.out)
	}
}

// unusedAddress returns an address that nothing listens on. Its port is below those that systems give to outgoing
// connections and to listeners for any port, so that no test beside this one is given it before it is used.
func unusedAddress(t *testing.T) string {
	t.Helper()
	for port := 15000; port < 32000; port++ {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

func TestRequestsWaitForAnEngineThatLoads(t *testing.T) {
	address := unusedAddress(t)
	g := startGateway(t, "http://"+address, "-wait-ready", "10s")
	if status, _ := get(t, g.admin+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz: got %d for an engine that is not there, want 503", status)
	}
	answered := make(chan string, 1)
	go func() {
		resp, err := http.Post(g.callers+"/v1/completions", "application/json", strings.NewReader(`{"model":"m","prompt":"a","max_tokens":2}`))
		if err != nil {
			answered <- err.Error()
			return
		}
		defer resp.Body.Close()
		answered <- fmt.Sprint(resp.StatusCode)
	}()
	if !eventually(func() bool {
		_, body := get(t, g.admin+"/requests")
		return strings.Contains(body, `"phase":"engine_init"`)
	}) {
		t.Error("the request is not shown waiting for the engine")
	}
	engine := httptest.NewUnstartedServer(sim.New(sim.Config{Model: "m"}))
	engine.Listener.Close()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	engine.Listener = l
	engine.Start()
	defer engine.Close()
	if got := <-answered; got != "200" {
		t.Errorf("got %s, want 200 once the engine is there", got)
	}
}

// TestEveryEngineBehindANameIsWatched watches the engines by their addresses, and sends requests to the name.
func TestEveryEngineBehindANameIsWatched(t *testing.T) {
	engine := httptest.NewServer(sim.New(sim.Config{Model: "m"}))
	defer engine.Close()
	_, port, _ := net.SplitHostPort(engine.Listener.Addr().String())
	g := startGateway(t, "dns+http://localhost:"+port)
	if !eventually(func() bool {
		_, body := get(t, g.admin+"/metrics")
		return strings.Contains(body, `server_address="127.0.0.1",server_port="`+port+`"`) && !strings.Contains(body, `server_address="localhost"`)
	}) {
		_, body := get(t, g.admin+"/metrics")
		t.Errorf("got %s, want the engine by its address", body)
	}
	if !eventually(func() bool { status, _ := get(t, g.admin+"/readyz"); return status == http.StatusOK }) {
		t.Error("the gateway is not ready, though an engine behind the name is")
	}
	resp, err := http.Post(g.callers+"/v1/completions", "application/json", strings.NewReader(`{"model":"m","prompt":"a","max_tokens":2}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("got %d, want 200 from an engine behind the name", resp.StatusCode)
	}
}

func TestAnEngineThatNeverComesIs503WithRetryAfter(t *testing.T) {
	g := startGateway(t, "http://127.0.0.1:1", "-wait-ready", "300ms")
	resp, err := http.Post(g.callers+"/v1/completions", "application/json", strings.NewReader(`{"model":"m","prompt":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("got %d with Retry-After %q, want 503 with one", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if _, body := get(t, g.admin+"/requests"); !strings.Contains(body, `"outcome":"unreachable"`) {
		t.Errorf("got %s, want the outcome unreachable", body)
	}
}
