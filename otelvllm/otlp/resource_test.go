package otlp

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
)

func writeCertificate(t *testing.T, server *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func attributesOf(t *testing.T, opts ...Option) map[string]string {
	t.Helper()
	var c config
	for _, opt := range opts {
		opt(&c)
	}
	res, err := newResource(t.Context(), c, newReporter(func(err error) { t.Error(err) }))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, kv := range res.Attributes() {
		got[string(kv.Key)] = kv.Value.String()
	}
	return got
}

func TestResource(t *testing.T) {
	tests := map[string]struct {
		name, attributes string // variables
		opts             []Option
		want             map[string]string
	}{
		"nothing given": {want: map[string]string{"telemetry.sdk.language": "go", "telemetry.sdk.name": "opentelemetry"}},
		"options":       {opts: []Option{WithServiceName("a"), WithServiceVersion("1")}, want: map[string]string{"service.name": "a", "service.version": "1"}},
		"OTEL_SERVICE_NAME wins": {
			name: "b", attributes: "service.name=c,service.version=2", opts: []Option{WithServiceName("a"), WithServiceVersion("1")},
			want: map[string]string{"service.name": "b", "service.version": "2"},
		},
		"OTEL_RESOURCE_ATTRIBUTES wins over options": {
			attributes: "service.name=c,service.instance.id=me,k=%20v", opts: []Option{
				WithServiceName("a"), WithResource(attribute.String("k", "v"), attribute.String("other", "o")),
			},
			want: map[string]string{"service.name": "c", "service.instance.id": "me", "k": " v", "other": "o"},
		},
		"WithServiceName wins over WithResource": {
			opts: []Option{WithServiceName("a"), WithResource(attribute.String("service.name", "r"))},
			want: map[string]string{"service.name": "a"},
		},
		"bad bytes are replaced": {attributes: "k=%ff", want: map[string]string{"k": "\uFFFD"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_SERVICE_NAME", test.name)
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", test.attributes)
			got := attributesOf(t, test.opts...)
			for key, want := range test.want {
				if got[key] != want {
					t.Errorf("%s: got %q, want %q", key, got[key], want)
				}
			}
			for _, key := range []string{
				"service.name", "service.instance.id", "telemetry.sdk.version", "host.name", "process.pid",
				"process.runtime.name", "process.runtime.version",
			} {
				if got[key] == "" {
					t.Errorf("%s is missing", key)
				}
			}
			for key := range got {
				if strings.HasPrefix(key, "process.command") || strings.HasPrefix(key, "process.executable") || key == "host.id" || key == "process.owner" {
					t.Errorf("%s must not leave the process", key)
				}
			}
		})
	}
	if a, b := attributesOf(t), attributesOf(t); a["service.instance.id"] == b["service.instance.id"] {
		t.Error("two processes have one service.instance.id")
	}
}
