package otlp

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/otelconf"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// fromFile makes the providers that the file in OTEL_CONFIG_FILE describes. They are used as they are: with the
// SDK's own batch processors, without the queues of this package, so Lost stays zero. Processors and readers
// of the options are added; the resource comes from the file alone.
func (t *Telemetry) fromFile(ctx context.Context, c config, registry *prometheus.Registry) error {
	scrape, err := promexporter.New(promexporter.WithRegisterer(registry))
	if err != nil {
		return fmt.Errorf("make the Prometheus reader: %w", err)
	}
	meterOptions := []sdkmetric.Option{sdkmetric.WithReader(scrape), sdkmetric.WithView(views()...)}
	for _, r := range c.readers {
		meterOptions = append(meterOptions, sdkmetric.WithReader(r))
	}
	var tracerOptions []sdktrace.TracerProviderOption
	for _, p := range c.processors {
		tracerOptions = append(tracerOptions, sdktrace.WithSpanProcessor(p))
	}
	sdk, err := otelconf.NewSDK(otelconf.WithContext(ctx), otelconf.WithMeterProviderOptions(meterOptions...),
		otelconf.WithTracerProviderOptions(tracerOptions...))
	if err != nil {
		return fmt.Errorf("OTEL_CONFIG_FILE=%q: %w", env("OTEL_CONFIG_FILE"), err)
	}
	t.tracers, t.meters, t.loggers, t.propagator = sdk.TracerProvider(), sdk.MeterProvider(), sdk.LoggerProvider(), sdk.Propagator()
	for _, provider := range []any{t.tracers, t.meters, t.loggers} {
		if f, ok := provider.(interface{ ForceFlush(context.Context) error }); ok {
			t.flushes = append(t.flushes, f.ForceFlush)
		}
	}
	t.fromConfig = true
	t.stops = append(t.stops, sdk.Shutdown)
	return nil
}
