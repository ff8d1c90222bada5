package otlp

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// spanProcessor puts ended spans into a queue.
type spanProcessor struct {
	queue    *queue[sdktrace.ReadOnlySpan]
	exporter sdktrace.SpanExporter
}

func newSpanProcessor(e sdktrace.SpanExporter, l limits, account *ledger, r *reporter) *spanProcessor {
	p, _ := e.(packer[sdktrace.ReadOnlySpan])
	return &spanProcessor{queue: newQueue(l, account, r, p, e.ExportSpans), exporter: e}
}

func (p *spanProcessor) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

func (p *spanProcessor) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		p.queue.add(cleanSpan(s))
	}
}

func (p *spanProcessor) ForceFlush(ctx context.Context) error { return p.queue.flush(ctx) }

func (p *spanProcessor) Shutdown(ctx context.Context) error {
	err := p.queue.shutdown(ctx)
	return first(err, within(ctx, p.exporter.Shutdown))
}

// span is a span of which some text was not clean.
type span struct {
	sdktrace.ReadOnlySpan
	name       string
	attributes []attribute.KeyValue
	events     []sdktrace.Event
	links      []sdktrace.Link
	status     sdktrace.Status
	scope      instrumentation.Scope
}

func (s *span) Name() string                                { return s.name }
func (s *span) Attributes() []attribute.KeyValue            { return s.attributes }
func (s *span) Events() []sdktrace.Event                    { return s.events }
func (s *span) Links() []sdktrace.Link                      { return s.links }
func (s *span) Status() sdktrace.Status                     { return s.status }
func (s *span) InstrumentationScope() instrumentation.Scope { return s.scope }

// InstrumentationLibrary is part of the interface, though deprecated.
func (s *span) InstrumentationLibrary() instrumentation.Library { return s.scope } //nolint:staticcheck // the interface has it

// cleanSpan returns s, or a copy with clean text, and its estimated size.
func cleanSpan(s sdktrace.ReadOnlySpan) (sdktrace.ReadOnlySpan, int) {
	name, status, scope := s.Name(), s.Status(), s.InstrumentationScope()
	clean := span{ReadOnlySpan: s, name: cleanString(name), status: status, scope: cleanScope(scope)}
	clean.status.Description = cleanString(status.Description)
	same := clean.name == name && clean.status == status && clean.scope == scope
	bytes := spanCost + len(clean.name) + len(clean.status.Description)

	attrs := s.Attributes()
	var n int
	clean.attributes, n = cleanAttributes(attrs)
	same = same && sameSlice(attrs, clean.attributes)
	bytes += n

	events := s.Events()
	clean.events, n = cleanEvents(events)
	same = same && sameSlice(events, clean.events)
	bytes += n

	links := s.Links()
	clean.links, n = cleanLinks(links)
	same = same && sameSlice(links, clean.links)
	bytes += n
	if same {
		return s, bytes
	}
	dirty := clean // only a copy that is needed goes to the heap
	return &dirty, bytes
}

func cleanEvents(events []sdktrace.Event) (clean []sdktrace.Event, bytes int) {
	clean = events
	for i, e := range events {
		name := cleanString(e.Name)
		attrs, n := cleanAttributes(e.Attributes)
		bytes += partCost + len(name) + n
		if name == e.Name && sameSlice(attrs, e.Attributes) {
			continue
		}
		if sameSlice(clean, events) {
			clean = append([]sdktrace.Event(nil), events...)
		}
		clean[i].Name, clean[i].Attributes = name, attrs
	}
	return clean, bytes
}

func cleanLinks(links []sdktrace.Link) (clean []sdktrace.Link, bytes int) {
	clean = links
	for i, l := range links {
		attrs, n := cleanAttributes(l.Attributes)
		bytes += partCost + n
		if sameSlice(attrs, l.Attributes) {
			continue
		}
		if sameSlice(clean, links) {
			clean = append([]sdktrace.Link(nil), links...)
		}
		clean[i].Attributes = attrs
	}
	return clean, bytes
}

// sameSlice tells whether a and b are the same elements in the same place.
func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// stoppable is a caller's processor that hears nothing more after its Shutdown, although the provider
// lives on: spans that end later must still be counted.
type stoppable struct {
	sdktrace.SpanProcessor
	stopped atomic.Bool
}

func (s *stoppable) OnStart(ctx context.Context, sp sdktrace.ReadWriteSpan) {
	if !s.stopped.Load() {
		s.SpanProcessor.OnStart(ctx, sp)
	}
}

func (s *stoppable) OnEnd(sp sdktrace.ReadOnlySpan) {
	if !s.stopped.Load() {
		s.SpanProcessor.OnEnd(sp)
	}
}

func (s *stoppable) Shutdown(ctx context.Context) error {
	if s.stopped.Swap(true) {
		return nil
	}
	return s.SpanProcessor.Shutdown(ctx)
}
