package test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/otelvllm/otelvllm-go/examples/gateway/sidecar"
	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/gpumetrics/fake"
	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

// broken is a gateway on a machine whose GPU breaks when the test says so.
type broken struct {
	t              *testing.T
	engine         *sim.Engine
	callers, admin string
	breaks         func() // from then on the GPU's script is past its fault
	spans          *tracetest.InMemoryExporter
	reader         *metric.ManualReader
}

// scripted is when the fault comes in the script of a GPU; its clock is late by this until the test lets it go.
const scripted = 10 * time.Minute

func startBroken(t *testing.T, gpu fake.GPU, opts ...otelvllm.Option) *broken {
	t.Helper()
	b := &broken{t: t, spans: tracetest.NewInMemoryExporter(), reader: metric.NewManualReader()}
	var due atomic.Bool
	b.breaks = func() { due.Store(true) }
	source := fake.New(gpu)
	source.Clock = func() time.Time {
		if due.Load() {
			return time.Now()
		}
		return time.Now().Add(-scripted)
	}
	mp := metric.NewMeterProvider(metric.WithReader(b.reader))
	monitor, err := gpumetrics.New(source, gpumetrics.WithMeterProvider(mp), gpumetrics.WithInterval(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var base string
	b.engine, base = simtest.Start(t, sim.Config{Model: "tiny", Timing: sim.Timing{Step: time.Millisecond}})
	target, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	opts = append(opts, otelvllm.WithTracerProvider(trace.NewTracerProvider(trace.WithSyncer(b.spans))), otelvllm.WithMeterProvider(mp))
	s := sidecar.New(sidecar.Config{
		Engine: target, StallAfter: 3 * time.Second, ScrapeInterval: 20 * time.Millisecond, Drain: time.Minute,
		UsageInjection: true, MeterProvider: mp, GPUs: monitor, GPURequired: true,
	}, opts...)
	callers, admin := listen(t), listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, callers, admin, func(string) {}) }()
	t.Cleanup(func() {
		b.engine.Clear()
		source.Release()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	b.callers, b.admin = "http://"+callers.Addr().String(), "http://"+admin.Addr().String()
	return b
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// get reads one of the operator's documents.
func (b *broken) get(path string, into any) {
	b.t.Helper()
	resp, err := http.Get(b.admin + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		b.t.Fatalf("GET %s: %v", path, err)
	}
}

// finding waits until a cause is found for a request.
func (b *broken) finding(code watchdog.Code) (f watchdog.Finding) {
	b.t.Helper()
	var found struct{ Findings []watchdog.Finding }
	defer func() {
		if b.t.Failed() {
			b.t.Logf("the findings are %+v", found.Findings)
		}
	}()
	waitUntil(b.t, string(code)+" with a request", func() bool {
		b.get("/findings", &found)
		i := slices.IndexFunc(found.Findings, func(f watchdog.Finding) bool { return f.Code == code && len(f.Requests) > 0 })
		if i >= 0 {
			f = found.Findings[i]
		}
		return i >= 0
	})
	return f
}

// waitUntil polls until ok, for at most twenty seconds.
func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for limit := time.Now().Add(20 * time.Second); !ok(); <-ticker.C {
		if time.Now().After(limit) {
			t.Fatalf("no %s within 20 s", what)
		}
	}
}

// metric returns what a metric holds now, nil if it has no points.
func (b *broken) metric(name string) metricdata.Aggregation {
	b.t.Helper()
	var all metricdata.ResourceMetrics
	if err := b.reader.Collect(b.t.Context(), &all); err != nil {
		b.t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name == name {
				return m.Data
			}
		}
	}
	return nil
}

// xids returns how often the metric has counted an error code of a GPU, -1 if it does not have that.
func (b *broken) xids(gpu string, xid int) int64 {
	b.t.Helper()
	sum, _ := b.metric("nvidia.gpu.xid.errors").(metricdata.Sum[int64])
	for _, p := range sum.DataPoints {
		id, _ := p.Attributes.Value("hw.id")
		code, _ := p.Attributes.Value("nvidia.xid.code")
		if id.AsString() == gpu && code.AsInt64() == int64(xid) {
			return p.Value
		}
	}
	return -1
}

// TestAHookBesideTheGatewaysOwn gives the gateway a hook: the gateway's own, which tells the GPUs' ledger what a request
// was, is called as well.
func TestAHookBesideTheGatewaysOwn(t *testing.T) {
	calls := make(chan otelvllm.Call, 1)
	b := startBroken(t, fake.H100s(1, fake.Serve)[0], otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) { calls <- c }))
	b.stream()()
	if c := <-calls; c.Operation != "text_completion" {
		t.Errorf("the hook got a call of %q, want text_completion", c.Operation)
	}
	waitUntil(t, "share of the energy with the request's operation", func() bool {
		shares, _ := b.metric("vllm.request.gpu.energy").(metricdata.Histogram[float64])
		return slices.ContainsFunc(shares.DataPoints, func(p metricdata.HistogramDataPoint[float64]) bool {
			operation, _ := p.Attributes.Value("gen_ai.operation.name")
			return operation.AsString() == "text_completion" && p.Count == 1
		})
	})
}

