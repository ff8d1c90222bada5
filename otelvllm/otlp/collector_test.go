package otlp

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is an OTLP/HTTP collector. It decodes what it takes with the published protobuf types. It is a
// handler for real servers and a RoundTripper for virtual time.
type collector struct {
	mu       sync.Mutex
	behave   func(*http.Request, int) reply // nil takes everything; the int is the number of items
	requests int
	spans    []*tracepb.Span
	logs     []*logspb.LogRecord
	metrics  []*metricspb.Metric
}

// reply is how a collector answers one export.
type reply struct {
	err      error // no answer at all
	status   int   // 0 means 200
	header   http.Header
	body     []byte
	rejected int64 // of the items, on a 200
	hang     bool  // no answer until the client leaves
}

var errRefused error = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

func (c *collector) set(behave func(*http.Request, int) reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behave = behave
}

func (c *collector) always(r reply) { c.set(func(*http.Request, int) reply { return r }) }

// counts returns the requests seen, and the spans and log records taken.
func (c *collector) counts() (requests, spans, logs int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests, len(c.spans), len(c.logs)
}

func (c *collector) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r := c.take(req, body)
	if r.hang {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	if r.err != nil {
		return nil, r.err
	}
	if r.header == nil {
		r.header = http.Header{"Content-Type": {"application/x-protobuf"}}
	}
	return &http.Response{
		StatusCode: r.status, Status: http.StatusText(r.status), Header: r.header,
		Body: io.NopCloser(bytes.NewReader(r.body)), Request: req,
	}, nil
}

func (c *collector) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	resp, err := c.RoundTrip(req)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

// take decodes a request and, unless the behaviour is otherwise, keeps what is in it.
func (c *collector) take(req *http.Request, body []byte) reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	spans, logs, metrics, err := decode(req.URL.Path, body)
	if err != nil {
		return reply{status: http.StatusBadRequest, body: []byte(err.Error())}
	}
	items := len(spans) + len(logs) + len(metrics)
	r := reply{}
	if c.behave != nil {
		r = c.behave(req, items)
	}
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.err != nil || r.hang || r.status != http.StatusOK {
		return r
	}
	if r.rejected > 0 {
		r.body, _ = proto.Marshal(&coltrace.ExportTraceServiceResponse{PartialSuccess: &coltrace.ExportTracePartialSuccess{
			RejectedSpans: r.rejected, ErrorMessage: "some are bad",
		}})
	}
	kept := items - int(min(r.rejected, int64(items)))
	c.spans = append(c.spans, spans[:min(kept, len(spans))]...)
	c.logs = append(c.logs, logs[:min(kept, len(logs))]...)
	c.metrics = append(c.metrics, metrics...)
	return r
}

func decode(path string, body []byte) (spans []*tracepb.Span, logs []*logspb.LogRecord, metrics []*metricspb.Metric, err error) {
	switch {
	case strings.HasSuffix(path, "/traces"):
		var m coltrace.ExportTraceServiceRequest
		err = proto.Unmarshal(body, &m)
		for _, rs := range m.GetResourceSpans() {
			for _, ss := range rs.GetScopeSpans() {
				spans = append(spans, ss.GetSpans()...)
			}
		}
	case strings.HasSuffix(path, "/logs"):
		var m collogs.ExportLogsServiceRequest
		err = proto.Unmarshal(body, &m)
		for _, rl := range m.GetResourceLogs() {
			for _, sl := range rl.GetScopeLogs() {
				logs = append(logs, sl.GetLogRecords()...)
			}
		}
	case strings.HasSuffix(path, "/metrics"):
		var m colmetrics.ExportMetricsServiceRequest
		err = proto.Unmarshal(body, &m)
		for _, rm := range m.GetResourceMetrics() {
			for _, sm := range rm.GetScopeMetrics() {
				metrics = append(metrics, sm.GetMetrics()...)
			}
		}
	}
	return spans, logs, metrics, err
}

// tracing is a tracer provider over the real OTLP exporter and a collector without a network, for virtual time.
type tracing struct {
	*sdktrace.TracerProvider
	processor *spanProcessor
	account   *ledger
	collector *collector
}

func newTracing(t *testing.T, l limits) *tracing {
	t.Helper()
	c := &collector{}
	exporter, err := newClientExporter(t.Context(), otlptracehttp.NewClient(otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}),
		otlptracehttp.WithHTTPClient(&http.Client{Transport: noting{c}, Timeout: 10 * time.Second})))
	if err != nil {
		t.Fatal(err)
	}
	account := newLedger(signalTraces)
	p := newSpanProcessor(exporter, l, account, newReporter(func(error) {}))
	return &tracing{sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p)), p, account, c}
}

func defaultLimits() limits {
	return limits{bytes: DefaultQueueBytes, batch: 512, delay: 5 * time.Second, timeout: 30 * time.Second}
}

// end makes n spans.
func (tr *tracing) end(t *testing.T, n int) {
	t.Helper()
	for range n {
		_, s := tr.Tracer("test").Start(t.Context(), "span")
		s.End()
	}
}

// balance fails unless what was made is what the collector has plus what was counted as lost, with
// nothing left over, and returns the lost ones.
func (tr *tracing) balance(t *testing.T, made int) map[string]int64 {
	t.Helper()
	_, taken, _ := tr.collector.counts()
	if got := tr.account.made; got != int64(made) {
		t.Errorf("made: got %d, want %d", got, made)
	}
	if got := tr.account.delivered; got != int64(taken) {
		t.Errorf("delivered: got %d, want the %d that the collector has", got, taken)
	}
	if sum := tr.account.delivered + tr.account.total(); sum != int64(made) {
		t.Errorf("delivered + dropped: got %d + %d, want %d made", tr.account.delivered, tr.account.total(), made)
	}
	return tr.account.reasons()
}
