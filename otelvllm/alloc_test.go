package otelvllm_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// TestChunkCostsNoAllocation compares streams of 20 and of 200 chunks: what they allocate must be the
// same.
func TestChunkCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	opts := []otelvllm.Option{
		otelvllm.WithTracerProvider(sdktrace.NewTracerProvider()), otelvllm.WithMeterProvider(mp), otelvllm.WithRegistry(&inflight.Registry{}),
	}
	all := benchStream()
	short := append(append([][]byte{}, all[:18]...), all[len(all)-3:]...)
	measure := func(events [][]byte) float64 {
		h := otelvllm.Middleware(opts...)(streamHandler(events))
		return testing.AllocsPerRun(200, func() {
			h.ServeHTTP(&discard{h: make(http.Header)}, httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(streamBody)))
		})
	}
	few, many := measure(short), measure(all)
	if many > few+1 { // one more at most, by chance: the garbage collector empties pools
		t.Errorf("got %v allocations for %d events and %v for %d, want the same", few, len(short), many, len(all))
	}
}
