package otlp_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/otlp"
)

// A collector that refuses the key of this service: nothing is lost silently.
func ExampleSetup() {
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer collector.Close()
	os.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL) // set by who runs the service
	os.Setenv("OTEL_METRICS_EXPORTER", "none")
	defer os.Unsetenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	defer os.Unsetenv("OTEL_METRICS_EXPORTER")

	telemetry, err := otlp.Setup(context.Background(),
		otlp.WithServiceName("my-gateway"),
		otlp.WithErrorHandler(func(error) {}), // the default writes to standard error
		otlp.WithoutGlobals())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, span := telemetry.TracerProvider().Tracer("example").Start(context.Background(), "work")
	span.End()

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := telemetry.Shutdown(ctx); err != nil {
		fmt.Println(telemetry.Lost().Spans, "span lost")
	}
	// Output: 1 span lost
}
