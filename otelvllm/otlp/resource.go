package otlp

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// newResource describes this process: what the SDK knows, then the options, then the variables, each
// winning over those before. It tells neither the command line, which may hold keys, nor the id of the host.
func newResource(ctx context.Context, c config, r *reporter) (*resource.Resource, error) {
	given, err := resource.New(ctx, resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES is not allowed: use key=value pairs with commas between, percent-encoded: %w", err)
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, fmt.Errorf("make service.instance.id: %w", err)
	}
	attrs := []attribute.KeyValue{
		attribute.String("service.name", "unknown_service:"+filepath.Base(os.Args[0])),
		attribute.String("service.instance.id", id.String()),
	}
	attrs = append(attrs, c.attributes...)
	if c.serviceName != "" {
		attrs = append(attrs, attribute.String("service.name", c.serviceName))
	}
	if c.serviceVersion != "" {
		attrs = append(attrs, attribute.String("service.version", c.serviceVersion))
	}
	base, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(),
		resource.WithProcessRuntimeName(), resource.WithProcessRuntimeVersion(), resource.WithProcessRuntimeDescription(),
		resource.WithAttributes(attrs...))
	if err != nil { // such as a host without a name: the rest is there
		r.report("resource", "detect", fmt.Errorf("describe this process: %w", err))
	}
	merged, err := resource.Merge(base, given)
	if err != nil {
		return nil, fmt.Errorf("describe this process: %w", err)
	}
	clean, _ := cleanAttributes(merged.Attributes())
	return resource.NewWithAttributes(merged.SchemaURL(), clean...), nil
}
