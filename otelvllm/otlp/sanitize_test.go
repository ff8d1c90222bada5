package otlp

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	sdklog "go.opentelemetry.io/otel/sdk/log"
)

func TestCleanString(t *testing.T) {
	long := strings.Repeat("x", maxStringBytes)
	tests := map[string]struct{ in, want string }{
		"empty":                     {"", ""},
		"plain":                     {"plain ünïcode 🙂", "plain ünïcode 🙂"},
		"one bad byte":              {"a\xffb", "a\uFFFDb"},
		"a run of bad bytes is one": {"a\xff\xfe\xfdb", "a\uFFFDb"},
		"surrogate":                 {"\xed\xa0\x80", "\uFFFD"},
		"exactly at the limit":      {long, long},
		"one over the limit":        {long + "y", long},
		"a rune across the limit goes as a whole": {long[1:] + "é", long[1:]},
		"bad bytes just before the limit":         {long[2:] + "\xffyyyy", long[2:]},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := cleanString(test.in)
			if !utf8.ValidString(got) || len(got) > maxStringBytes {
				t.Errorf("got %d bytes, valid %v", len(got), utf8.ValidString(got))
			}
			if got != test.want {
				t.Errorf("got %.20q… (%d bytes), want %.20q… (%d bytes)", got, len(got), test.want, len(test.want))
			}
		})
	}
}

func FuzzCleanString(f *testing.F) {
	f.Add("plain", 3)
	f.Add("a\xffb", 2)
	f.Add("日本語\xe6\x97", 4)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(limit, utf8.UTFMax) % (1 << 16)
		limit = max(limit, utf8.UTFMax)
		got := cleanText(s, limit)
		if !utf8.ValidString(got) || len(got) > limit {
			t.Errorf("cleanText(%q, %d): got %q", s, limit, got)
		}
		if again := cleanText(got, limit); again != got {
			t.Errorf("a clean text changed: %q to %q", got, again)
		}
		if utf8.ValidString(s) && len(s) <= limit && got != s {
			t.Errorf("a good text changed: %q to %q", s, got)
		}
		if utf8.ValidString(s) && !strings.HasPrefix(s, got) {
			t.Errorf("more than a cut: %q to %q", s, got)
		}
	})
}

func TestCapturedMessagesAreNotCut(t *testing.T) {
	text := strings.Repeat("x", 16<<10)
	attrs, _ := cleanAttributes([]attribute.KeyValue{attribute.String("gen_ai.input.messages", text), attribute.String("other", text)})
	if got := len(attrs[0].Value.AsString()); got != len(text) {
		t.Errorf("messages: got %d bytes, want %d", got, len(text))
	}
	if got := len(attrs[1].Value.AsString()); got != maxStringBytes {
		t.Errorf("other: got %d bytes, want %d", got, maxStringBytes)
	}
}

func stub(attrs ...attribute.KeyValue) sdktrace.ReadOnlySpan {
	return tracetest.SpanStub{
		Name: "chat demo-8b", Attributes: attrs, StartTime: time.Now(), EndTime: time.Now(),
		Events: []sdktrace.Event{{Name: "event", Attributes: attrs}}, Links: []sdktrace.Link{{Attributes: attrs}},
		SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceFlags: trace.FlagsSampled}),
	}.Snapshot()
}

// typical has the attributes of a request span.
func typical() []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("gen_ai.operation.name", "chat"), attribute.String("gen_ai.provider.name", "vllm"),
		attribute.String("gen_ai.request.model", "meta-llama/Llama-3.1-8B-Instruct"), attribute.Bool("gen_ai.request.stream", true),
		attribute.Int("gen_ai.request.max_tokens", 512), attribute.Float64("gen_ai.request.temperature", 0.7),
		attribute.String("gen_ai.response.id", "chatcmpl-0123456789abcdef0123456789abcdef"),
		attribute.StringSlice("gen_ai.response.finish_reasons", []string{"stop"}),
		attribute.Int("gen_ai.usage.input_tokens", 1024), attribute.Int("gen_ai.usage.output_tokens", 256),
		attribute.Float64("vllm.request.time_to_first_token", 0.25), attribute.Float64("vllm.request.output_rate", 51.2),
		attribute.Int("vllm.request.chunks", 256), attribute.String("vllm.request.outcome", "completed"),
	}
}

