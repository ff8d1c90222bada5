package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// collector keeps the ended spans, by trace.
type collector struct {
	mu      sync.Mutex
	traces  map[string][]sdktrace.ReadOnlySpan
	changed chan struct{}
}

func newCollector() *collector {
	return &collector{traces: make(map[string][]sdktrace.ReadOnlySpan), changed: make(chan struct{})}
}

// OnStart implements sdktrace.SpanProcessor.
func (c *collector) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (c *collector) OnEnd(s sdktrace.ReadOnlySpan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := s.SpanContext().TraceID().String()
	c.traces[id] = append(c.traces[id], s)
	close(c.changed)
	c.changed = make(chan struct{})
}

// Shutdown implements sdktrace.SpanProcessor.
func (c *collector) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (c *collector) ForceFlush(context.Context) error { return nil }

// get returns the spans of a trace so far, and a channel that closes when there are more.
func (c *collector) get(id string) ([]sdktrace.ReadOnlySpan, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.traces[id]), c.changed
}

// patience is how long tree waits for the SERVER span.
const patience = 5 * time.Second

// tree waits until the trace's SERVER span has ended and draws the trace.
func (c *collector) tree(ctx context.Context, id string) (string, error) {
	limit := time.After(patience)
	for {
		spans, changed := c.get(id)
		for _, s := range spans {
			if s.Parent().IsRemote() && s.SpanKind() == trace.SpanKindServer && s.Name() != "llm_request" {
				return draw(spans), nil
			}
		}
		select {
		case <-changed:
		case <-limit:
			return "", fmt.Errorf("trace %s has no SERVER span after %s", id, patience)
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// stallLine describes the stall span of a trace.
func (c *collector) stallLine(id string) string {
	spans, _ := c.get(id)
	for _, s := range spans {
		if s.Name() == "stall" {
			return fmt.Sprintf("stall, phase %s, silent for %s, trace %s", text(s, "vllm.stall.phase"), took(s), id)
		}
	}
	return "none yet"
}

// draw writes the spans as a tree: name, kind, time, and what the request span tells.
func draw(spans []sdktrace.ReadOnlySpan) string {
	known := make(map[trace.SpanID]bool)
	for _, s := range spans {
		known[s.SpanContext().SpanID()] = true
	}
	var b strings.Builder
	var walk func(parent trace.SpanID, root bool, indent string)
	walk = func(parent trace.SpanID, root bool, indent string) {
		var children []sdktrace.ReadOnlySpan
		for _, s := range spans {
			if p := s.Parent().SpanID(); root && !known[p] || !root && p == parent {
				children = append(children, s)
			}
		}
		slices.SortStableFunc(children, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
		for i, s := range children {
			branch, below := "├ ", "│ "
			if i == len(children)-1 {
				branch, below = "└ ", "  "
			}
			if root {
				branch, below = "", ""
			}
			name := "   " + indent + branch + s.Name()
			line := fmt.Sprintf("%-34s %-9s %9s  %s", name, strings.ToUpper(s.SpanKind().String()), took(s), note(s))
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			walk(s.SpanContext().SpanID(), false, indent+below)
		}
	}
	walk(trace.SpanID{}, true, "")
	return b.String()
}

// took returns the duration of a span in three digits or so.
func took(s sdktrace.ReadOnlySpan) string {
	d := s.EndTime().Sub(s.StartTime())
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
	}
	if d < time.Second {
		return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// note is what stands behind a span: tokens and outcome of the request, cause of a stall.
func note(s sdktrace.ReadOnlySpan) string {
	var notes []string
	add := func(format string, key attribute.Key) {
		if v := text(s, key); v != "" {
			notes = append(notes, fmt.Sprintf(format, v))
		}
	}
	add("%s tokens in", "gen_ai.usage.input_tokens")
	add("%s out", "gen_ai.usage.output_tokens")
	add("%s tokens/s", "vllm.request.output_rate")
	add("%s", "vllm.request.outcome")
	add("cause %s", "vllm.stall.cause")
	if s.Name() == "llm_request" {
		notes = append(notes, "vLLM's own span")
	}
	return strings.Join(notes, ", ")
}

func text(s sdktrace.ReadOnlySpan, key attribute.Key) string {
	for _, kv := range s.Attributes() {
		if kv.Key != key {
			continue
		}
		if kv.Value.Type() == attribute.FLOAT64 {
			return fmt.Sprintf("%.1f", kv.Value.AsFloat64())
		}
		return kv.Value.String()
	}
	return ""
}
