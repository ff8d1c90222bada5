//go:build live

package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/examples/gateway/sidecar"
	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/otlp"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// The fault tests break a real vLLM in the ways that are seen in the field and look at what is said of it. They need a
// folder with the commands start, stop and fault (OTELVLLM_VLLM_KIT), which is not part of this repository.

const (
	faultPort   = "8017"
	faultStall  = 3 * time.Second
	faultEngine = "http://127.0.0.1:" + faultPort
)

// bench is a gateway in front of the engine that is broken.
type bench struct {
	t       *testing.T
	kit     string
	gateway *sidecar.Sidecar
	front   *httptest.Server
	spans   *tracetest.InMemoryExporter
	jaeger  *jaeger         // nil: the spans are looked at in memory
	export  *otlp.Telemetry // to Jaeger
	streams sync.WaitGroup
	leave   context.CancelFunc
	ctx     context.Context
}

// fault is one row of the table.
type fault struct {
	name string
	args []string // of the engine; rows with the same ones in a row share a server
	env  []string
	do   func(b *bench)
	undo func(b *bench) // nil: the server is of no more use
	want watchdog.Code
	idle bool // no request hangs: there is no stall span
}

func TestLiveFaults(t *testing.T) {
	kit := os.Getenv("OTELVLLM_VLLM_KIT")
	if kit == "" {
		t.Skip("OTELVLLM_VLLM_KIT is not set to a folder with the commands start, stop and fault for a vLLM")
	}
	kit, err := filepath.Abs(kit)
	if err != nil {
		t.Fatal(err)
	}
	running := ""
	stop := func() {
		if running != "" {
			_ = exec.Command(filepath.Join(kit, "fault"), "--port", faultPort, "resume").Run() // it may be gone
			_, _ = exec.Command(filepath.Join(kit, "stop"), "--port", faultPort).CombinedOutput()
			running = ""
		}
	}
	t.Cleanup(stop)
	traces := startJaeger(t)
	var table []string
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			setup := fmt.Sprint(f.args, f.env)
			if setup != running {
				stop()
				cmd := exec.Command(filepath.Join(kit, "start"), append([]string{"--port", faultPort}, f.args...)...)
				cmd.Env = append(os.Environ(), f.env...)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("start the engine: %v\n%s", err, out)
				}
				running = setup
			}
			table = append(table, runFault(t, kit, traces, f))
			if f.undo == nil {
				stop()
			}
		})
	}
	t.Logf("\n| fault | cause wanted | cause named | after the fault (threshold %s) | after the silence began | stall span %s before the request ended |\n|---|---|---|---|---|---|\n%s", faultStall, where(traces), strings.Join(table, "\n"))
}

// runFault plays one fault and returns its row.
func runFault(t *testing.T, kit string, traces *jaeger, f fault) string {
	b := newBench(t, kit, traces)
	defer b.close()
	b.run("first", `"max_tokens":4`) // the engine is known to be up
	settle(t, b)
	f.do(b)
	got, took := b.cause(f.want)
	if got != f.want {
		t.Errorf("got cause %q, want %q; findings %+v", got, f.want, b.gateway.Watchdog.Findings())
	}
	// The silence begins later than the fault where buffers have to fill or tokens are on their way.
	silence := b.silence(f.want)
	if limit := 2*faultStall + time.Second; silence > limit && !f.idle {
		t.Errorf("the cause was named after %s of silence, want at most %s", silence.Round(100*time.Millisecond), limit)
	}
	exported := "-"
	if !f.idle {
		seen := b.stallExported
		if b.jaeger != nil {
			seen = b.stallInJaeger
		}
		exported = fmt.Sprint(seen(f.want))
		if exported != "true" {
			t.Error("no stall span with the cause was exported while the request hung")
		}
	}
	if f.undo != nil {
		f.undo(b)
	}
	return fmt.Sprintf("| %s | %s | %s | %.1f s | %.1f s | %s |", f.name, f.want, got, took.Seconds(), silence.Seconds(), exported)
}

