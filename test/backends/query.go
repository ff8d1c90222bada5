package backends

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ErrNoTrace means that Jaeger does not have the trace, or not yet.
var ErrNoTrace = errors.New("jaeger does not have the trace")

// Trace reads a trace back from Jaeger's /api/traces. id is hexadecimal. A trace that has not arrived is ErrNoTrace;
// one that has may still lack spans.
func (j *Jaeger) Trace(id string) (*Tree, error) {
	var answer struct {
		Data []jaegerTrace
	}
	if err := j.get("/api/traces/"+id, &answer); err != nil {
		return nil, err
	}
	if len(answer.Data) != 1 {
		return nil, fmt.Errorf("jaeger: GET /api/traces/%s: got %d traces, want 1", id, len(answer.Data))
	}
	return answer.Data[0].tree()
}

// TraceV3 reads a trace back from Jaeger's /api/v3/traces, which answers in OTLP's JSON.
func (j *Jaeger) TraceV3(id string) (*Tree, error) {
	var answer struct {
		Result struct {
			ResourceSpans []struct {
				Resource   struct{ Attributes []otlpAttribute }
				ScopeSpans []struct{ Spans []otlpSpan }
			}
		}
	}
	if err := j.get("/api/v3/traces/"+id, &answer); err != nil {
		return nil, err
	}
	var spans []*Span
	for _, rs := range answer.Result.ResourceSpans {
		service, _ := otlpAttributes(rs.Resource.Attributes)["service.name"].(string)
		for _, ss := range rs.ScopeSpans {
			for _, raw := range ss.Spans {
				s, err := raw.span(service)
				if err != nil {
					return nil, err
				}
				spans = append(spans, s)
			}
		}
	}
	return newTree(id, spans), nil
}

// Await reads a trace back until ready accepts it, and returns it. ready says what is still missing. The test fails
// with that, and with the trace as it was last seen, after 30 s.
func (j *Jaeger) Await(t testing.TB, id string, ready func(*Tree) error) *Tree {
	t.Helper()
	var tree *Tree
	err := eventually(func() (err error) {
		if tree, err = j.Trace(id); err != nil {
			return err
		}
		return ready(tree)
	})
	if err != nil && tree != nil {
		t.Fatalf("trace %s: %v; Jaeger has\n%s", id, err, RenderTree(tree))
	}
	if err != nil {
		t.Fatalf("trace %s: %v", id, err)
	}
	return tree
}

// HasSpans returns a function for Await that waits for one span at least of each of the names.
func HasSpans(names ...string) func(*Tree) error {
	return func(t *Tree) error {
		for _, name := range names {
			if len(t.Find(name)) == 0 {
				return fmt.Errorf("no span %q", name)
			}
		}
		return nil
	}
}

func (j *Jaeger) get(path string, into any) error {
	err := j.client.json(j.URL+path, into)
	if errors.Is(err, errNotFound) {
		return ErrNoTrace
	}
	return err
}

// jaegerTrace is a trace in the words of Jaeger's own API. Times are microseconds.
type jaegerTrace struct {
	TraceID string
	Spans   []struct {
		SpanID, OperationName, ProcessID string
		References                       []struct{ RefType, SpanID string }
		StartTime, Duration              int64
		Tags                             []jaegerTag
		Logs                             []struct{ Fields []jaegerTag }
	}
	Processes map[string]struct{ ServiceName string }
}

type jaegerTag struct {
	Key, Type string
	Value     json.RawMessage
}

