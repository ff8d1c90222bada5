package otelvllm_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// telemetry collects what a test's calls emit.
type telemetry struct {
	spans    *tracetest.InMemoryExporter
	tracer   *sdktrace.TracerProvider
	reader   *sdkmetric.ManualReader
	meter    *sdkmetric.MeterProvider
	registry *inflight.Registry

	mu    sync.Mutex
	calls []otelvllm.Call
}

func newTelemetry() *telemetry {
	tel := &telemetry{spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader(), registry: &inflight.Registry{}}
	tel.tracer = sdktrace.NewTracerProvider(sdktrace.WithSyncer(tel.spans))
	tel.meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(tel.reader))
	return tel
}

// options are those that every part under test gets.
func (tel *telemetry) options(more ...otelvllm.Option) []otelvllm.Option {
	return append([]otelvllm.Option{
		otelvllm.WithTracerProvider(tel.tracer), otelvllm.WithMeterProvider(tel.meter),
		otelvllm.WithPropagators(propagation.TraceContext{}), otelvllm.WithRegistry(tel.registry),
		otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) {
			tel.mu.Lock()
			defer tel.mu.Unlock()
			tel.calls = append(tel.calls, c)
		}),
	}, more...)
}

// call returns the only call that ended.
func (tel *telemetry) call(t *testing.T) otelvllm.Call {
	t.Helper()
	tel.mu.Lock()
	defer tel.mu.Unlock()
	if len(tel.calls) != 1 {
		t.Fatalf("got %d ended calls, want 1", len(tel.calls))
	}
	return tel.calls[0]
}

// span returns the only span of that name.
func (tel *telemetry) span(t *testing.T, name string) tracetest.SpanStub {
	t.Helper()
	var found []tracetest.SpanStub
	for _, s := range tel.spans.GetSpans() {
		if s.Name == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("got %d spans named %q, want 1; all: %v", len(found), name, tel.names())
	}
	return found[0]
}

func (tel *telemetry) names() []string {
	var names []string
	for _, s := range tel.spans.GetSpans() {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

// tree renders the spans as an indented tree with kinds and durations.
func (tel *telemetry) tree() string {
	stubs := tel.spans.GetSpans()
	known := make(map[string]bool)
	for _, s := range stubs {
		known[s.SpanContext.SpanID().String()] = true
	}
	var b strings.Builder
	var walk func(parent string, depth int)
	walk = func(parent string, depth int) {
		var children []tracetest.SpanStub
		for _, s := range stubs {
			p := s.Parent.SpanID().String()
			if p == parent || parent == "" && !known[p] {
				children = append(children, s)
			}
		}
		slices.SortStableFunc(children, func(a, b tracetest.SpanStub) int {
			if c := a.StartTime.Compare(b.StartTime); c != 0 {
				return c
			}
			return strings.Compare(a.Name, b.Name)
		})
		for _, s := range children {
			fmt.Fprintf(&b, "%s%s %s %s\n", strings.Repeat("  ", depth), s.Name, s.SpanKind, s.EndTime.Sub(s.StartTime))
			walk(s.SpanContext.SpanID().String(), depth+1)
		}
	}
	walk("", 0)
	return b.String()
}

// attr returns the attribute of a span as text, and whether it has it.
func attr(s tracetest.SpanStub, key string) (string, bool) {
	for _, kv := range s.Attributes {
		if string(kv.Key) == key {
			return kv.Value.String(), true
		}
	}
	return "", false
}

// wantAttrs checks attributes of a span; an empty want means that it must be absent.
func wantAttrs(t *testing.T, s tracetest.SpanStub, want map[string]string) {
	t.Helper()
	for key, w := range want {
		if got, _ := attr(s, key); got != w {
			t.Errorf("span %q: got %s=%q, want %q", s.Name, key, got, w)
		}
	}
}

// histogram is the sum of all points of a histogram.
type histogram struct {
	count uint64
	sum   float64
	attrs []attribute.Set
}

// metrics collects and indexes the histograms, counters and up-down counters by name.
func (tel *telemetry) metrics(t *testing.T) map[string]histogram {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := tel.reader.Collect(context.Background(), &rm); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]histogram)
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			h := all[m.Name]
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					h.count, h.sum, h.attrs = h.count+p.Count, h.sum+p.Sum, append(h.attrs, p.Attributes)
				}
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					h.count, h.sum, h.attrs = h.count+p.Count, h.sum+float64(p.Sum), append(h.attrs, p.Attributes)
				}
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					h.count, h.sum, h.attrs = h.count+1, h.sum+float64(p.Value), append(h.attrs, p.Attributes)
				}
			}
			all[m.Name] = h
		}
	}
	return all
}

// pipes is a network in memory, for bubbles of synctest: a connection to any address reaches the
// server listening on it.
type pipes struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
}

func (p *pipes) listen(addr string) *pipeListener {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listeners == nil {
		p.listeners = make(map[string]*pipeListener)
	}
	l := &pipeListener{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
	p.listeners[addr] = l
	return l
}

func (p *pipes) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	p.mu.Lock()
	l := p.listeners[addr]
	p.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errRefusedForTest}
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errRefusedForTest}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeListener struct {
	addr   string
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return pipeAddr(l.addr) }

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

// world is one client, one gateway and one engine, connected by pipes.
type world struct {
	*telemetry

	net    pipes
	client *http.Client
	proxy  http.Handler // what the gateway runs behind the middleware; set by newWorld, may be replaced
	stop   []func()
}

const (
	engineURL  = "http://engine:8000"
	gatewayURL = "http://gateway:8080"
)

// newWorld starts an engine that answers with handler and a gateway in front of it. Call close
// before the bubble ends.
func newWorld(engine http.Handler, opts ...otelvllm.Option) *world {
	w := &world{telemetry: newTelemetry()}
	target, _ := url.Parse(engineURL)
	proxy := otelvllm.NewReverseProxy(target, w.options(opts...)...)
	base := &http.Transport{DialContext: w.net.dial, DisableCompression: true}
	proxy.Transport = otelvllm.NewTransport(base, w.options(opts...)...)
	w.proxy = proxy
	w.serve("engine:8000", engine)
	w.serve("gateway:8080", otelvllm.Middleware(w.options(opts...)...)(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.proxy.ServeHTTP(rw, r)
	})))
	transport := &http.Transport{DialContext: w.net.dial, DisableCompression: true}
	w.client = &http.Client{Transport: transport}
	w.stop = append(w.stop, base.CloseIdleConnections, transport.CloseIdleConnections)
	return w
}

func (w *world) serve(addr string, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Hour, ErrorLog: quietLog}
	l := w.net.listen(addr)
	go func() { _ = srv.Serve(l) }()
	w.stop = append(w.stop, func() { _ = srv.Close() })
}

func (w *world) close() {
	for _, f := range slices.Backward(w.stop) {
		f()
	}
}

// post sends a request to the gateway and returns the whole answer.
func (w *world) post(t *testing.T, ctx context.Context, path, body string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, gatewayURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	var all bytes.Buffer
	_, err = io.Copy(&all, resp.Body)
	return resp, all.Bytes(), err
}