func TestCleanSpanIsTheSpanItself(t *testing.T) {
	// Reading a list copies it, so a list costs two allocations; nothing else costs any.
	lists := func(kv attribute.KeyValue) bool { return kv.Value.Type() == attribute.STRINGSLICE }
	s := stub(slices.DeleteFunc(typical(), lists)...)
	got, _ := cleanSpan(s)
	if _, copied := got.(*span); copied {
		t.Error("a clean span was copied")
	}
	var p spanProcessor
	l := defaultLimits()
	l.batch = 2000 // fewer than wake the worker
	p.queue = newQueue[sdktrace.ReadOnlySpan](l, newLedger(signalTraces), newReporter(func(error) {}), nil, nil)
	defer func() { p.queue.cancel(); <-p.queue.done }()
	p.queue.waiting = make([]entry[sdktrace.ReadOnlySpan], 0, 2000)
	if got := testing.AllocsPerRun(500, func() { p.OnEnd(s) }); got > 0 {
		t.Errorf("OnEnd: got %v allocations, want none", got)
	}
}

func TestCleanSpanCleansEveryPart(t *testing.T) {
	const bad, want = "a\xffb", "a\uFFFDb"
	s := stub(attribute.String("k", "good"), attribute.String(bad, bad))
	got, _ := cleanSpan(s)
	for part, attrs := range map[string][]attribute.KeyValue{
		"span": got.Attributes(), "event": got.Events()[0].Attributes, "link": got.Links()[0].Attributes,
	} {
		if attrs[0] != attribute.String("k", "good") || attrs[1] != attribute.String(want, want) {
			t.Errorf("%s: got %v", part, attrs)
		}
	}
	if s.Attributes()[1] != attribute.String(bad, bad) || s.Events()[0].Attributes[1] != attribute.String(bad, bad) {
		t.Error("the span that other processors see was changed")
	}
}

func TestCleanRecord(t *testing.T) {
	const bad, want = "a\xffb", "a\uFFFDb"
	var got sdklog.Record
	var size int
	processor := onEmit(func(r *sdklog.Record) { got, size = cleanRecord(r) })
	logger := sdklog.NewLoggerProvider(sdklog.WithProcessor(processor)).Logger("test")
	var r log.Record
	r.SetBody(attribute.StringValue(bad))
	r.SetSeverityText(bad)
	r.SetEventName(bad)
	r.AddAttributes(attribute.String("k", "good"), attribute.String(bad, strings.Repeat("x", 1<<20)))
	logger.Emit(t.Context(), r)
	var attrs []attribute.KeyValue
	got.WalkAttributes(func(kv attribute.KeyValue) bool { attrs = append(attrs, kv); return true })
	if got.Body().AsString() != want || got.SeverityText() != want || got.EventName() != want || attrs[1].Key != want {
		t.Errorf("got body %q, severity %q, event %q, key %q, want each %q", got.Body().AsString(), got.SeverityText(), got.EventName(), attrs[1].Key, want)
	}
	if size < maxStringBytes || size > maxStringBytes+1000 {
		t.Errorf("size: got %d, want little more than %d", size, maxStringBytes)
	}
}

// BenchmarkOnEnd is what ending a span costs a request, beside the SDK.
func BenchmarkOnEnd(b *testing.B) {
	s := stub(typical()...)
	q := newQueue(limits{bytes: 1 << 30, batch: 512, delay: time.Second, timeout: time.Second}, newLedger(signalTraces),
		newReporter(func(error) {}), nil, tracetest.NewNoopExporter().ExportSpans)
	p := &spanProcessor{queue: q}
	defer q.cancel()
	b.ReportAllocs()
	for b.Loop() {
		p.OnEnd(s)
	}
}
