package otelvllm

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

func TestAGPUsErrorIsAnEventOfTheRequestsThatRun(t *testing.T) {
	spans, registry := tracetest.NewInMemoryExporter(), &inflight.Registry{}
	ctx := NewContext(t.Context(), WithRegistry(registry), WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))))
	at := time.Unix(1_700_000_000, 0)
	_ = Request(ctx, Info{Model: "m"}, func(context.Context) error {
		registry.GPUError(inflight.GPUError{At: at, GPU: "GPU-7", XID: 79, Name: "GPU has fallen off the bus", Action: "restart_machine"}, nil)
		return errors.New("the engine is gone")
	})
	registry.GPUError(inflight.GPUError{GPU: "GPU-7", XID: 79}, nil) // nobody runs
	var events []sdktrace.Event
	for _, s := range spans.GetSpans() {
		for _, e := range s.Events {
			if e.Name == "nvidia.gpu.xid" {
				events = append(events, e)
			}
		}
	}
	if len(events) != 1 || !events[0].Time.Equal(at) {
		t.Fatalf("got %v, want one event at %v", events, at)
	}
	got := attribute.NewSet(events[0].Attributes...)
	want := attribute.NewSet(attribute.String("hw.id", "GPU-7"), attribute.Int("nvidia.xid.code", 79),
		attribute.String("nvidia.xid.action", "restart_machine"), attribute.String("nvidia.xid.name", "GPU has fallen off the bus"))
	if got != want {
		t.Errorf("got %v, want %v", got.ToSlice(), want.ToSlice())
	}
}
