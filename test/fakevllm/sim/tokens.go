package sim

import (
	"encoding/json"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"
)

// The tokens of the simulated model's chat template.
const (
	tokenBegin uint32 = iota
	tokenEnd          // ends an answer; it is counted and has no text
	tokenRole
	tokenTurnEnd
	tokenNewline
	tokenAssistant
	firstTextToken
)

// bytesPerToken is the rule by which the engine counts text: one token for every 4 bytes, or part of them.
const bytesPerToken = 4

// CountTokens returns how many tokens the engine makes of a text: one for every 4 bytes or part of them. A completion's
// prompt has one token more, for the beginning; a chat has two more, for the beginning and for the assistant's turn,
// and three more for each message. Tools are counted as the text of their JSON.
func CountTokens(text string) int { return (len(text) + bytesPerToken - 1) / bytesPerToken }

// appendText appends the tokens of text: equal pieces are equal tokens.
func appendText(tokens []uint32, text string) []uint32 {
	for len(text) > 0 {
		piece := text[:min(bytesPerToken, len(text))]
		text = text[len(piece):]
		tokens = append(tokens, textToken(piece))
	}
	return tokens
}

func textToken(piece string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(piece)) // never fails
	return firstTextToken + h.Sum32()%128000
}

// A piece is one token of an answer.
type piece struct {
	id   uint32
	text string
	end  bool // the model ends its answer here
}

// author makes an answer, token by token. The same seed makes the same answer.
type author struct {
	rng       *rand.Rand
	script    string // what to say, if it is known beforehand
	scripted  bool
	length    int // tokens after which an answer without a script ends by itself; < 0: never
	said      int
	reasoning int // how many tokens at the start are thoughts
	sentence  int // words since the last full stop
}

func newAuthor(seed uint64, prompt []uint32, choice, mean int) *author {
	h := fnv.New64a()
	var b [4]byte
	for _, t := range prompt {
		b[0], b[1], b[2], b[3] = byte(t), byte(t>>8), byte(t>>16), byte(t>>24)
		h.Write(b[:]) // never fails
	}
	rng := rand.New(rand.NewPCG(seed, h.Sum64()+uint64(choice)))
	return &author{rng: rng, length: mean/2 + rng.IntN(mean+1)}
}

// next returns the next token.
func (a *author) next() piece {
	defer func() { a.said++ }()
	if a.scripted {
		if a.script == "" {
			return piece{id: tokenEnd, end: true}
		}
		n := min(bytesPerToken, len(a.script))
		for n < len(a.script) && !utf8.RuneStart(a.script[n]) {
			n++ // a character stays whole
		}
		text := a.script[:n]
		a.script = a.script[len(text):]
		return piece{id: textToken(text), text: text}
	}
	if a.length >= 0 && a.said >= a.length {
		return piece{id: tokenEnd, end: true}
	}
	text := a.word()
	return piece{id: textToken(text), text: text}
}

// word returns one word or full stop of a text about nothing.
func (a *author) word() string {
	if a.sentence >= 6 && a.rng.IntN(6) == 0 {
		a.sentence = 0
		return "."
	}
	w := words[a.rng.IntN(len(words))]
	if a.sentence == 0 {
		w = strings.ToUpper(w[:1]) + w[1:]
	}
	a.sentence++
	if a.said == 0 || a.said == a.reasoning {
		return w
	}
	return " " + w
}

var words = strings.Fields(`the a this each one every request model token batch queue cache block answer prompt engine step
	server client stream gap word time line list number and or but then so while because until after before with without
	of for to from in on over under is was waits runs ends starts holds takes gives keeps reads writes counts moves grows
	slow fast long short small large new old first last next free full open ready same other only still often never`)

// example returns JSON that fits a JSON schema, as far as the schema's types and enumerations say. It is what the
// model answers when it is asked for JSON or calls a tool.
func example(schema json.RawMessage, rng *rand.Rand, depth int) any {
	var s struct {
		Type       string                     `json:"type"`
		Enum       []any                      `json:"enum"`
		Properties map[string]json.RawMessage `json:"properties"`
		Items      json.RawMessage            `json:"items"`
	}
	if json.Unmarshal(schema, &s) != nil || depth > 8 {
		return nil
	}
	switch {
	case len(s.Enum) > 0:
		return s.Enum[rng.IntN(len(s.Enum))]
	case s.Type == "object" || s.Properties != nil:
		object := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) { // in order, so that rng gives the same again
			object[name] = example(s.Properties[name], rng, depth+1)
		}
		return object
	case s.Type == "array":
		return []any{example(s.Items, rng, depth+1)}
	case s.Type == "integer", s.Type == "number":
		return rng.IntN(10)
	case s.Type == "boolean":
		return rng.IntN(2) == 1
	case s.Type == "string":
		return words[rng.IntN(len(words))]
	}
	return nil
}
