package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

func TestSpansGoToTheEndpoint(t *testing.T) {
	for _, byFlag := range []bool{true, false} {
		got := make(chan *coltracepb.ExportTraceServiceRequest, 1)
		collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			var request coltracepb.ExportTraceServiceRequest
			if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
				t.Errorf("got %s, %v, not a request for traces", r.URL.Path, err)
				return
			}
			got <- &request
		}))
		t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
		t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
		var args []string
		if byFlag {
			args = []string{"-otlp-traces-endpoint", collector.URL + "/v1/traces"}
		} else {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
		}
		url, stop := start(t, args...)
		res, err := http.Post(url+"/v1/completions", "application/json", strings.NewReader(`{"prompt":"x","max_tokens":3}`))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		stop() // sends what is left
		collector.Close()
		select {
		case request := <-got:
			span := request.ResourceSpans[0].ScopeSpans[0].Spans[0]
			if span.Name != "llm_request" {
				t.Errorf("got span %s", span.Name)
			}
			if resource := request.ResourceSpans[0].Resource.String(); !strings.Contains(resource, "vllm.llm_engine") || !strings.Contains(resource, "deployment.environment.name") {
				t.Errorf("got resource %s", resource)
			}
		default:
			t.Errorf("by flag %v: no span came", byFlag)
		}
	}
}

func TestUnknownProtocolIsAnError(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")
	if _, _, err := traces(t.Context(), "http://127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "carrier-pigeon") {
		t.Errorf("got %v", err)
	}
}