func newBench(t *testing.T, kit string, traces *jaeger) *bench {
	engine, _ := url.Parse(faultEngine)
	b := &bench{t: t, kit: kit, spans: tracetest.NewInMemoryExporter(), jaeger: traces}
	var provider trace.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSyncer(b.spans))
	if traces != nil {
		for name, value := range map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": traces.otlp, "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_BSP_SCHEDULE_DELAY": "200",
		} {
			t.Setenv(name, value)
		}
		var err error
		if b.export, err = otlp.Setup(t.Context(), otlp.WithoutGlobals()); err != nil {
			t.Fatal(err)
		}
		provider = b.export.TracerProvider()
	}
	b.gateway = sidecar.New(sidecar.Config{Engine: engine, StallAfter: faultStall, ScrapeInterval: 500 * time.Millisecond, UsageInjection: true},
		otelvllm.WithTracerProvider(provider))
	b.front = httptest.NewServer(b.gateway.Handler)
	b.ctx, b.leave = context.WithCancel(t.Context())
	b.streams.Go(func() { _ = b.gateway.Monitor.Run(b.ctx) })
	b.streams.Go(func() { _ = b.gateway.Watchdog.Run(b.ctx) })
	return b
}

func (b *bench) close() {
	b.leave()
	b.front.CloseClientConnections()
	b.streams.Wait()
	b.front.Close()
	if b.export != nil {
		if err := b.export.Shutdown(context.Background()); err != nil {
			b.t.Errorf("send the rest of the spans: %v", err)
		}
	}
}

// where says where the spans are looked at.
func where(traces *jaeger) string {
	if traces != nil {
		return "in Jaeger"
	}
	return "exported"
}

