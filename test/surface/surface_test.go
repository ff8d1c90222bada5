package surface

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// emit makes telemetry with the real SDK. Its models differ, as those of two runs do.
func emit(t *testing.T, models ...string) (metricdata.ResourceMetrics, tracetest.SpanStubs) {
	t.Helper()
	res := resource.NewSchemaless(attribute.String("service.name", "s"))
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(res)).Meter("m")
	spans := tracetest.NewInMemoryExporter()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans), sdktrace.WithResource(res)).Tracer("t")

	duration, err := meter.Float64Histogram("x.duration", metric.WithUnit("s"), metric.WithDescription("How long x took."),
		metric.WithExplicitBucketBoundaries(0.5, 1))
	if err != nil {
		t.Fatal(err)
	}
	active, err := meter.Int64UpDownCounter("x.active")
	if err != nil {
		t.Fatal(err)
	}
	for i, model := range models {
		attributes := []attribute.KeyValue{attribute.String("gen_ai.request.model", model)}
		if i > 0 {
			attributes = append(attributes, attribute.Int("n", i))
		}
		duration.Record(t.Context(), 1, metric.WithAttributes(attributes...))
		active.Add(t.Context(), 1)
		_, span := tracer.Start(t.Context(), "chat "+model, trace.WithAttributes(attributes...))
		span.AddEvent("e", trace.WithAttributes(attribute.Bool("b", true), attribute.Float64("a", 1)))
		span.End()
	}
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	return rm, spans.GetSpans()
}

const want = `metric x.active
  scope       m
  kind        up-down counter int64
  unit        (none)
  description (none)

metric x.duration
  scope       m
  kind        histogram float64
  unit        s
  buckets     0.5 1
  description How long x took.
  attribute   gen_ai.request.model string
  attribute   n int64

span chat {model}
  scope       t
  kind        internal
  attribute   gen_ai.request.model string
  attribute   n int64
  event       e {a float64} {b bool}

resource
  attribute   service.name string
`

func TestTheTextDoesNotDependOnValuesOrder(t *testing.T) {
	var forth, back Surface
	rm, spans := emit(t, "a", "b")
	forth.AddMetrics(rm)
	forth.AddSpans(spans)
	if got := forth.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, models := range [][]string{{"zz", "y", "x"}, {"a"}} {
		rm, spans := emit(t, models...)
		back.AddSpans(spans)
		back.AddMetrics(rm)
	}
	if got := back.String(); got != want {
		t.Errorf("gathered otherwise: got\n%s\nwant\n%s", got, want)
	}
}

func TestNamesBecomePatterns(t *testing.T) {
	for name, c := range map[string]struct {
		span       string
		attributes []attribute.KeyValue
		want       string
	}{
		"the model and the operation": {"chat m", []attribute.KeyValue{
			attribute.String("gen_ai.request.model", "m"), attribute.String("gen_ai.operation.name", "chat"),
		}, "{operation} {model}"},
		"the method and the route": {"POST /v1/x", []attribute.KeyValue{
			attribute.String("http.request.method", "POST"), attribute.String("http.route", "/v1/x"),
		}, "{method} {route}"},
		"a word that is no attribute's value": {"first_token", []attribute.KeyValue{attribute.String("k", "first_token")}, "first_token"},
		"an empty value":                      {"a  b", []attribute.KeyValue{attribute.String("http.route", "")}, "a  b"},
	} {
		if got := Pattern(c.span, c.attributes); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// recorder is a testing.TB that notes failures instead of failing.
type recorder struct {
	testing.TB
	failed string
}

func (r *recorder) Helper()                           {}
func (r *recorder) Errorf(format string, args ...any) { r.failed += fmt.Sprintf(format, args...) }
func (r *recorder) Fatalf(format string, args ...any) { r.Errorf(format, args...); panic(r) }

func TestGoldenFailsOnADifferenceAndOnAMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "golden")
	golden := func(got string) string {
		r := &recorder{TB: t}
		func() {
			defer func() { _ = recover() }()
			Golden(r, path, got)
		}()
		return r.failed
	}
	if golden(want) == "" {
		t.Error("a missing file: got no failure")
	}
	if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := golden(want); got != "" {
		t.Errorf("the same text: got failure %q", got)
	}
	if golden(strings.Replace(want, "unit        s", "unit        ms", 1)) == "" {
		t.Error("another unit: got no failure")
	}
}

func TestDiffShowsTheLinesUnderTheirEntry(t *testing.T) {
	changed := strings.Replace(want, "unit        s", "unit        ms", 1) + "\nspan new\n  kind        client\n"
	got := Diff(want, changed)
	wantDiff := "  metric x.duration\n-   unit        s\n+   unit        ms\n  span new\n+ span new\n+   kind        client\n"
	if got != wantDiff {
		t.Errorf("got\n%s\nwant\n%s", got, wantDiff)
	}
	if got := Diff(want, want); got != "" {
		t.Errorf("equal texts: got %q, want nothing", got)
	}
	if got := Diff("a\nb\n", "b\na\n"); got == "" {
		t.Error("another order: got nothing")
	}
}

func TestTablesAndSurfaceMustAgree(t *testing.T) {
	good := TablesBegin + "\n| metric | unit |\n|---|---|\n| `x.duration`, `x.active` | `s` |\n" + TablesEnd + "\nprose\n" + TablesBegin +
		"\n| `chat {model}` | `gen_ai.request.model`, `n`, event `e` with `a`, `b` |\n" + TablesEnd
	for name, c := range map[string]struct {
		document string
		want     []string
	}{
		"both agree":                      {good, nil},
		"a metric is missing":             {strings.Replace(good, "`x.active`", "x.active", 1), []string{"lack the metric `x.active`"}},
		"a span is missing":               {strings.Replace(good, "`chat {model}`", "", 1), []string{"lack the span `chat {model}`"}},
		"an event's attribute is missing": {strings.Replace(good, ", `b`", "", 1), []string{"lack the attribute `b`"}},
		"a name that is not emitted stands in a first cell": {strings.Replace(good, "`x.active`", "`x.active`, `gone`", 1), []string{"have `gone`"}},
		"a name that is not emitted stands in another cell": {strings.Replace(good, "`n`", "`n`, `x.gone`", 1), []string{"have `x.gone`"}},
		"a name is shortened":                               {strings.Replace(good, "`n`", "`n`, `.active`", 1), []string{"have `.active`"}},
		"no comments":                                       {"text", []string{"has no " + TablesBegin}},
		"a comment is not closed":                           {TablesBegin, []string{"has no " + TablesEnd}},
	} {
		got := CheckTables(c.document, want)
		if len(got) != len(c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) {
				t.Errorf("%s: got %q, want something with %q", name, got[i], c.want[i])
			}
		}
	}
}
