package otlp

import (
	"io"
	stdlog "log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFault_E18_BadVariablesAreNamed(t *testing.T) {
	tests := map[string]struct{ value, want string }{
		"OTEL_TRACES_EXPORTER":                  {"jaeger", "use otlp, console or none"},
		"OTEL_METRICS_EXPORTER":                 {"oltp", "use otlp, prometheus, console or none"},
		"OTEL_LOGS_EXPORTER":                    {"otlp,console", "use otlp, console or none"},
		"OTEL_EXPORTER_OTLP_PROTOCOL":           {"http/json", "use http/protobuf or grpc"},
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL":    {"thrift", "use http/protobuf or grpc"},
		"OTEL_EXPORTER_OTLP_ENDPOINT":           {"localhost:4318", "use a URL such as"},
		"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT":      {"ftp://x", "use a URL such as"},
		"OTEL_EXPORTER_OTLP_COMPRESSION":        {"brotli", "use gzip or none"},
		"OTEL_EXPORTER_OTLP_TIMEOUT":            {"10s", "a whole number above 0"},
		"OTEL_EXPORTER_OTLP_CERTIFICATE":        {"/nowhere/ca.pem", "no such file"},
		"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": {"/nowhere/c.pem", "needs OTEL_EXPORTER_OTLP_CLIENT_KEY"},
		"OTEL_EXPORTER_OTLP_HEADERS":            {"secret-key", "use name=value"},
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS":     {"a=b,api key=secret", "use name=value"},
		"OTEL_EXPORTER_OTLP_METRICS_HEADERS":    {"api-key=secret,", "use name=value"},
		"OTEL_EXPORTER_OTLP_LOGS_HEADERS":       {"api-key=secret%zz", "use name=value"},
		"OTEL_BSP_SCHEDULE_DELAY":               {"0", "a whole number above 0"},
		"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE":       {"many", "a whole number above 0"},
		"OTEL_PROPAGATORS":                      {"w3c", "tracecontext, baggage"},
		"OTEL_TRACES_SAMPLER":                   {"sometimes", "always_on"},
		"OTEL_SDK_DISABLED":                     {"yes", "use true or false"},
		"OTEL_RESOURCE_ATTRIBUTES":              {"novalue", "key=value"},
		"OTEL_METRICS_PRODUCERS":                {"prometheus,statsd", "use prometheus or none"},
		"OTEL_CONFIG_FILE":                      {"/nowhere/otel.yaml", "no such file"},
	}
	for variable, test := range tests {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, test.value)
			tel, err := Setup(t.Context(), WithoutGlobals())
			if err == nil {
				_ = stop(tel, time.Second)
				t.Fatalf("got no error for %s=%s", variable, test.value)
			}
			if !strings.HasPrefix(err.Error(), variable) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want it to begin with %s and to contain %q", err, variable, test.want)
			}
		})
	}
}

func TestErrorsDoNotShowKeys(t *testing.T) {
	for variable, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "collector?api-key=secret", "OTEL_EXPORTER_OTLP_HEADERS": "api key=secret",
	} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			if _, err := Setup(t.Context(), WithoutGlobals()); err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want an error without the key", err)
			}
		})
	}
}

func TestGoodHeadersAreSent(t *testing.T) {
	c := serve(t)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x-team = ml")
	got := make(chan http.Header, 10)
	c.set(func(req *http.Request, _ int) reply {
		got <- req.Header
		return reply{}
	})
	tel := setup(t)
	use(t, tel)
	if err := tel.ForceFlush(t.Context()); err != nil {
		t.Errorf("ForceFlush: got %v, want nil", err)
	}
	for range 3 {
		if h := <-got; h.Get("api-key") != "a b" || h.Get("x-team") != "ml" {
			t.Errorf("got headers %v, want api-key and x-team", h)
		}
	}
}

func TestFault_E16_CertificateWithoutContent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", file)
	_, err := Setup(t.Context(), WithoutGlobals())
	if err == nil || !strings.HasPrefix(err.Error(), "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE: ") {
		t.Errorf("got %v, want it to name the variable", err)
	}
}

// A collector behind TLS is trusted by OTEL_EXPORTER_OTLP_CERTIFICATE, and only then.
func TestFault_E16_TLS(t *testing.T) {
	c := &collector{}
	server := httptest.NewTLSServer(c)
	server.Config.ErrorLog = stdlog.New(io.Discard, "", 0) // handshakes fail here on purpose
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	for _, trusted := range []bool{false, true} {
		if trusted {
			t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", writeCertificate(t, server))
		}
		tel := setup(t, WithErrorHandler(func(error) {}))
		use(t, tel)
		if err := stop(tel, time.Second); (err == nil) != trusted {
			t.Errorf("trusted %v: got %v", trusted, err)
		}
	}
	if _, spans, _ := c.counts(); spans != 1 {
		t.Errorf("got %d spans, want 1", spans)
	}
}

func TestWithoutAnEndpointTheTransportIsPlain(t *testing.T) {
	tests := map[string]struct {
		variable, value string
		want            bool
	}{
		"nothing is set":         {"OTEL_EXPORTER_OTLP_HEADERS", "k=v", true},
		"an endpoint for all":    {"OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318", false},
		"an endpoint for traces": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c:4318", false},
		"one for logs alone":     {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://c:4318", true},
		"insecure is said":       {"OTEL_EXPORTER_OTLP_INSECURE", "false", false},
		"a certificate":          {"OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv(test.variable, test.value)
			if got := plain(signalTraces); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	for _, protocol := range []string{protocolHTTP, protocolGRPC} {
		t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
		reports := make(chan error, 10)
		tel := setup(t, WithErrorHandler(func(err error) { reports <- err }))
		use(t, tel)
		_ = stop(tel, 200*time.Millisecond)
		close(reports)
		for err := range reports {
			if strings.Contains(err.Error(), "https://") || strings.Contains(err.Error(), "tls") {
				t.Errorf("%s: got %v, want no TLS", protocol, err)
			}
		}
	}
}
