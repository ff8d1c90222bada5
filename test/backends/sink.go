package backends

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // the Collector compresses
)

// Sink is a backend that keeps what it is sent in memory. It takes OTLP by HTTP (protobuf) and, traces only, by gRPC.
type Sink struct {
	URL  string // base URL for OTLP over HTTP
	GRPC string // address for OTLP over gRPC

	mu      sync.Mutex
	header  http.Header // of the last HTTP request
	metrics map[string]Metric
	logs    []LogRecord
	traces  map[pcommon.TraceID][]SunkSpan
	last    time.Time // when a span came
}

// Metric is what the Sink has been told about one metric.
type Metric struct {
	Unit   string
	Type   string // as the Collector words it: "Sum", "Gauge", "Histogram", "ExponentialHistogram"
	Points int    // data points received, all exports added
}

// LogRecord is one log record.
type LogRecord struct {
	Body    string
	TraceID string // hexadecimal; empty without a trace
}

// SunkSpan is one span.
type SunkSpan struct {
	ID         pcommon.SpanID
	Name       string
	Start      time.Time
	Attributes map[string]any
	Resource   map[string]any
}

// StartSink starts a Sink and stops it when the test ends.
func StartSink(t testing.TB) *Sink {
	t.Helper()
	s := &Sink{metrics: map[string]Metric{}, traces: map[pcommon.TraceID][]SunkSpan{}}
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	web, rpc := listen(), listen()
	s.URL, s.GRPC = "http://"+web.Addr().String(), rpc.Addr().String()
	server, grpcServer := &http.Server{Handler: s, ReadHeaderTimeout: patience}, grpc.NewServer(grpc.MaxRecvMsgSize(64<<20))
	ptraceotlp.RegisterGRPCServer(grpcServer, &traceService{sink: s})
	go func() { _ = server.Serve(web) }()
	go func() { _ = grpcServer.Serve(rpc) }()
	t.Cleanup(func() {
		_ = server.Close()
		grpcServer.Stop()
	})
	return s
}

// Metrics returns the metrics received so far, by name.
func (s *Sink) Metrics() map[string]Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	clone := make(map[string]Metric, len(s.metrics))
	for name, m := range s.metrics {
		clone[name] = m
	}
	return clone
}

// Logs returns the log records received so far, oldest first.
func (s *Sink) Logs() []LogRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]LogRecord(nil), s.logs...)
}

// Header returns the header of the last request that came by HTTP.
func (s *Sink) Header() http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.header.Clone()
}

// Spans returns the spans of a trace received so far.
func (s *Sink) Spans(id pcommon.TraceID) []SunkSpan {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]SunkSpan(nil), s.traces[id]...)
}

// Quiet returns how many traces have spans, and for how long none has come.
func (s *Sink) Quiet() (traces int, quiet time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.traces), time.Since(s.last)
}

// ServeHTTP takes OTLP at any path that ends like OTLP's own.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	if err == nil {
		err = s.take(r, body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf") // an empty message is no bytes
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func (s *Sink) take(r *http.Request, body []byte) error {
	s.mu.Lock()
	s.header = r.Header.Clone()
	s.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/v1/traces"):
		req := ptraceotlp.NewExportRequest()
		if err := req.UnmarshalProto(body); err != nil {
			return err
		}
		s.takeTraces(req.Traces())
	case strings.HasSuffix(r.URL.Path, "/v1/metrics"):
		req := pmetricotlp.NewExportRequest()
		if err := req.UnmarshalProto(body); err != nil {
			return err
		}
		s.takeMetrics(req.Metrics())
	case strings.HasSuffix(r.URL.Path, "/v1/logs"):
		req := plogotlp.NewExportRequest()
		if err := req.UnmarshalProto(body); err != nil {
			return err
		}
		s.takeLogs(req.Logs())
	}
	return nil
}

// traceService is OTLP's service for traces.
type traceService struct {
	ptraceotlp.UnimplementedGRPCServer
	sink *Sink
}

func (t *traceService) Export(_ context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	t.sink.takeTraces(req.Traces())
	return ptraceotlp.NewExportResponse(), nil
}

func (s *Sink) takeTraces(td ptrace.Traces) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Now()
	for _, rs := range td.ResourceSpans().All() {
		resource := rs.Resource().Attributes().AsRaw()
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				s.traces[span.TraceID()] = append(s.traces[span.TraceID()], SunkSpan{
					ID: span.SpanID(), Name: span.Name(), Start: span.StartTimestamp().AsTime(), Attributes: span.Attributes().AsRaw(), Resource: resource,
				})
			}
		}
	}
}

func (s *Sink) takeMetrics(md pmetric.Metrics) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				known := s.metrics[m.Name()]
				s.metrics[m.Name()] = Metric{Unit: m.Unit(), Type: m.Type().String(), Points: known.Points + points(m)}
			}
		}
	}
}

func points(m pmetric.Metric) int {
	switch m.Type() {
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	default:
		return 0
	}
}

func (s *Sink) takeLogs(ld plog.Logs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				s.logs = append(s.logs, LogRecord{
					Body: strings.ToValidUTF8(r.Body().AsString(), "\uFFFD"), TraceID: r.TraceID().String(),
				})
			}
		}
	}
}