// TestASilentWebSocketTakesNoShareOfTheGPU lets a request run beside a WebSocket whose caller says nothing: all of the
// GPU's time is the request's, and the WebSocket gets that of its answer.
func TestASilentWebSocketTakesNoShareOfTheGPU(t *testing.T) {
	calls := make(chan otelvllm.Call, 2)
	b := startBroken(t, fake.H100s(1, fake.Serve)[0], otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) { calls <- c }))
	talk := speak(t, b.callers, http.DefaultTransport, false)
	talk.transcribe()
	b.stream()()
	request := (<-calls).Duration.Seconds()
	if err := talk.conn.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Error(err)
	}
	open := (<-calls).Duration.Seconds()

	shares := map[string]float64{}
	waitUntil(t, "shares of both", func() bool {
		times, _ := b.metric("vllm.request.gpu.time").(metricdata.Histogram[float64])
		for _, p := range times.DataPoints {
			operation, _ := p.Attributes.Value("gen_ai.operation.name")
			shares[operation.AsString()] = p.Sum
		}
		return len(shares) == 2
	})
	if got := shares["text_completion"]; got < 0.8*request || got > 1.1*request {
		t.Errorf("the request has %v s of the GPU, want nearly all of its %v s", got, request)
	}
	if got := shares["realtime"]; got <= 0 || got > open-request {
		t.Errorf("the WebSocket has %v s of the GPU, want some, and at most the %v s that it was open before", got, open-request)
	}
}

// TestAGPUThatBreaksUnderARequestIsToldEverywhere follows an error of the driver through the whole gateway while a
// stream hangs because of it: to the finding, the health document, the request's span and the metric.
func TestAGPUThatBreaksUnderARequestIsToldEverywhere(t *testing.T) {
	card := fake.H100s(1, fake.Serve)[0]
	for _, tt := range []struct {
		name, state, summary, remedy, action string
		gpu                                  fake.GPU
		xid                                  int
	}{
		{"it falls off the bus", "lost", "GPU 0 is lost or reports a fatal error (XID 79)", "reset the GPU or reboot", "restart_machine", card.FallsOffTheBus(scripted), 79},
		{"a contained memory error ends the program", "ok", "the driver of GPU 0 reports XID 94", "start vLLM again", "restart_app", card.Reports(scripted, 94).Then(scripted, fake.Idle), 94},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := startBroken(t, tt.gpu)
			waitUntil(t, "counter that begins at 0", func() bool { return b.xids(gpuID, tt.xid) == 0 })
			stream := b.stream()
			b.engine.Fault(sim.Wedge) // a GPU that is gone computes nothing
			b.breaks()

			f := b.finding(watchdog.GPULost)
			if !strings.Contains(f.Summary, tt.summary) || !strings.Contains(f.Remedy, tt.remedy) {
				t.Errorf("got %q and %q, want %q and %q", f.Summary, f.Remedy, tt.summary, tt.remedy)
			}
			if f.Evidence["gpu"] != "0" || f.Evidence["xid"] != float64(tt.xid) || f.Evidence["lost"] != (tt.state == "lost") {
				t.Errorf("got the evidence %v, want GPU 0 with XID %d, %s", f.Evidence, tt.xid, tt.state)
			}
			b.checkHealth(tt.state, tt.xid)
			if n := b.xids(gpuID, tt.xid); n != 1 {
				t.Errorf("the metric counts %d errors with the code %d, want 1", n, tt.xid)
			}

			b.engine.Clear()
			stream()
			b.checkSpan(f.Requests[0], tt.xid, tt.action)
		})
	}
}

