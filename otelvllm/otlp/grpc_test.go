package otlp

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// grpcCollector answers each export with the next of its answers, and takes everything after those.
type grpcCollector struct {
	coltrace.UnimplementedTraceServiceServer

	mu      sync.Mutex
	answers []error
	partial int64 // rejected in the first export that is taken
	taken   int
}

func (c *grpcCollector) Export(_ context.Context, req *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.answers) > 0 {
		err := c.answers[0]
		c.answers = c.answers[1:]
		return nil, err
	}
	resp := &coltrace.ExportTraceServiceResponse{}
	if c.partial > 0 {
		resp.PartialSuccess = &coltrace.ExportTracePartialSuccess{RejectedSpans: c.partial}
	}
	for _, rs := range req.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			c.taken += len(ss.GetSpans())
		}
	}
	c.taken -= int(c.partial)
	c.partial = 0
	return resp, nil
}

func TestGRPC(t *testing.T) {
	tests := map[string]struct {
		collector *grpcCollector
		taken     int
		lost      map[string]int64
	}{
		"taken":           {&grpcCollector{}, 10, nil},
		"unavailable":     {&grpcCollector{answers: []error{status.Error(codes.Unavailable, "")}}, 10, nil},
		"partial success": {&grpcCollector{partial: 4}, 6, map[string]int64{reasonRejected: 4}},
		"unauthenticated": {&grpcCollector{answers: []error{status.Error(codes.Unauthenticated, "")}}, 0, map[string]int64{"UNAUTHENTICATED": 10}},
		"too large": {&grpcCollector{answers: []error{
			status.Error(codes.ResourceExhausted, "grpc: received message larger than max (2 vs. 1)"),
		}}, 10, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := grpc.NewServer()
			coltrace.RegisterTraceServiceServer(server, test.collector)
			go func() { _ = server.Serve(l) }()
			t.Cleanup(server.Stop)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
			t.Setenv("OTEL_METRICS_EXPORTER", "none")
			tel := setup(t, WithErrorHandler(func(error) {}))
			for range 10 {
				_, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "span")
				span.End()
			}
			_ = stop(tel, 10*time.Second)
			var lost int64
			for reason, want := range test.lost {
				lost += want
				if got := tel.accounts.traces.reasons()[reason]; got != want {
					t.Errorf("%s: got %d, want %d", reason, got, want)
				}
			}
			if test.collector.taken != test.taken || tel.Lost() != (Lost{Spans: lost}) {
				t.Errorf("got %d taken and %+v lost, want %d and %d", test.collector.taken, tel.Lost(), test.taken, lost)
			}
		})
	}
}
