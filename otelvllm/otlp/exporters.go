package otlp

import (
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	prometheusbridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Values of OTEL_EXPORTER_OTLP_PROTOCOL.
const (
	protocolHTTP = "http/protobuf"
	protocolGRPC = "grpc"
)

// OTLP exporters are made here rather than by autoexport: their own retries must be off, since the queue
// retries, and the HTTP client must tell the queue what the collector answered. All else that autoexport
// knows, and what a program registered with it, comes from there.

// isOTLP tells whether a variable such as OTEL_TRACES_EXPORTER asks for OTLP, the default.
func isOTLP(variable string) bool {
	v := env(variable)
	return v == "" || v == "otlp"
}

func isGRPC(signal string) bool {
	_, v := envOTLP(signal, "PROTOCOL")
	return strings.EqualFold(v, protocolGRPC)
}

// plain tells whether nothing is said about where a signal goes. The OTLP specification then means
// http://localhost:4318, or http://localhost:4317 with gRPC; the exporters would take https.
func plain(signal string) bool {
	for _, name := range []string{"ENDPOINT", "INSECURE", "CERTIFICATE", "CLIENT_CERTIFICATE"} {
		if variable, _ := envOTLP(signal, name); variable != "" {
			return false
		}
	}
	return true
}

// newSpanExporter makes the exporter that OTEL_TRACES_EXPORTER asks for, nil for none.
func newSpanExporter(ctx context.Context, transports *transports) (sdktrace.SpanExporter, error) {
	const variable = "OTEL_TRACES_EXPORTER"
	if isOTLP(variable) {
		client, err := transports.client(signalTraces)
		if err != nil {
			return nil, err
		}
		if isGRPC(signalTraces) {
			opts := []otlptracegrpc.Option{otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{})}
			if plain(signalTraces) {
				opts = append(opts, otlptracegrpc.WithInsecure())
			}
			return newClientExporter(ctx, otlptracegrpc.NewClient(opts...))
		}
		opts := []otlptracehttp.Option{otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}), otlptracehttp.WithHTTPClient(client)}
		if plain(signalTraces) {
			opts = append(opts, otlptracehttp.WithInsecure())
		}
		return newClientExporter(ctx, otlptracehttp.NewClient(opts...))
	}
	e, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return nil, exporterError(variable, "otlp, console or none", err)
	}
	if autoexport.IsNoneSpanExporter(e) {
		return nil, nil
	}
	return e, nil
}

// newLogExporter makes the exporter that OTEL_LOGS_EXPORTER asks for, nil for none.
func newLogExporter(ctx context.Context, transports *transports) (sdklog.Exporter, error) {
	const variable = "OTEL_LOGS_EXPORTER"
	if isOTLP(variable) {
		client, err := transports.client(signalLogs)
		if err != nil {
			return nil, err
		}
		if isGRPC(signalLogs) {
			opts := []otlploggrpc.Option{otlploggrpc.WithRetry(otlploggrpc.RetryConfig{})}
			if plain(signalLogs) {
				opts = append(opts, otlploggrpc.WithInsecure())
			}
			return otlploggrpc.New(ctx, opts...)
		}
		opts := []otlploghttp.Option{otlploghttp.WithRetry(otlploghttp.RetryConfig{}), otlploghttp.WithHTTPClient(client)}
		if plain(signalLogs) {
			opts = append(opts, otlploghttp.WithInsecure())
		}
		return otlploghttp.New(ctx, opts...)
	}
	e, err := autoexport.NewLogExporter(ctx)
	if err != nil {
		return nil, exporterError(variable, "otlp, console or none", err)
	}
	if autoexport.IsNoneLogExporter(e) {
		return nil, nil
	}
	return e, nil
}

// newMetricReader makes the reader that OTEL_METRICS_EXPORTER asks for, nil for none. The exporter is not
// nil where the reader is one of OTLP.
func newMetricReader(ctx context.Context, transports *transports, account *ledger, r *reporter, gatherers ...prometheus.Gatherer) (sdkmetric.Reader, *metricExporter, error) {
	const variable = "OTEL_METRICS_EXPORTER"
	if isOTLP(variable) {
		e, err := newMetricExporter(ctx, transports)
		if err != nil {
			return nil, nil, err
		}
		exporter := &metricExporter{Exporter: e, ledger: account, reporter: r}
		var opts []sdkmetric.PeriodicReaderOption
		if strings.Contains(env("OTEL_METRICS_PRODUCERS"), "prometheus") {
			opts = append(opts, sdkmetric.WithProducer(prometheusbridge.NewMetricProducer()))
		}
		for _, g := range gatherers {
			opts = append(opts, sdkmetric.WithProducer(prometheusbridge.NewMetricProducer(prometheusbridge.WithGatherer(g))))
		}
		return sdkmetric.NewPeriodicReader(exporter, opts...), exporter, nil
	}
	reader, err := autoexport.NewMetricReader(ctx)
	if err != nil {
		return nil, nil, exporterError(variable, "otlp, prometheus, console or none", err)
	}
	if autoexport.IsNoneMetricReader(reader) {
		return nil, nil, nil
	}
	return reader, nil, nil
}

func newMetricExporter(ctx context.Context, transports *transports) (sdkmetric.Exporter, error) {
	client, err := transports.client(signalMetrics)
	if err != nil {
		return nil, err
	}
	if isGRPC(signalMetrics) {
		opts := []otlpmetricgrpc.Option{otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{})}
		if plain(signalMetrics) {
			opts = append(opts, otlpmetricgrpc.WithInsecure())
		}
		return otlpmetricgrpc.New(ctx, opts...)
	}
	opts := []otlpmetrichttp.Option{otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}), otlpmetrichttp.WithHTTPClient(client)}
	if plain(signalMetrics) {
		opts = append(opts, otlpmetrichttp.WithInsecure())
	}
	return otlpmetrichttp.New(ctx, opts...)
}

func exporterError(variable, allowed string, err error) error {
	if strings.Contains(err.Error(), "unknown exporter") {
		return badValue(variable, env(variable), allowed)
	}
	return fmt.Errorf("%s=%q: %w", variable, env(variable), err)
}
