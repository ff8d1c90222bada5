package wire

import (
	"reflect"
	"strings"
	"testing"
)

// inside is the string whose text stands between two offsets.
func inside(start, end int) span {
	return span{told: true, text: true, start: int64(start) - 1, end: int64(end) + 1}
}

// TestAKnownShapeIsNoEventOfItsOwnInsideAnother sends what looks like a whole event where another line has begun.
func TestAKnownShapeIsNoEventOfItsOwnInsideAnother(t *testing.T) {
	shape := events(contentEvent("a"))
	for before, want := range map[string]Seen{
		"":                 {Events: 1, Contents: 1},
		"id: 1\n":          {Events: 1, Contents: 1},
		": comment\n":      {Events: 1, Contents: 1},
		": comm":           {}, // the event is the rest of the comment
		"event: error\n":   {Events: 1, Contents: 1},
		"data: {}\n":       {Events: 1}, // two lines of data, which are not JSON
		"data":             {},          // the field is named datadata
		"data: {}\r":       {Events: 1},
		"da":               {},
		"\r":               {Events: 1, Contents: 1},
		"event: error\r\n": {Events: 1, Contents: 1},
	} {
		r := Match("POST", chatPath).NewResponseReader()
		r.Header(200, eventStream)
		r.Write([]byte(shape))
		r.Write([]byte(before))
		got := r.Write([]byte(shape))
		got.Comments = 0
		_, whole := stream(chatPath, shape+before+shape)
		if f := *r.Facts(); got != want || !reflect.DeepEqual(f, whole) {
			t.Errorf("after %q: got %+v %+v, want %+v %+v", before, got, f, want, whole)
		}
	}
}

// TestShapesThatNeverComeAgainAreNotLearnedForEver bounds the work and the memory for streams without a shape.
func TestShapesThatNeverComeAgainAreNotLearnedForEver(t *testing.T) {
	var s shapes
	long := []byte(`{"a":"` + strings.Repeat("x", maxShape) + `"}`)
	if s.learn(nil, long, inside(6, 6), span{}); s.n != 0 {
		t.Error("learned a shape of more than maxShape bytes")
	}
	learn := func(i int) {
		text := []byte(`{"n":` + strings.Repeat("1", i+1) + `,"a":"x"}`)
		at := strings.LastIndex(string(text), "x")
		s.learn(nil, text, inside(at, at+1), span{})
	}
	for i := range 100 {
		learn(i)
	}
	if s.misses != maxMisses || s.n != maxShapes {
		t.Errorf("got %d shapes after %d misses, want %d after %d", s.n, s.misses, maxShapes, maxMisses)
	}
	if !s.matchData(nil, []byte(`{"n":`+strings.Repeat("1", maxMisses)+`,"a":"y"}`)) {
		t.Error("the last shape that was learned is not known")
	}
	if learn(200); !s.matchData(nil, []byte(`{"n":`+strings.Repeat("1", 201)+`,"a":"y"}`)) {
		t.Error("after a shape came again, none is learned any more")
	}
}

func TestAShapeMatchesOnlyAValidStringThatIsNotEmpty(t *testing.T) {
	var s shapes
	s.learn(nil, []byte(`{"a":"x"}`), inside(6, 7), span{})
	for data, want := range map[string]bool{
		`{"a":"y"}`: true, `{"a":"é\n\u00e9\\"}`: true, `{"a":"\""}`: true,
		`{"a":""}`: false, `{"a":"\x"}`: false, `{"a":"\u12"}`: false, "{\"a\":\"\x01\"}": false, `{"a":"y","b":1}`: false, `{"a":"y"} `: false,
		`{"a":"y`: false, `{"a":"y\"}`: false, `{"b":"y"}`: false, ``: false, `{"a":"`: false,
	} {
		if got := s.matchData(nil, []byte(data)); got != want {
			t.Errorf("%q: got %t, want %t", data, got, want)
		}
		if n := s.match([]byte("data: " + data + "\n\nmore")); (n == len(data)+len(eventHead)+len(eventTail)) != want || !want && n != 0 {
			t.Errorf("%q as an event: got a length of %d", data, n)
		}
	}
}

