package otlp

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spanExporter sends spans with a client of OTLP, and can pack spans that have to wait: the SDK's spans take
// about twenty times the memory of what goes over the wire compressed.
type spanExporter struct {
	client  otlptrace.Client
	deflate *flate.Writer // made when it is first needed, half a megabyte
}

func newClientExporter(ctx context.Context, client otlptrace.Client) (*spanExporter, error) {
	if err := client.Start(ctx); err != nil {
		return nil, err
	}
	return &spanExporter{client: client}, nil
}

func (e *spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	return e.client.UploadTraces(ctx, encode(spans))
}

func (e *spanExporter) Shutdown(ctx context.Context) error { return e.client.Stop(ctx) }

// pack returns spans encoded and compressed. Only the worker of a queue may call it.
func (e *spanExporter) pack(spans []sdktrace.ReadOnlySpan) ([]byte, error) {
	data, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: encode(spans)})
	if err != nil {
		return nil, fmt.Errorf("encode waiting spans: %w", err)
	}
	var out bytes.Buffer
	if e.deflate == nil {
		if e.deflate, err = flate.NewWriter(&out, flate.BestSpeed); err != nil {
			return nil, fmt.Errorf("compress waiting spans: %w", err)
		}
	}
	e.deflate.Reset(&out)
	if _, err = e.deflate.Write(data); err == nil {
		err = e.deflate.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("compress waiting spans: %w", err)
	}
	return bytes.Clone(out.Bytes()), nil // without the room that the buffer keeps
}

// unpack returns what pack was given, as spans that only encode can read.
func (e *spanExporter) unpack(block []byte) ([]sdktrace.ReadOnlySpan, error) {
	data, err := io.ReadAll(flate.NewReader(bytes.NewReader(block)))
	if err != nil {
		return nil, fmt.Errorf("decompress waiting spans: %w", err)
	}
	var traces tracepb.TracesData
	if err := proto.Unmarshal(data, &traces); err != nil {
		return nil, fmt.Errorf("decode waiting spans: %w", err)
	}
	var spans []sdktrace.ReadOnlySpan
	for _, rs := range traces.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				spans = append(spans, &encodedSpan{resource: rs, scope: ss, span: s})
			}
		}
	}
	return spans, nil
}

// encodedSpan is a span in the form of OTLP. The embedded interface is nil: of its methods there is none.
type encodedSpan struct {
	sdktrace.ReadOnlySpan
	resource *tracepb.ResourceSpans
	scope    *tracepb.ScopeSpans
	span     *tracepb.Span
}

// encode puts spans into the form of OTLP, those that were packed after the others.
func encode(spans []sdktrace.ReadOnlySpan) []*tracepb.ResourceSpans {
	live := make([]sdktrace.ReadOnlySpan, 0, len(spans))
	var packed []*tracepb.ResourceSpans
	var last encodedSpan
	for _, s := range spans {
		e, ok := s.(*encodedSpan)
		if !ok {
			live = append(live, s)
			continue
		}
		if e.resource != last.resource {
			packed = append(packed, &tracepb.ResourceSpans{Resource: e.resource.GetResource(), SchemaUrl: e.resource.GetSchemaUrl()})
		}
		rs := packed[len(packed)-1]
		if e.resource != last.resource || e.scope != last.scope {
			rs.ScopeSpans = append(rs.ScopeSpans, &tracepb.ScopeSpans{Scope: e.scope.GetScope(), SchemaUrl: e.scope.GetSchemaUrl()})
		}
		ss := rs.ScopeSpans[len(rs.ScopeSpans)-1]
		ss.Spans = append(ss.Spans, e.span)
		last = *e
	}
	var c capture
	_ = otlptrace.NewUnstarted(&c).ExportSpans(context.Background(), live) // the capture cannot fail
	return append(c.spans, packed...)
}

// capture is a client that keeps what it is given: the SDK's spans in the form of OTLP.
type capture struct{ spans []*tracepb.ResourceSpans }

func (*capture) Start(context.Context) error { return nil }
func (*capture) Stop(context.Context) error  { return nil }
func (c *capture) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	c.spans = spans
	return nil
}