// settle waits until the monitor has seen the engine up.
func settle(t *testing.T, b *bench) {
	for range 200 {
		for _, s := range b.gateway.Monitor.Status() {
			if s.State == "up" && s.Snapshot != nil && s.Before != nil {
				return
			}
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Fatal("the engine was not seen up")
}

// run sends one request and waits for its end.
func (b *bench) run(prompt, more string) {
	resp, err := http.Post(b.front.URL+"/v1/completions", "application/json", strings.NewReader(fmt.Sprintf(`{"model":"tiny","prompt":%q,%s}`, prompt, more)))
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

// hang keeps n streams of many tokens going in the background until the bench is closed: on a quiet machine the engine
// ends one in three seconds, which is too soon for most faults.
func (b *bench) hang(n int, tokens int) { b.hangOn("", n, tokens) }

// hangOn is hang on one rank of an engine with several; empty leaves the choice to vLLM.
func (b *bench) hangOn(rank string, n, tokens int) {
	for i := range n {
		b.streams.Go(func() {
			body := fmt.Sprintf(`{"model":"tiny","prompt":"number %d","stream":true,"max_tokens":%d,"ignore_eos":true}`, i, tokens)
			for b.ctx.Err() == nil && b.stream(rank, body) {
			}
		})
	}
}

// stream reads one stream to its end, and tells whether there was one.
func (b *bench) stream(rank, body string) bool {
	req, _ := http.NewRequestWithContext(b.ctx, http.MethodPost, b.front.URL+"/v1/completions", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	if rank != "" {
		req.Header.Set("X-Data-Parallel-Rank", rank)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return err == nil && resp.StatusCode == http.StatusOK
}

// decoding waits until a request of ours is with the engine, and a second more: a busy vLLM may send its first tokens
// together with its last ones.
func (b *bench) decoding() {
	for range 200 {
		if len(b.gateway.Registry.Running()) > 0 {
			break
		}
		<-time.After(20 * time.Millisecond)
	}
	<-time.After(time.Second)
}

// kitDo runs a command of the kit.
func (b *bench) kitDo(name string, args ...string) {
	if out, err := exec.Command(filepath.Join(b.kit, name), append([]string{"--port", faultPort}, args...)...).CombinedOutput(); err != nil {
		b.t.Errorf("%s %v: %v\n%s", name, args, err, out)
	}
}

func (b *bench) dev(path string) {
	resp, err := http.Post(faultEngine+path, "application/json", nil)
	if err != nil {
		b.t.Errorf("%s: %v", path, err)
		return
	}
	resp.Body.Close()
}

// cause waits for a finding with the code, and returns what stands first if it does not come.
func (b *bench) cause(want watchdog.Code) (watchdog.Code, time.Duration) {
	start := time.Now()
	for time.Since(start) < 6*faultStall {
		for _, f := range b.gateway.Watchdog.Findings() {
			if f.Code == want {
				return f.Code, time.Since(start)
			}
		}
		<-time.After(50 * time.Millisecond)
	}
	if f := b.gateway.Watchdog.Findings(); len(f) > 0 {
		return f[0].Code, time.Since(start)
	}
	return "", time.Since(start)
}

// silence is how long the requests had been silent when the cause was named for the first of them.
func (b *bench) silence(want watchdog.Code) time.Duration {
	shortest := time.Duration(0)
	for _, s := range b.gateway.Registry.Running() {
		if s.Stall != nil && s.Stall.Cause == string(want) && (shortest == 0 || s.Stall.Silence < shortest) {
			shortest = s.Stall.Silence
		}
	}
	return shortest
}

// stallExported tells whether a stall span with the cause has been exported while its request still runs.
func (b *bench) stallExported(want watchdog.Code) bool {
	for range 60 {
		running := map[string]bool{}
		for _, s := range b.gateway.Registry.Running() {
			running[s.TraceID] = true
		}
		if slices.ContainsFunc(b.spans.GetSpans(), func(s tracetest.SpanStub) bool {
			return s.Name == "stall" && running[s.SpanContext.TraceID().String()] && slices.ContainsFunc(s.Attributes, func(kv attribute.KeyValue) bool {
				return kv.Key == "vllm.stall.cause" && kv.Value.AsString() == string(want)
			})
		}) {
			return true
		}
		<-time.After(100 * time.Millisecond)
	}
	return false
}

func resume(b *bench) {
	b.kitDo("fault", "resume")
	<-time.After(2 * time.Second) // what was held up goes on
}

func nothing(*bench) {}

// slowReader asks for a stream and does not read it.
func slowReader(b *bench) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.front.URL, "http://"))
	if err != nil {
		b.t.Error(err)
		return
	}
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	context.AfterFunc(b.ctx, func() { conn.Close() })
	body := `{"model":"tiny","prompt":"a","stream":true,"max_tokens":2000,"ignore_eos":true,"logprobs":5,"n":8}`
	fmt.Fprintf(conn, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

var (
	keepAlive = []string{"--sse-keep-alive-interval", "1"}
	fullCache = []string{"--num-gpu-blocks-override", "20"}
	twoRanks  = []string{"--data-parallel-size", "2"}
)

var faults = []fault{
	{"engine wedged in decode", nil, nil, func(b *bench) { b.hang(8, 1900); b.decoding(); b.kitDo("fault", "wedge") }, resume, watchdog.EngineWedged, false},
	{"engine wedged, then a new stream", nil, nil, func(b *bench) { b.kitDo("fault", "wedge"); b.hang(1, 50) }, resume, watchdog.EngineWedged, false},
	{"worker wedged", nil, nil, func(b *bench) { b.hang(8, 1900); b.decoding(); b.kitDo("fault", "wedge", "worker") }, resume, watchdog.EngineWedged, false},
	{"API process wedged", nil, nil, func(b *bench) { b.hang(8, 1900); b.decoding(); b.kitDo("fault", "wedge", "api") }, resume, watchdog.EngineWedged, false},
	{"asleep", nil, nil, func(b *bench) { b.dev("/sleep?level=1"); b.hang(1, 50) }, func(b *bench) { b.dev("/wake_up"); <-time.After(time.Second) }, watchdog.EngineAsleep, false},
	{"paused", nil, nil, func(b *bench) { b.hang(8, 1900); b.decoding(); b.dev("/pause?mode=keep") }, func(b *bench) { b.dev("/resume"); <-time.After(time.Second) }, watchdog.EngineAsleep, false},
	{"queue beyond --max-num-seqs", nil, nil, func(b *bench) { b.hang(48, 1900) }, func(b *bench) { b.leave(); <-time.After(2 * time.Second) }, watchdog.QueueSaturated, false},
	{"slow reader", nil, nil, slowReader, nothing, watchdog.SlowClient, false},
	{"API process killed", nil, nil, func(b *bench) { b.hang(8, 1900); b.decoding(); b.kitDo("fault", "kill", "api") }, nil, watchdog.EngineDead, true},
	{"engine killed", []string{}, []string{"X=1"}, func(b *bench) { b.hang(8, 1900); b.decoding(); b.kitDo("fault", "kill") }, nil, watchdog.EngineDead, true},
	{"worker killed", []string{}, []string{"X=2"}, func(b *bench) { b.hang(8, 1900); b.decoding(); b.kitDo("fault", "kill", "worker") }, nil, watchdog.EngineDead, true},
	{"keep-alive comments over a wedged engine", keepAlive, nil, func(b *bench) { b.hang(8, 1900); b.decoding(); b.kitDo("fault", "wedge") }, nil, watchdog.EngineWedged, false},
	{"KV cache full, preemption", fullCache, nil, func(b *bench) { b.hang(8, 1400) }, nil, watchdog.PreemptionThrash, false},
	{"one of two ranks wedged", twoRanks, nil, func(b *bench) {
		b.hangOn("0", 8, 1900)
		b.hangOn("1", 8, 1900)
		b.decoding()
		b.t.Setenv("ENGINE", "1")
		b.kitDo("fault", "wedge")
	}, nil, watchdog.EngineWedged, false},
}