func TestAShapeHasAType(t *testing.T) {
	var s shapes
	s.learn([]byte("delta"), []byte(`{"a":"x"}`), inside(6, 7), span{})
	event := "event: delta\ndata: {\"a\":\"yy\"}\n\n"
	if n := s.match([]byte(event)); n != len(event) {
		t.Errorf("got a length of %d, want %d", n, len(event))
	}
	if s.match([]byte(strings.Replace(event, "delta", "error", 1))) != 0 || s.match([]byte(strings.TrimPrefix(event, "event: delta\n"))) != 0 {
		t.Error("an event of another type, or of none, matches")
	}
	for typ, want := range map[string]bool{"delta": true, "error": false, "": false} {
		if got := s.matchData([]byte(typ), []byte(`{"a":"y"}`)); got != want {
			t.Errorf("type %q: got %t, want %t", typ, got, want)
		}
	}
}

// TestAShapeKnowsTheNumberThatCountsTheEvents covers a number behind the content, and one before it, for which there is
// no shape.
func TestAShapeKnowsTheNumberThatCountsTheEvents(t *testing.T) {
	var s shapes
	text := `{"a":"x","n":9,"b":1}`
	counter := span{told: true, start: 13, end: 14}
	s.learn([]byte("delta"), []byte(text), inside(6, 7), counter)
	for data, want := range map[string]bool{
		text: true, `{"a":"y","n":10,"b":1}`: true, `{"a":"y","n":0,"b":1}`: true,
		`{"a":"y","n":00,"b":1}`: false, `{"a":"y","n":01,"b":1}`: false, `{"a":"y","n":,"b":1}`: false, `{"a":"y","n":-1,"b":1}`: false,
		`{"a":"y","n":1.5,"b":1}`: false, `{"a":"y","n":10,"b":2}`: false, `{"a":"","n":10,"b":1}`: false, `{"a":"y","n":10`: false,
	} {
		if got := s.matchData([]byte("delta"), []byte(data)); got != want {
			t.Errorf("%q: got %t, want %t", data, got, want)
		}
		event := "event: delta\ndata: " + data + "\n\n"
		if n := s.match([]byte(event + "more")); (n == len(event)) != want || !want && n != 0 {
			t.Errorf("%q as an event: got a length of %d", data, n)
		}
	}
	var none shapes
	if none.learn(nil, []byte(`{"n":9,"a":"x"}`), inside(12, 13), span{told: true, start: 5, end: 6}); none.n != 0 {
		t.Error("learned a shape whose number comes before its content")
	}
}

// TestAnEndpointIsARowAndASchema reads a dialect that has types, names of its own and an event that ends the stream.
func TestAnEndpointIsARowAndASchema(t *testing.T) {
	e := Endpoint{Operation: "x", last: []string{"stop"}, event: &node[answer]{members: []member[answer]{
		{"type", &node[answer]{on: func(a *answer, v *visit) { a.kind.read(v) }}},
		{"delta", &node[answer]{members: []member[answer]{{"text", &node[answer]{on: func(a *answer, v *visit) {
			if a.content = v.nonEmptyString(); a.content {
				a.vary(v)
			}
		}}}}}},
		{"usage", &node[answer]{on: (*answer).readUsage, members: []member[answer]{
			{"output_tokens", countNode(func(u *tokenCounts) *tally { return &u.output })},
		}}},
	}}}
	delta := func(text string) string {
		return "event: delta\ndata: {\"type\":\"delta\",\"delta\":{\"text\":\"" + text + "\"}}\n\n"
	}
	body := delta("a") + delta("") + delta("b") + "event: stop\ndata: {\"type\":\"stop\",\"usage\":{\"output_tokens\":3}}\n\n" + delta("late")
	for _, pieces := range [][][]byte{{[]byte(body)}, cuts([]byte(body), 1)} {
		r := e.NewResponseReader()
		r.Header(200, eventStream)
		var got Seen
		for _, p := range pieces {
			s := r.Write(p)
			got.Events += s.Events
			got.Contents += s.Contents
		}
		f := r.Facts()
		if got != (Seen{Events: 4, Contents: 2}) || f.Contents != 2 || !f.Done || f.Usage.Output != known(3) {
			t.Errorf("got %+v %+v, want 4 events, 2 contents, 3 tokens, done", got, f)
		}
	}
}
