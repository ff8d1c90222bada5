package dashboards

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// server is Prometheus in this process: its storage, its OTLP receiver with the shipped configuration, its rules and its
// engine for queries.
type server struct {
	db     *tsdb.DB
	engine *promql.Engine
	url    string
}

func startPrometheus(t *testing.T) *server {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	loaded, err := config.LoadFile(filepath.Join(prometheusDir, "prometheus.yaml"), false, quiet)
	if err != nil {
		t.Fatal(err)
	}
	opts := tsdb.DefaultOptions()
	opts.EnableExemplarStorage = true
	opts.MaxExemplars = loaded.StorageConfig.ExemplarsConfig.MaxExemplars
	opts.OutOfOrderTimeWindow = loaded.StorageConfig.TSDBConfig.OutOfOrderTimeWindow
	db, err := tsdb.Open(t.TempDir(), quiet, nil, opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	handler := remote.NewOTLPWriteHandler(quiet, nil, db, func() config.Config { return *loaded }, remote.OTLPOptions{LookbackDelta: 5 * time.Minute})
	front := httptest.NewServer(handler)
	engine := promql.NewEngine(promql.EngineOpts{
		Logger: quiet, MaxSamples: 1e7, Timeout: time.Minute, LookbackDelta: 5 * time.Minute,
		EnableAtModifier: true, EnableNegativeOffset: true, Parser: parser.NewParser(parser.Options{}),
	})
	t.Cleanup(func() {
		front.Close()
		_ = engine.Close()
		if err := db.Close(); err != nil {
			t.Errorf("close the storage: %v", err)
		}
	})
	return &server{db: db, engine: engine, url: front.URL + "/v1/metrics"}
}

// provider returns a provider whose metrics go to the server by OTLP, and sends them when flush is called. aggregation
// may be nil for that of the instruments.
func (s *server) provider(t *testing.T, aggregation sdkmetric.AggregationSelector) (mp *sdkmetric.MeterProvider, flush func()) {
	t.Helper()
	opts := []otlpmetrichttp.Option{otlpmetrichttp.WithEndpointURL(s.url)}
	if aggregation != nil {
		opts = append(opts, otlpmetrichttp.WithAggregationSelector(aggregation))
	}
	exporter, err := otlpmetrichttp.New(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	described := resource.NewSchemaless(
		attribute.String("service.name", "gateway"), attribute.String("service.namespace", "llm"),
		attribute.String("service.instance.id", "a"), attribute.Int("process.pid", 7),
		attribute.String("deployment.environment.name", "test"), attribute.String("host.name", "h"),
		attribute.String("k8s.cluster.name", "c"), attribute.String("k8s.namespace.name", "n"),
		attribute.String("k8s.node.name", "o"), attribute.String("k8s.pod.name", "p"), attribute.String("service.version", "1"),
	)
	reader := sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(time.Hour))
	mp = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(described))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := mp.Shutdown(ctx); err != nil {
			t.Errorf("Prometheus did not take the last metrics: %v", err)
		}
	})
	return mp, func() {
		t.Helper()
		if err := mp.ForceFlush(t.Context()); err != nil {
			t.Fatalf("Prometheus did not take the metrics: %v", err)
		}
	}
}

// query evaluates an expression now.
func (s *server) query(t *testing.T, expr string, at time.Time) promql.Vector {
	t.Helper()
	q, err := s.engine.NewInstantQuery(t.Context(), s.db, nil, expr, at)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer q.Close()
	result := q.Exec(t.Context())
	if result.Err != nil {
		t.Fatalf("%s: %v", expr, result.Err)
	}
	vector, err := result.Vector()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return append(promql.Vector(nil), vector...)
}

// record runs the shipped recording rules at a time and keeps what they make.
func (s *server) record(t *testing.T, at time.Time) {
	t.Helper()
	list, err := ReadRules()
	if err != nil {
		t.Fatal(err)
	}
	query := rules.EngineQueryFunc(s.engine, s.db)
	p := parser.NewParser(parser.Options{})
	for _, r := range list {
		if r.Record == "" {
			continue
		}
		expr, err := p.ParseExpr(r.Expr)
		if err != nil {
			t.Fatal(err)
		}
		made, err := rules.NewRecordingRule(r.Record, expr, labels.EmptyLabels()).Eval(t.Context(), 0, at, query, nil, 0)
		if err != nil {
			t.Fatalf("the rule %s: %v", r.Record, err)
		}
		appender := s.db.Appender(t.Context())
		for _, sample := range made {
			if sample.H != nil {
				_, err = appender.AppendHistogram(0, sample.Metric, sample.T, nil, sample.H)
			} else {
				_, err = appender.Append(0, sample.Metric, sample.T, sample.F)
			}
			if err != nil {
				t.Fatalf("the rule %s: %v", r.Record, err)
			}
		}
		if err := appender.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}
