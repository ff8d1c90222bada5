package backends

import (
	"context"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/batchprocessor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// collectorConfig passes traces on to Jaeger and keeps metrics and logs in memory.
const collectorConfig = `yaml:
receivers:
  otlp:
    protocols:
      http: {endpoint: %q}
processors:
  batch: {timeout: 20ms}
exporters:
  otlp_grpc:
    endpoint: %q
    tls: {insecure: true}
  memory:
service:
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [otlp_grpc]}
    metrics: {receivers: [otlp], processors: [batch], exporters: [memory]}
    logs: {receivers: [otlp], processors: [batch], exporters: [memory]}
  telemetry:
    metrics: {level: none}
    logs: {level: warn}
`

// startCollector runs a Collector in this process until the test ends.
func (b *Backends) startCollector(t testing.TB, jaegerOTLP string) {
	t.Helper()
	address := freeAddress(t)
	var printed output
	col, err := otelcol.NewCollector(otelcol.CollectorSettings{
		Factories:               func() (otelcol.Factories, error) { return factories(b.received) },
		BuildInfo:               component.BuildInfo{Command: "otelcol", Version: "test"},
		DisableGracefulShutdown: true, // signals belong to the test binary
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			URIs:              []string{fmt.Sprintf(collectorConfig, address, jaegerOTLP)},
			ProviderFactories: []confmap.ProviderFactory{yamlprovider.NewFactory()},
		}},
		LoggingOptions: []zap.Option{zap.WrapCore(func(zapcore.Core) zapcore.Core {
			return zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&printed), zap.WarnLevel)
		})},
		SkipSettingGRPCLogger: true,
	})
	if err != nil {
		t.Fatalf("make the Collector: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- col.Run(context.Background()) }()
	t.Cleanup(func() {
		col.Shutdown()
		if err := <-ended; err != nil {
			t.Errorf("the Collector ended with %v", err)
		}
		if t.Failed() {
			t.Logf("the Collector printed:\n%s", printed.String())
		}
	})

	err = eventually(func() error {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the Collector ended while starting: %v", err)
		default:
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		t.Fatalf("wait for the Collector: %v", err)
	}
	b.OTLPEndpoint = "http://" + address
}

// factories lists the parts that collectorConfig names.
func factories(s *sink) (f otelcol.Factories, err error) {
	if f.Receivers, err = otelcol.MakeFactoryMap[receiver.Factory](otlpreceiver.NewFactory()); err != nil {
		return f, err
	}
	if f.Processors, err = otelcol.MakeFactoryMap[processor.Factory](batchprocessor.NewFactory()); err != nil {
		return f, err
	}
	if f.Exporters, err = otelcol.MakeFactoryMap(otlpexporter.NewFactory(), s.factory()); err != nil {
		return f, err
	}
	f.Telemetry = otelconftelemetry.NewFactory()
	return f, nil
}

// sink is the Collector's exporter for what Jaeger does not take. It keeps names and texts, not points.
type sink struct {
	mu      sync.Mutex
	metrics map[string]Metric
	logs    []LogRecord
}

// Metric is what the Collector has been told about one metric.
type Metric struct {
	Unit   string
	Type   string // as the Collector words it: "Sum", "Gauge", "Histogram", "ExponentialHistogram"
	Points int    // data points received, all exports added
}

// LogRecord is one log record as the Collector received it.
type LogRecord struct {
	Body    string
	TraceID string // hexadecimal; empty without a trace
}

// Metrics returns the metrics the Collector has received so far, by name.
func (b *Backends) Metrics() map[string]Metric {
	b.received.mu.Lock()
	defer b.received.mu.Unlock()
	return maps.Clone(b.received.metrics)
}

// Logs returns the log records the Collector has received so far, oldest first.
func (b *Backends) Logs() []LogRecord {
	b.received.mu.Lock()
	defer b.received.mu.Unlock()
	return append([]LogRecord(nil), b.received.logs...)
}

func (s *sink) factory() exporter.Factory {
	return exporter.NewFactory(component.MustNewType("memory"), func() component.Config { return &struct{}{} },
		exporter.WithMetrics(func(context.Context, exporter.Settings, component.Config) (exporter.Metrics, error) {
			return metricsSink{sink: s}, nil
		}, component.StabilityLevelDevelopment),
		exporter.WithLogs(func(context.Context, exporter.Settings, component.Config) (exporter.Logs, error) {
			return logsSink{sink: s}, nil
		}, component.StabilityLevelDevelopment))
}

type metricsSink struct {
	component.StartFunc
	component.ShutdownFunc
	*sink
}

func (metricsSink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s metricsSink) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.metrics == nil {
		s.metrics = map[string]Metric{}
	}
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				known := s.metrics[m.Name()]
				s.metrics[m.Name()] = Metric{Unit: m.Unit(), Type: m.Type().String(), Points: known.Points + points(m)}
			}
		}
	}
	return nil
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

type logsSink struct {
	component.StartFunc
	component.ShutdownFunc
	*sink
}

func (logsSink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s logsSink) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				s.logs = append(s.logs, LogRecord{
					Body:    strings.ToValidUTF8(r.Body().AsString(), "\uFFFD"),
					TraceID: r.TraceID().String(),
				})
			}
		}
	}
	return nil
}
