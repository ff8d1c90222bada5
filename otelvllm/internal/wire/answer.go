package wire

import "slices"

// answer is what one JSON text of the engine told: an event's data, or the body of an answer in one piece. It counts
// once the text turned out to be valid.
type answer struct {
	id, model word
	kind      word // type: what sort of event it is, in the dialects that have several

	usage   tokenCounts
	timings timings

	choices   []choice // of this text, at most maxChoices
	choice    choice   // the one being read
	position  int64    // its place in the array; -1 before the first
	lists     int      // how many arrays of choices there are
	noChoices bool     // the last of them is empty
	usageTold bool     // there is a usage object

	content bool // there is text, or a piece of a tool call, or sound
	varying int  // strings that differ from event to event
	varied  span // where the last of them stands
	counter span // where the number stands that counts the events

	response response // only that of a Responses event or body

	failure failure // error, or what it was in old versions: the text itself
	flat    failure

	fingerprint span  // system_fingerprint; only a Restorer reads it
	end         int64 // of the object that the text is; only a Restorer reads it
}

// word is a string that outlives the text, so that the same one needs no memory again in the next.
type word struct {
	text string
	told bool // by this text
}

func (w *word) read(v *visit) {
	v.textInto(&w.text)
	w.told = w.text != ""
}

// value returns the word if this text told it, and "" otherwise.
func (w *word) value() string {
	if !w.told {
		return ""
	}
	return w.text
}

// span is where a member's value stands.
type span struct {
	told, text bool // it is there; it is a string
	start, end int64
}

// choice is one of the answers to a request for several.
type choice struct {
	index   int64
	reason  string  // why it ended; "" if it did not yet
	content content // what this text brings of it
}

// content is a set of the kinds of content that a choice may bring.
type content uint16

const (
	contentText content = 1 << iota
	contentReasoning
	contentOldReasoning
	contentRefusal
	contentToolCall
	contentFunctionName
	contentFunctionArguments
	contentSound
	contentTranscript
)

// failure is an error as the engine told it.
type failure struct {
	told        bool
	code, class string
}

// maxChoices is how many choices are told apart; an answer with more of them is an attack.
const maxChoices = 128

// reset forgets the last text.
func (a *answer) reset() {
	*a = answer{
		id: word{text: a.id.text}, model: word{text: a.model.text}, kind: word{text: a.kind.text},
		choices: a.choices[:0], position: -1,
	}
}

// namedMembers are what an answer says of itself, whatever object of its dialect it is in.
var namedMembers = []member[answer]{
	{"id", idNode},
	{"model", &node[answer]{on: func(a *answer, v *visit) { a.model.read(v) }}},
	{"metrics", metricsNode},
	{"error", &node[answer]{on: (*answer).readError, members: []member[answer]{
		{"code", &node[answer]{on: func(a *answer, v *visit) { a.failure.readCode(v) }}},
		{"type", &node[answer]{on: func(a *answer, v *visit) { a.failure.class = v.text() }}},
	}}},
}

var idNode = &node[answer]{on: func(a *answer, v *visit) { a.id.read(v) }}

// answerSchema puts members of an endpoint's answers beside those that all of them have.
func answerSchema(groups ...[]member[answer]) *node[answer] {
	members := slices.Concat(namedMembers, []member[answer]{
		{"object", &node[answer]{on: func(a *answer, v *visit) { a.flat.told = v.kind == kindString && string(v.raw) == "error" }}},
		{"code", &node[answer]{on: func(a *answer, v *visit) { a.flat.readCode(v) }}},
		{"type", &node[answer]{on: func(a *answer, v *visit) { a.kind.read(v) }}},
	})
	for _, group := range groups {
		members = append(members, group...)
	}
	return &node[answer]{members: members}
}

// atEndOf has f called when the whole text that n describes has been read.
func atEndOf(n *node[answer], f func(*answer)) *node[answer] {
	n.on = func(a *answer, v *visit) {
		if v.closing {
			f(a)
		}
	}
	return n
}