// gpuID is the identity of the first card that is played.
const gpuID = "GPU-5f1c3a00-0b7e-4d92-a3c4-0000007e5700"

// stream sends a request and reads its first token; read reads the rest.
func (b *broken) stream() (read func()) {
	b.t.Helper()
	resp, err := http.Post(b.callers+"/v1/completions", "application/json", strings.NewReader(`{"model":"tiny","prompt":"once","max_tokens":400,"ignore_eos":true,"stream":true}`))
	if err != nil {
		b.t.Fatal(err)
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), `"text"`) {
	}
	return func() {
		b.t.Helper()
		defer resp.Body.Close()
		last := ""
		for lines.Scan() {
			last += lines.Text()
		}
		if !strings.HasSuffix(last, "data: [DONE]") {
			b.t.Errorf("the stream does not come to its end: %v", lines.Err())
		}
	}
}

func (b *broken) checkHealth(state string, xid int) {
	b.t.Helper()
	var document struct {
		Stats struct {
			GPUs []struct {
				UUID, State string
				XID         int
			} `json:"gpu_stats"`
			Findings []watchdog.Finding
		}
		Summary string
	}
	b.get("/health", &document)
	got := document.Stats
	if len(got.GPUs) != 1 || got.GPUs[0].UUID != gpuID || got.GPUs[0].State != state || got.GPUs[0].XID != xid {
		b.t.Errorf("/health: got the GPUs %+v, want one, %s, with XID %d", got.GPUs, state, xid)
	}
	if len(got.Findings) == 0 || got.Findings[0].Code != watchdog.GPULost || !strings.HasPrefix(document.Summary, string(watchdog.GPULost)) {
		b.t.Errorf("/health: got the findings %+v and the summary %q, want %s first", got.Findings, document.Summary, watchdog.GPULost)
	}
}

// checkSpan looks for the error on the request's spans: once, with what the catalogue says of it.
func (b *broken) checkSpan(request string, xid int, action string) {
	b.t.Helper()
	ended := func() bool {
		return slices.ContainsFunc(b.spans.GetSpans(), func(s tracetest.SpanStub) bool {
			return s.SpanContext.TraceID().String() == request && !s.Parent.IsValid()
		})
	}
	waitUntil(b.t, "span of the request", ended)
	var got []string
	for _, span := range b.spans.GetSpans() {
		for _, e := range span.Events {
			if e.Name != "nvidia.gpu.xid" {
				continue
			}
			set := attribute.NewSet(e.Attributes...)
			got = append(got, span.SpanContext.TraceID().String()+" "+set.Encoded(attribute.DefaultEncoder()))
		}
	}
	want := fmt.Sprintf("%s hw.id=%s,nvidia.xid.action=%s,nvidia.xid.code=%d,nvidia.xid.name=%s", request, gpuID, action, xid, gpumetrics.XID(xid).Name)
	if len(got) != 1 || got[0] != want {
		b.t.Errorf("got the events %q, want %q", got, want)
	}
}
