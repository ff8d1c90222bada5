package dashboards

import (
	"slices"
	"strings"
	"testing"
)

func mustSurface(t *testing.T) []Metric {
	t.Helper()
	surface, err := ReadSurface()
	if err != nil {
		t.Fatal(err)
	}
	return surface
}

func mustTranslation(t *testing.T) Translation {
	t.Helper()
	translation, err := ReadTranslation()
	if err != nil {
		t.Fatal(err)
	}
	return translation
}

func mustKnow(t *testing.T) *Queries {
	t.Helper()
	q, err := KnownQueries()
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestASurfaceIsRead(t *testing.T) {
	const text = `metric a.b
  scope       x
  kind        histogram float64
  unit        s
  buckets     1 2
  description Time of metric things.
  attribute   c.d string

span e
  kind        internal
  attribute   f string

metric g
  kind        up-down counter int64
  unit        {request}
`
	got, err := ParseSurface(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "a.b" || !got[0].histogram() || got[0].Unit != "s" ||
		!slices.Equal(got[0].Attributes, []Attribute{{"c.d", "string"}}) || got[1].Kind != "up-down counter int64" || got[1].Attributes != nil {
		t.Errorf("got %+v, want the metrics a.b and g and nothing of the span", got)
	}
	if _, err := ParseSurface(strings.NewReader("span a\n  kind internal\n")); err == nil {
		t.Error("a file without metrics: got no error, want one")
	}
}

func TestTwoMetricsOfOneNameAreSeen(t *testing.T) {
	twice := []Metric{{Name: "a.b", Kind: "gauge int64", Unit: "1"}, {Name: "a_b", Kind: "gauge int64", Unit: "1"}}
	if _, err := mustTranslation(t).Table(twice); err == nil {
		t.Error("got no error for a.b and a_b, want one: both are a_b_ratio")
	}
	if _, err := mustTranslation(t).Table([]Metric{{Name: "a", Kind: "summary"}}); err == nil {
		t.Error("got no error for a kind that does not exist, want one")
	}
}