// readError takes the member error: an object, or a string as from vLLM's check of the API key. The errors of vLLM up
// to 0.10.0 have no such member: what is in it there stands at the top, beside "object":"error".
func (a *answer) readError(v *visit) {
	if !v.closing {
		a.failure = failure{told: v.kind != kindNull && v.kind != kindFalse}
	}
}

// readCode takes a code, which is a number from vLLM's server in Python and a word from the one in Rust.
func (f *failure) readCode(v *visit) {
	f.code = ""
	if v.kind == kindNumber {
		f.code = string(v.raw)
	} else {
		f.code = v.text()
	}
}

// failed returns the error that the text told, or nil. must says that the text is an error whatever it holds, as the
// body of an answer with an error status is.
func (a *answer) failed(must bool) *Error {
	f := a.failure
	if !f.told {
		f = a.flat
		f.class = a.kind.value()
	}
	switch {
	case !f.told && !must:
		return nil
	case f.code != "":
		return &Error{Code: f.code}
	case f.class != "":
		return &Error{Code: f.class}
	}
	return &Error{Code: engineError}
}

// choicesOf returns the member choices, with what is of interest in each beside index and finish_reason.
func choicesOf(members []member[answer]) []member[answer] {
	members = append([]member[answer]{
		{"index", &node[answer]{on: (*answer).readIndex}},
		{"finish_reason", &node[answer]{on: (*answer).readFinishReason}},
	}, members...)
	return []member[answer]{{"choices", &node[answer]{
		on:      (*answer).readChoices,
		element: &node[answer]{on: (*answer).readChoice, members: members},
	}}}
}

func (a *answer) readChoices(v *visit) {
	if v.closing {
		a.noChoices = v.empty && v.kind == kindArray
		return
	}
	a.choices, a.position, a.noChoices = a.choices[:0], -1, false
	a.content, a.varying = false, 0
	a.lists++
}

func (a *answer) readChoice(v *visit) {
	switch {
	case !v.closing:
		a.position++
		a.choice = choice{index: a.position}
	case v.kind == kindObject:
		a.content = a.content || a.choice.content != 0
		if len(a.choices) < maxChoices {
			a.choices = append(a.choices, a.choice)
		}
	}
}

// readIndex takes a choice's index. One that is no number leaves the choice its place in the array.
func (a *answer) readIndex(v *visit) {
	a.choice.index = a.position
	if n := v.integer(); n.Known {
		a.choice.index = n.Value
	}
}

func (a *answer) readFinishReason(v *visit) { a.choice.reason = reason(v) }

// reason returns a finish reason. The usual ones need no memory of their own.
func reason(v *visit) string {
	if v.kind != kindString {
		return ""
	}
	switch string(v.raw) {
	case "stop":
		return "stop"
	case "length":
		return "length"
	case "tool_calls":
		return "tool_calls"
	}
	return v.text()
}

// textNode is a string that is content of a kind unless it is empty.
func textNode(kind content) *node[answer] {
	return &node[answer]{on: func(a *answer, v *visit) {
		a.choice.content &^= kind
		if v.nonEmptyString() {
			a.choice.content |= kind
			a.vary(v)
		}
	}}
}

// partNode is an object that brings content of some kinds.
func partNode(kinds content, members ...member[answer]) *node[answer] {
	return &node[answer]{members: members, on: func(a *answer, v *visit) {
		if !v.closing {
			a.choice.content &^= kinds
		}
	}}
}

// varyingNode is a string that differs from event to event, but does not make it content.
var varyingNode = &node[answer]{on: func(a *answer, v *visit) {
	if v.nonEmptyString() {
		a.vary(v)
	}
}}

func (a *answer) vary(v *visit) {
	a.varying++
	a.varied = span{start: v.start, end: v.end}
}

// onlyContent reports whether the text told nothing but content, which lies in one string: then a text that differs in
// that string alone tells the same.
func (a *answer) onlyContent() bool {
	if !a.content || a.varying != 1 || a.usage != (tokenCounts{}) || a.timings != (timings{}) {
		return false
	}
	for _, c := range a.choices {
		if c.reason != "" {
			return false
		}
	}
	return a.failed(false) == nil
}
