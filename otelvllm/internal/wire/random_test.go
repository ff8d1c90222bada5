package wire

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// textMaker makes events that are valid JSON, or nearly, and hold what vLLM sends and what it should not: members
// twice, of the wrong type, with escaped names, out of order.
type textMaker struct{ *rand.Rand }

func (m textMaker) one(of ...string) string { return of[m.IntN(len(of))] }

func (m textMaker) members(most int, of ...func() string) string {
	var parts []string
	for range m.IntN(most + 1) {
		parts = append(parts, of[m.IntN(len(of))]())
	}
	return "{" + strings.Join(parts, m.one(",", ",", ",", " ,\t")) + "}"
}

func (m textMaker) scalar() string {
	return m.one(`null`, `true`, `false`, `0`, `7`, `12`, `-1`, `-0`, `1.5`, `1e3`, `9007199254740993`, `""`, `"7"`, `"a"`, `"error"`,
		`"\u0061\n"`, `"é"`, `"\ud800"`, `[]`, `{}`, `[1,{"a":[]}]`, `"[DONE]"`)
}

func (m textMaker) member(name string, value func() string) func() string {
	return func() string {
		v := value
		if m.IntN(8) == 0 {
			v = m.scalar
		}
		if m.IntN(20) == 0 {
			name = m.one(strings.ToUpper(name), `\u00`+"63"+name, name[:len(name)-1])
		}
		return `"` + name + `":` + m.one("", "", " ") + v()
	}
}

func (m textMaker) text() string { return m.one(`"a"`, `"a"`, `"b\\"`, `"\""`, `"é"`, `""`, `null`) }

func (m textMaker) count() string { return m.one(`0`, `1`, `12`, `512`) }

func (m textMaker) delta() string {
	calls := func() string {
		return m.one(`[]`, `[{"function":{"arguments":`+m.text()+`}}]`, `[{"function":{"name":"f","arguments":`+m.text()+`}}]`, `[1]`)
	}
	return m.members(2,
		m.member("content", m.text), m.member("content", m.text), m.member("reasoning", m.text), m.member("reasoning_content", m.text),
		m.member("refusal", m.text), m.member("tool_calls", calls),
		m.member("function_call", func() string { return m.members(2, m.member("name", m.text), m.member("arguments", m.text)) }),
		m.member("audio", func() string { return m.members(2, m.member("data", m.text), m.member("transcript", m.text)) }),
		m.member("role", m.scalar))
}

func (m textMaker) choices() string {
	var list []string
	for range m.IntN(3) {
		choice := m.members(4, m.member("index", m.count), m.member("delta", m.delta), m.member("text", m.text),
			m.member("finish_reason", func() string { return m.one(`null`, `null`, `"stop"`, `"length"`, `"abort"`) }))
		if m.IntN(10) == 0 {
			choice = m.scalar()
		}
		list = append(list, choice)
	}
	return "[" + strings.Join(list, ",") + "]"
}

func (m textMaker) usage() string {
	return m.members(4, m.member("prompt_tokens", m.count), m.member("completion_tokens", m.count),
		m.member("prompt_tokens_details", func() string {
			return m.members(2, m.member("cached_tokens", m.count), m.member("created_cache_tokens", m.count))
		}),
		m.member("completion_tokens_details", func() string { return m.members(1, m.member("reasoning_tokens", m.count)) }))
}

func (m textMaker) document() string {
	failure := func() string { return m.members(3, m.member("code", m.scalar), m.member("type", m.scalar)) }
	metrics := func() string {
		return m.members(3, m.member("queue_time_ms", m.count), m.member("time_to_first_token_ms", m.count), m.member("generation_time_ms", m.count))
	}
	if m.IntN(2) == 0 { // the usual
		return `{"id":"c","choices":[{"index":` + m.one("0", "1") + `,"delta":{"content":` + m.text() + `}}]}`
	}
	doc := m.members(5, m.member("choices", m.choices), m.member("choices", m.choices), m.member("usage", m.usage), m.member("id", m.text),
		m.member("model", m.text), m.member("metrics", metrics), m.member("object", m.scalar), m.member("code", m.scalar),
		func() string {
			if m.IntN(6) > 0 {
				return `"created":1`
			}
			return m.member("error", failure)()
		})
	if m.IntN(15) == 0 {
		at := m.IntN(len(doc))
		return doc[:at] + m.one("", "\x00", `"`, `\`, "}", "[") + doc[min(len(doc), at+m.IntN(2)):]
	}
	return doc
}

func (m textMaker) stream() string {
	var b strings.Builder
	for range m.IntN(6) + 1 {
		b.WriteString(m.one("", "", "", ": ping\n\n", "id: 1\n", "event: error\n"))
		b.WriteString(m.one("data: ", "data: ", "data:") + m.document() + m.one("\n\n", "\n\n", "\r\n\r\n", "\r\r", "\n"))
	}
	return b.String() + m.one("", "data: [DONE]\n\n", "data: [DONE]\n\n"+events(finishEvent))
}

// TestRandomAnswersReadAsWithEncodingJSON makes streams and bodies and reads them both ways, whole and in pieces.
func TestRandomAnswersReadAsWithEncodingJSON(t *testing.T) {
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	valid, contents := 0, int64(0)
	for seed := range rounds {
		m := textMaker{rand.New(rand.NewPCG(uint64(seed), 1))}
		path := m.one(chatPath, chatPath, completionPath)
		body := []byte(m.stream())
		wantSeen, want := referenceStream(path, body)
		n := 1 + m.IntN(50)
		for how, pieces := range map[string][][]byte{
			"whole": {body}, "in pieces": cuts(body, n), "line by line": bytes.SplitAfter(body, []byte("\n")),
			"event by event": bytes.SplitAfter(body, []byte("\n\n")),
		} {
			seen, got := answerOf(path, 200, eventStream, pieces...)
			if seen != wantSeen || !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, %s (%d bytes):\n%s\n got %+v %+v\nwant %+v %+v", seed, how, n, body, seen, got, wantSeen, want)
			}
		}
		contents += want.Contents
		body = []byte(m.document())
		path = m.one(chatPath, completionPath, embeddingPath)
		if want = referenceBody(path, body); want.Invalid == 0 {
			valid++
		}
		for _, n := range []int{0, 1 + m.IntN(50)} {
			if _, got := answerOf(path, 200, jsonBody, cuts(body, n)...); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, in pieces of %d bytes:\n%s\n got %+v\nwant %+v", seed, n, body, got, want)
			}
		}
	}
	if valid < rounds/4 || contents < int64(rounds)/2 {
		t.Errorf("got %d valid bodies and %d events with content of %d rounds: the test sees too little", valid, contents, rounds)
	}
}
