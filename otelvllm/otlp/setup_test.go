package otlp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// serve starts a collector on a free port and points the variables to it.
func serve(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	return c
}

func setup(t *testing.T, opts ...Option) *Telemetry {
	t.Helper()
	tel, err := Setup(t.Context(), append([]Option{WithoutGlobals()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop(tel, time.Second) })
	return tel
}

func stop(tel *Telemetry, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return tel.Shutdown(ctx)
}

// use makes one span, one log record and one measurement.
func use(t *testing.T, tel *Telemetry) {
	t.Helper()
	ctx, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "span")
	counter, err := tel.MeterProvider().Meter("test").Int64Counter("test.requests")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(ctx, 1)
	var r log.Record
	r.SetBody(attribute.StringValue("line"))
	tel.LoggerProvider().Logger("test").Emit(ctx, r)
	span.End()
}

func TestSetupDeliversTheThreeSignals(t *testing.T) {
	c := serve(t)
	tel := setup(t)
	use(t, tel)
	if err := tel.ForceFlush(t.Context()); err != nil {
		t.Errorf("ForceFlush: got %v, want nil", err)
	}
	if _, spans, logs := c.counts(); spans != 1 || logs != 1 || len(c.metrics) != 1 {
		t.Errorf("after ForceFlush: got %d spans, %d logs, %d metrics, want 1 each", spans, logs, len(c.metrics))
	}
	if err := stop(tel, time.Second); err != nil {
		t.Errorf("Shutdown: got %v, want nil", err)
	}
	if got := tel.Lost(); got != (Lost{}) {
		t.Errorf("Lost: got %+v, want none", got)
	}
}

// A collector that is down costs Setup no time, and what was lost comes out in numbers, in the metric too.
func TestFault_E17_ShutdownSaysWhatWasLost(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
	reports := make(chan error, 100)
	begin := time.Now()
	tel := setup(t, WithErrorHandler(func(err error) { reports <- err }))
	if took := time.Since(begin); took > time.Second {
		t.Errorf("Setup took %v", took)
	}
	for range 10_000 {
		_, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "span")
		span.End()
	}
	use(t, tel)
	begin = time.Now()
	err = stop(tel, 300*time.Millisecond)
	if took := time.Since(begin); took > 600*time.Millisecond { // 350 ms, and room for a busy machine
		t.Errorf("Shutdown took %v, want about 350ms", took)
	}
	var lost *LostError
	want := Lost{Spans: 10_001, Metrics: 3, Logs: 1} // one metric, and two points of vllm.telemetry.dropped
	if !errors.As(err, &lost) || lost.Lost != want || tel.Lost() != want {
		t.Errorf("got %v, want %+v", err, want)
	}
	if !strings.HasPrefix(err.Error(), "telemetry lost: spans=10001 metrics=3 logs=1: ") {
		t.Errorf("got text %q", err)
	}
	if n := len(reports); n == 0 || n > 3 {
		t.Errorf("got %d reports, want one for each signal at most", n)
	}
}

func TestDroppedMetric(t *testing.T) {
	c := serve(t)
	c.set(func(req *http.Request, _ int) reply {
		if strings.HasSuffix(req.URL.Path, "/traces") {
			return reply{status: http.StatusUnauthorized}
		}
		return reply{}
	})
	tel := setup(t)
	use(t, tel)
	_ = tel.ForceFlush(t.Context())
	body := scrape(t, tel)
	if want := `vllm_telemetry_dropped_total{error_type="401",`; !strings.Contains(body, want) || !strings.Contains(body, `vllm_telemetry_signal="traces"} 1`) {
		t.Errorf("no %s… 1 in\n%s", want, body)
	}
}

func scrape(t *testing.T, tel *Telemetry) string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Errorf("status: got %d, want 200", w.Code)
	}
	return w.Body.String()
}

func TestHandlerServesMetrics(t *testing.T) {
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	t.Setenv("OTEL_LOGS_EXPORTER", "none")
	tel := setup(t, WithServiceName("handler-test"))
	meter := tel.MeterProvider().Meter("test")
	histogram, _ := meter.Float64Histogram("http.server.request.duration", metric.WithUnit("s"))
	ctx, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "span")
	histogram.Record(ctx, 200)
	span.End()
	body := scrape(t, tel)
	for _, want := range []string{`le="120"} 0`, `le="300"} 1`, `service_name="handler-test"`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	w := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	tel.Handler().ServeHTTP(w, req)
	if want := "trace_id=\"" + span.SpanContext().TraceID().String(); !strings.Contains(w.Body.String(), want) {
		t.Errorf("no exemplar with %s in\n%s", want, w.Body)
	}
}