func (j jaegerTrace) tree() (*Tree, error) {
	spans := make([]*Span, 0, len(j.Spans))
	for _, raw := range j.Spans {
		s := &Span{
			ID: raw.SpanID, Name: raw.OperationName, Kind: "internal",
			Service:  j.Processes[raw.ProcessID].ServiceName,
			Start:    time.UnixMicro(raw.StartTime),
			Duration: time.Duration(raw.Duration) * time.Microsecond,
		}
		for _, ref := range raw.References {
			if ref.RefType == "CHILD_OF" && s.ParentID == "" {
				s.ParentID = ref.SpanID
			}
		}
		var err error
		if s.Attributes, err = jaegerAttributes(raw.Tags); err != nil {
			return nil, fmt.Errorf("jaeger: span %s: %w", s.ID, err)
		}
		if kind, ok := s.Attributes["span.kind"].(string); ok {
			s.Kind = kind
		}
		s.Failed = s.Attributes["otel.status_code"] == "ERROR"
		for _, log := range raw.Logs {
			fields, err := jaegerAttributes(log.Fields)
			if err != nil {
				return nil, fmt.Errorf("jaeger: span %s: event: %w", s.ID, err)
			}
			name, _ := fields["event"].(string)
			s.Events = append(s.Events, name)
		}
		spans = append(spans, s)
	}
	return newTree(j.TraceID, spans), nil
}

func jaegerAttributes(tags []jaegerTag) (map[string]any, error) {
	attributes := make(map[string]any, len(tags))
	for _, tag := range tags {
		var err error
		switch tag.Type {
		case "bool":
			attributes[tag.Key], err = decode[bool](tag.Value)
		case "int64":
			attributes[tag.Key], err = decode[int64](tag.Value)
		case "float64":
			attributes[tag.Key], err = decode[float64](tag.Value)
		default:
			attributes[tag.Key], err = decode[string](tag.Value)
		}
		if err != nil {
			return nil, fmt.Errorf("tag %s: %w", tag.Key, err)
		}
	}
	return attributes, nil
}

func decode[T any](raw json.RawMessage) (v T, err error) {
	err = json.Unmarshal(raw, &v)
	return v, err
}

// otlpSpan is a span in OTLP's JSON, where 64-bit integers are strings.
type otlpSpan struct {
	SpanID, ParentSpanID, Name         string
	Kind                               int
	StartTimeUnixNano, EndTimeUnixNano string
	Attributes                         []otlpAttribute
	Events                             []struct{ Name string }
	Status                             struct{ Code int }
}

type otlpAttribute struct {
	Key   string
	Value struct {
		StringValue *string
		BoolValue   *bool
		IntValue    *string
		DoubleValue *float64
		ArrayValue  json.RawMessage
	}
}

func (o otlpSpan) span(service string) (*Span, error) {
	kinds := []string{"unspecified", "internal", "server", "client", "producer", "consumer"}
	if o.Kind < 0 || o.Kind >= len(kinds) {
		return nil, fmt.Errorf("span %s: unknown kind %d", o.SpanID, o.Kind)
	}
	if _, err := hex.DecodeString(o.SpanID); err != nil {
		return nil, fmt.Errorf("span ID %q: %w", o.SpanID, err)
	}
	start, err := strconv.ParseInt(o.StartTimeUnixNano, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("span %s: start: %w", o.SpanID, err)
	}
	end, err := strconv.ParseInt(o.EndTimeUnixNano, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("span %s: end: %w", o.SpanID, err)
	}
	s := &Span{
		ID: o.SpanID, ParentID: strings.Trim(o.ParentSpanID, "0"), Name: o.Name, Kind: kinds[o.Kind], Service: service,
		Start: time.Unix(0, start), Duration: time.Duration(end - start),
		Attributes: otlpAttributes(o.Attributes), Failed: o.Status.Code == 2,
	}
	if s.ParentID != "" {
		s.ParentID = o.ParentSpanID
	}
	for _, e := range o.Events {
		s.Events = append(s.Events, e.Name)
	}
	return s, nil
}

func otlpAttributes(list []otlpAttribute) map[string]any {
	attributes := make(map[string]any, len(list))
	for _, a := range list {
		switch v := a.Value; {
		case v.StringValue != nil:
			attributes[a.Key] = *v.StringValue
		case v.BoolValue != nil:
			attributes[a.Key] = *v.BoolValue
		case v.IntValue != nil:
			n, _ := strconv.ParseInt(*v.IntValue, 10, 64)
			attributes[a.Key] = n
		case v.DoubleValue != nil:
			attributes[a.Key] = *v.DoubleValue
		default:
			attributes[a.Key] = string(v.ArrayValue)
		}
	}
	return attributes
}
