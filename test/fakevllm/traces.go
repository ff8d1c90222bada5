package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// traces returns where llm_request spans go: to endpoint, as vLLM's --otlp-traces-endpoint says, else to where the
// OTEL_EXPORTER_OTLP_* variables say, else nowhere (nil). Like vLLM it speaks gRPC unless
// OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is http/protobuf.
func traces(ctx context.Context, endpoint string) (trace.TracerProvider, func(), error) {
	env := func(name string) string {
		if v := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_" + name); v != "" {
			return v
		}
		return os.Getenv("OTEL_EXPORTER_OTLP_" + name)
	}
	if endpoint == "" && env("ENDPOINT") == "" || os.Getenv("OTEL_SDK_DISABLED") == "true" {
		return nil, func() {}, nil
	}
	var exporter *otlptrace.Exporter
	var err error
	switch protocol := env("PROTOCOL"); protocol {
	case "", "grpc":
		options := []otlptracegrpc.Option{otlptracegrpc.WithInsecure()}
		if endpoint != "" {
			options = append(options, otlptracegrpc.WithEndpointURL(endpoint))
		}
		exporter, err = otlptracegrpc.New(ctx, options...)
	case "http/protobuf":
		var options []otlptracehttp.Option
		if endpoint != "" {
			options = append(options, otlptracehttp.WithEndpointURL(endpoint))
		}
		exporter, err = otlptracehttp.New(ctx, options...)
	default:
		return nil, nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q; use grpc or http/protobuf", protocol)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make the exporter of spans: %w", err)
	}
	res, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "vllm"),
			attribute.String("vllm.instrumenting_module_name", "vllm.llm_engine")),
		resource.WithFromEnv())
	if err != nil {
		return nil, nil, fmt.Errorf("describe the process for spans: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	return provider, func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := provider.Shutdown(end); err != nil {
			fmt.Fprintf(os.Stderr, "fakevllm: spans lost: %v\n", err)
		}
	}, nil
}
