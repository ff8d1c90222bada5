package otlp

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// flat lists the spans of a request, each with its own resource and scope, in the order of their ids.
func flat(list []*tracepb.ResourceSpans) []*tracepb.ResourceSpans {
	var out []*tracepb.ResourceSpans
	for _, rs := range list {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				out = append(out, &tracepb.ResourceSpans{
					Resource: rs.GetResource(), SchemaUrl: rs.GetSchemaUrl(),
					ScopeSpans: []*tracepb.ScopeSpans{{Scope: ss.GetScope(), SchemaUrl: ss.GetSchemaUrl(), Spans: []*tracepb.Span{s}}},
				})
			}
		}
	}
	slices.SortFunc(out, func(a, b *tracepb.ResourceSpans) int {
		return cmp.Compare(string(a.GetScopeSpans()[0].GetSpans()[0].GetSpanId()), string(b.GetScopeSpans()[0].GetSpans()[0].GetSpanId()))
	})
	return out
}

// assorted makes spans with everything a span can have, of two resources and three scopes.
func assorted(t *testing.T) []sdktrace.ReadOnlySpan {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	for _, service := range []string{"a", "b"} {
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder),
			sdktrace.WithResource(resource.NewWithAttributes("https://schema", attribute.String("service.name", service))))
		for i := range 30 {
			tracer := provider.Tracer([]string{"x", "y", "z"}[i%3], trace.WithInstrumentationVersion("1"), trace.WithSchemaURL("https://scope"))
			ctx, parent := tracer.Start(t.Context(), "parent", trace.WithSpanKind(trace.SpanKindServer))
			_, s := tracer.Start(ctx, "größer", trace.WithLinks(trace.Link{SpanContext: parent.SpanContext(), Attributes: typical()[:1]}))
			s.SetAttributes(append(typical(), attribute.Map("m", attribute.Int64Slice("l", []int64{1, -1})), attribute.Float64("f", 0.1))...)
			s.AddEvent("event", trace.WithAttributes(attribute.Bool("b", true)))
			s.SetStatus(codes.Error, "bad")
			s.End()
			parent.End()
		}
	}
	return recorder.Ended()
}

func TestPackedSpansComeOutTheSame(t *testing.T) {
	spans := assorted(t)
	e := &spanExporter{}
	var mixed []sdktrace.ReadOnlySpan
	for i := 0; i < len(spans); i += 40 { // two blocks, so that the second has to reset the first one's compressor
		part := spans[i : i+40]
		data, err := e.pack(part)
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := e.unpack(data)
		if err != nil || len(unpacked) != len(part) {
			t.Fatalf("got %d spans and %v, want %d", len(unpacked), err, len(part))
		}
		mixed = append(mixed, unpacked[:30]...)
		for _, s := range unpacked[30:] { // what was never packed goes out with the rest
			id := s.(*encodedSpan).span.GetSpanId()
			mixed = append(mixed, part[slices.IndexFunc(part, func(s sdktrace.ReadOnlySpan) bool {
				own := s.SpanContext().SpanID()
				return string(own[:]) == string(id)
			})])
		}
	}
	got, want := flat(encode(mixed)), flat(encode(spans))
	if !slices.EqualFunc(got, want, func(a, b *tracepb.ResourceSpans) bool { return proto.Equal(a, b) }) {
		t.Errorf("the spans are not the same: got %d, want %d", len(got), len(want))
	}
	if got := len(encode(mixed)); got > 6 {
		t.Errorf("got %d resources in one request, want them grouped", got)
	}
	if _, err := e.unpack([]byte("no block")); err == nil {
		t.Error("unpack of noise: got no error")
	}
}

// request makes the spans of one request as the library does: eight, of two scopes.
func request(t *testing.T, ours, http trace.Tracer) {
	t.Helper()
	protocol := []attribute.KeyValue{
		attribute.String("http.request.method", "POST"), attribute.String("url.path", "/v1/chat/completions"),
		attribute.String("url.scheme", "http"), attribute.String("server.address", "127.0.0.1"), attribute.Int("server.port", 8080),
		attribute.Int("http.response.status_code", 200), attribute.String("network.protocol.version", "1.1"),
	}
	ctx, server := http.Start(t.Context(), "POST /v1/chat/completions", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(protocol...))
	ctx, chat := ours.Start(ctx, "chat meta-llama/Llama-3.1-8B-Instruct", trace.WithAttributes(typical()...))
	ctx, generation := ours.Start(ctx, "generation", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attribute.Int("vllm.generation.attempts", 1)))
	_, post := http.Start(ctx, "POST", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(protocol...))
	first, token := ours.Start(ctx, "first_token")
	for _, name := range []string{"queue", "prefill"} {
		_, s := ours.Start(first, name)
		s.End()
	}
	token.End()
	_, decode := ours.Start(ctx, "decode")
	for _, s := range []trace.Span{decode, post, generation, chat, server} {
		s.End()
	}
}