func TestFault_E14_DisabledSDK(t *testing.T) {
	t.Setenv("OTEL_SDK_DISABLED", "TRUE")
	recorder := tracetest.NewSpanRecorder()
	tel := setup(t, WithSpanProcessor(recorder))
	use(t, tel)
	if got := len(recorder.Ended()); got != 0 {
		t.Errorf("got %d spans, want none", got)
	}
	if body := scrape(t, tel); strings.Contains(body, "test_requests") {
		t.Errorf("got metrics:\n%s", body)
	}
	if err := tel.ForceFlush(t.Context()); err != nil {
		t.Errorf("ForceFlush: got %v, want nil", err)
	}
	if err := stop(tel, time.Second); err != nil {
		t.Errorf("Shutdown: got %v, want nil", err)
	}
	if len(tel.Propagator().Fields()) == 0 {
		t.Error("the propagator is gone; disabling the SDK must not break the trace of others")
	}
}

func TestFault_E15_ShutdownWhileStreamsRun(t *testing.T) {
	serve(t)
	recorder := &countingProcessor{}
	tel := setup(t, WithSpanProcessor(recorder))
	_, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "stream")
	if err := stop(tel, time.Second); err != nil {
		t.Errorf("Shutdown: got %v, want nil", err)
	}
	span.End()
	use(t, tel)
	if got := tel.Lost(); got.Spans != 2 || got.Logs != 1 {
		t.Errorf("Lost: got %+v, want 2 spans and 1 log record", got)
	}
	if recorder.after != 0 || recorder.stopped != 1 {
		t.Errorf("a processor of the caller: got %d calls after, and %d of, Shutdown, want 0 and 1", recorder.after, recorder.stopped)
	}
}

// countingProcessor counts what comes after its Shutdown.
type countingProcessor struct{ stopped, after int }

func (p *countingProcessor) OnStart(context.Context, sdktrace.ReadWriteSpan) { p.after += p.stopped }

func (p *countingProcessor) OnEnd(sdktrace.ReadOnlySpan)      { p.after += p.stopped }
func (p *countingProcessor) ForceFlush(context.Context) error { return nil }
func (p *countingProcessor) Shutdown(context.Context) error   { p.stopped++; return nil }

func TestGlobals(t *testing.T) {
	serve(t)
	before := otel.GetTracerProvider()
	setup(t)
	if otel.GetTracerProvider() != before {
		t.Error("WithoutGlobals: the global tracer provider was set")
	}
	handler := otel.GetErrorHandler()
	t.Cleanup(func() { otel.SetErrorHandler(handler) })
	var reported error
	tel, err := Setup(t.Context(), WithErrorHandler(func(err error) { reported = err }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stop(tel, time.Second) }()
	if otel.GetTracerProvider() != tel.TracerProvider() || otel.GetMeterProvider() != tel.MeterProvider() ||
		!slices.Contains(otel.GetTextMapPropagator().Fields(), "traceparent") {
		t.Error("the global providers are not those of Setup")
	}
	otel.Handle(io.ErrUnexpectedEOF)
	if !errors.Is(reported, io.ErrUnexpectedEOF) {
		t.Errorf("the SDK's errors: got %v, want them at the handler", reported)
	}
}

func TestReadersAndQueueBytes(t *testing.T) {
	c := serve(t)
	c.always(reply{hang: true})
	reader := sdkmetric.NewManualReader()
	tel := setup(t, WithMetricReader(reader), WithMetricReader(nil), WithSpanProcessor(nil), WithErrorHandler(nil), WithQueueBytes(2000))
	for range 10 {
		use(t, tel)
	}
	if got := tel.Lost(); got.Spans < 6 || got.Logs < 7 {
		t.Errorf("Lost: got %+v, want what 2000 bytes cannot hold", got)
	}
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil || len(rm.ScopeMetrics) != 2 {
		t.Errorf("got %d scopes and %v, want test and %s", len(rm.ScopeMetrics), err, scopeName)
	}
	if err := stop(tel, 100*time.Millisecond); err == nil {
		t.Error("Shutdown: got nil, want a loss")
	}
	if err := reader.Collect(t.Context(), &rm); !errors.Is(err, sdkmetric.ErrReaderShutdown) {
		t.Errorf("the reader after Shutdown: got %v, want it shut down", err)
	}
}
