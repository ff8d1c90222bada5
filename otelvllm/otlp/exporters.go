package otlp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

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

// newSpanExporter makes the exporter that OTEL_TRACES_EXPORTER asks for, nil for none.
func newSpanExporter(ctx context.Context, transports *transports) (sdktrace.SpanExporter, error) {
	const variable = "OTEL_TRACES_EXPORTER"
	if isOTLP(variable) {
		client, err := transports.client(signalTraces)
		if err != nil {
			return nil, err
		}
		if isGRPC(signalTraces) {
			return otlptracegrpc.New(ctx, otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}))
		}
		return otlptracehttp.New(ctx, otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}), otlptracehttp.WithHTTPClient(client))
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
			return otlploggrpc.New(ctx, otlploggrpc.WithRetry(otlploggrpc.RetryConfig{}))
		}
		return otlploghttp.New(ctx, otlploghttp.WithRetry(otlploghttp.RetryConfig{}), otlploghttp.WithHTTPClient(client))
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
func newMetricReader(ctx context.Context, transports *transports, account *ledger, r *reporter) (sdkmetric.Reader, *metricExporter, error) {
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
		return otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{}))
	}
	return otlpmetrichttp.New(ctx, otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}), otlpmetrichttp.WithHTTPClient(client))
}

func exporterError(variable, allowed string, err error) error {
	if strings.Contains(err.Error(), "unknown exporter") {
		return badValue(variable, env(variable), allowed)
	}
	return fmt.Errorf("%s=%q: %w", variable, env(variable), err)
}

// transports are the HTTP transports of the exporters, kept so that Shutdown can close what is idle.
type transports []*http.Transport

// client makes the HTTP client of a signal from its timeout and certificates, which the exporters would
// read themselves if they had no client given. With gRPC it only checks them.
func (t *transports) client(signal string) (*http.Client, error) {
	config, err := tlsConfig(signal)
	if err != nil {
		return nil, err
	}
	// Not http.DefaultTransport: a program may have wrapped it, to trace what goes through it.
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSClientConfig: config,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns: 4, IdleConnTimeout: 90 * time.Second,
	}
	*t = append(*t, transport)
	timeout := 10 * time.Second
	if _, v := envOTLP(signal, "TIMEOUT"); v != "" {
		if n, err := strconv.Atoi(v); err == nil {
			timeout = time.Duration(n) * time.Millisecond
		}
	}
	return &http.Client{Transport: noting{transport}, Timeout: timeout}, nil
}

func (t *transports) closeIdle() {
	for _, transport := range *t {
		transport.CloseIdleConnections()
	}
}

// noting tells the queue what the collector answered.
type noting struct{ http.RoundTripper }

func (n noting) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := n.RoundTripper.RoundTrip(req)
	note(req, resp)
	return resp, err
}

// tlsConfig reads the certificates of a signal, nil when none are set.
func tlsConfig(signal string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	set := false
	if variable, file := envOTLP(signal, "CERTIFICATE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", variable, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: %s has no PEM certificate in it", variable, file)
		}
		set = true
	}
	variable, certificate := envOTLP(signal, "CLIENT_CERTIFICATE")
	keyVariable, key := envOTLP(signal, "CLIENT_KEY")
	switch {
	case certificate == "" && key == "":
	case certificate == "":
		return nil, errors.New(keyVariable + " needs OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE beside it")
	case key == "":
		return nil, errors.New(variable + " needs OTEL_EXPORTER_OTLP_CLIENT_KEY beside it")
	default:
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", variable, err)
		}
		config.Certificates, set = []tls.Certificate{pair}, true
	}
	if !set {
		return nil, nil
	}
	return config, nil
}