// An outage of five minutes at 50 requests/s with all spans of each, beside the SDK's own batch processor.
func TestFault_E02_OutageWithWholeTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const seconds, spans = 300, 8
		rate := 50
		if raceEnabled {
			rate = 5 // the race detector makes it ten times slower
		}
		tr := newTracing(t, defaultLimits())
		theirs := &collector{}
		exporter, err := otlptracehttp.New(t.Context(),
			otlptracehttp.WithHTTPClient(&http.Client{Transport: theirs, Timeout: 10 * time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		tr.RegisterSpanProcessor(sdktrace.NewBatchSpanProcessor(exporter))
		tr.collector.always(reply{hang: true})
		theirs.always(reply{hang: true})
		before := heap()
		ours, http := tr.Tracer("ours"), tr.Tracer("http")
		for range rate * seconds {
			request(t, ours, http)
			time.Sleep(time.Second / time.Duration(rate))
		}
		held := heap() - before
		tr.collector.set(nil)
		theirs.set(nil)
		time.Sleep(time.Minute)
		if err := tr.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
		if lost := tr.balance(t, rate*seconds*spans); len(lost) != 0 {
			t.Errorf("lost: got %v, want none", lost)
		}
		_, taken, _ := theirs.counts()
		t.Logf("of %d spans ours lost none; the SDK's batch processor lost %d; heap of both %.1f MiB",
			rate*seconds*spans, rate*seconds*spans-taken, float64(held)/(1<<20))
		if taken >= rate*seconds*spans {
			t.Errorf("the SDK's own batch processor lost nothing: this test shows nothing any more")
		}
		if held > 32<<20 {
			t.Errorf("heap: got %d bytes more, want at most the 32 MiB of the queue", held)
		}
	})
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// numberPacker packs integers, and fails where it is told to.
type numberPacker struct{ packErr, unpackErr error }

func (p numberPacker) pack(items []int) ([]byte, error) {
	var out []byte
	for _, i := range items {
		out = binary.AppendVarint(out, int64(i))
	}
	return out, p.packErr
}

func (p numberPacker) unpack(data []byte) (items []int, err error) {
	for len(data) > 0 {
		i, n := binary.Varint(data)
		items, data = append(items, int(i)), data[n:]
	}
	return items, p.unpackErr
}

func TestPackingThatFails(t *testing.T) {
	tests := map[string]struct {
		packer    numberPacker
		delivered int64
		dropped   map[string]int64
	}{
		"works":                                 {numberPacker{}, 1000, nil},
		"packing fails: items stay as they are": {numberPacker{packErr: errors.New("x")}, 1000, nil},
		"unpacking fails: counted":              {numberPacker{unpackErr: errors.New("x")}, 100, map[string]int64{reasonEncoding: 900}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				account := newLedger(signalTraces)
				l := limits{bytes: 1 << 20, batch: 100, delay: time.Second, timeout: time.Second}
				down := true
				q := newQueue(l, account, newReporter(func(error) {}), test.packer, func(context.Context, []int) error {
					if down {
						return errRefused
					}
					return nil
				})
				for i := range 1000 {
					q.add(i, 1000)
					if i%100 == 99 {
						synctest.Wait() // the worker may pack
					}
				}
				down = false
				if err := q.shutdown(t.Context()); err != nil {
					t.Errorf("shutdown: got %v, want nil", err)
				}
				got := account.reasons()
				if account.delivered != test.delivered || got[reasonEncoding] != test.dropped[reasonEncoding] || account.made != 1000 {
					t.Errorf("got %d delivered and dropped %v, want %d and %v", account.delivered, got, test.delivered, test.dropped)
				}
			})
		})
	}
}
