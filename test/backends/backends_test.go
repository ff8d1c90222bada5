package backends

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func TestASpanTreeComesBackFromJaegerAsItWasSent(t *testing.T) {
	b := Start(t)
	id := sendTree(t, b)

	tree := b.Await(t, id, HasSpans("chat tiny", "generation", "first_token"))
	want := strings.Join([]string{
		"gateway server POST /v1/chat/completions",
		"  gateway internal chat tiny !",
		"    gateway client generation",
		"      gateway internal first_token",
		"",
	}, "\n")
	if got := tree.Shape(); got != want {
		t.Errorf("shape: got\n%s\nwant\n%s", got, want)
	}
	chat := tree.Find("chat tiny")[0]
	for key, want := range map[string]any{
		"gen_ai.request.model":             "tiny",
		"gen_ai.usage.output_tokens":       int64(7),
		"vllm.request.time_to_first_token": 0.25,
		"vllm.request.usage.partial":       true,
	} {
		if got := chat.Attributes[key]; got != want {
			t.Errorf("%s: got %v (%T), want %v (%T)", key, got, got, want, want)
		}
	}
	if got := tree.Find("generation")[0].Duration; got != 3*time.Second {
		t.Errorf("duration of generation: got %v, want 3s", got)
	}
	if got := chat.Events; len(got) != 1 || got[0] != "an event" {
		t.Errorf("events: got %q, want [an event]", got)
	}
	if got := tree.Path(tree.Find("first_token")[0].ID); strings.Join(got, "/") != "POST /v1/chat/completions/chat tiny/generation/first_token" {
		t.Errorf("path of first_token: got %q", got)
	}

	v3, err := b.TraceV3(id)
	if err != nil {
		t.Fatal(err)
	}
	if got := v3.Shape(); got != want {
		t.Errorf("shape by /api/v3: got\n%s\nwant\n%s", got, want)
	}
	if got := v3.Find("chat tiny")[0].Attributes["gen_ai.usage.output_tokens"]; got != int64(7) {
		t.Errorf("gen_ai.usage.output_tokens by /api/v3: got %v, want 7", got)
	}

	if _, err := b.Trace(strings.Repeat("ab", 16)); !errors.Is(err, ErrNoTrace) {
		t.Errorf("a trace nobody sent: got error %v, want %v", err, ErrNoTrace)
	}
}

// sendTree exports four spans by OTLP and returns their trace's ID.
func sendTree(t *testing.T, b *Backends) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(b.OTLPEndpoint+"/v1/traces"))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "gateway"))))
	tracer := provider.Tracer("backends")
	start := time.Now().Add(-10 * time.Second)
	at := func(d time.Duration) trace.SpanEventOption { return trace.WithTimestamp(start.Add(d)) }

	ctx, server := tracer.Start(ctx, "POST /v1/chat/completions", trace.WithSpanKind(trace.SpanKindServer), at(0))
	ctx, chat := tracer.Start(ctx, "chat tiny", at(time.Second), trace.WithAttributes(
		attribute.String("gen_ai.request.model", "tiny"),
		attribute.Int("gen_ai.usage.output_tokens", 7),
		attribute.Float64("vllm.request.time_to_first_token", 0.25),
		attribute.Bool("vllm.request.usage.partial", true)))
	chat.AddEvent("an event")
	ctx, generation := tracer.Start(ctx, "generation", trace.WithSpanKind(trace.SpanKindClient), at(2*time.Second))
	_, first := tracer.Start(ctx, "first_token", at(2*time.Second))
	first.End(at(3 * time.Second))
	generation.End(at(5 * time.Second))
	chat.SetStatus(codes.Error, "")
	chat.End(at(5 * time.Second))
	server.End(at(5 * time.Second))
	if err := provider.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	return server.SpanContext().TraceID().String()
}

func TestASpanWhoseParentIsMissingBecomesARoot(t *testing.T) {
	tree := newTree("t", []*Span{{ID: "b", ParentID: "a", Name: "orphan"}, {ID: "c", ParentID: "b", Name: "child"}})
	if got, want := tree.Shape(), "  orphan\n    child\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
