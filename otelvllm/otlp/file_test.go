package otlp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestConfigFile(t *testing.T) {
	c := serve(t)
	file := filepath.Join(t.TempDir(), "otel.yaml")
	err := os.WriteFile(file, []byte(`
file_format: "1.0"
resource:
  attributes:
    - name: service.name
      value: from-file
tracer_provider:
  processors:
    - simple:
        exporter:
          otlp_http:
            endpoint: ${OTEL_EXPORTER_OTLP_ENDPOINT}/v1/traces
meter_provider:
  readers: []
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTEL_CONFIG_FILE", file)
	recorder := tracetest.NewSpanRecorder()
	tel := setup(t, WithSpanProcessor(recorder))
	use(t, tel)
	if err := tel.ForceFlush(t.Context()); err != nil {
		t.Errorf("ForceFlush: got %v, want nil", err)
	}
	if _, spans, _ := c.counts(); spans != 1 || len(recorder.Ended()) != 1 {
		t.Errorf("got %d spans by OTLP and %d in the processor, want 1 each", spans, len(recorder.Ended()))
	}
	if body := scrape(t, tel); !strings.Contains(body, "test_requests_total") {
		t.Errorf("the handler has no metrics:\n%s", body)
	}
	if err := stop(tel, time.Second); err != nil {
		t.Errorf("Shutdown: got %v, want nil", err)
	}
}
