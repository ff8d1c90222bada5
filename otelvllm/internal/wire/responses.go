package wire

import "strings"

// The Responses API: POST /v1/responses. Its events are typed and numbered; the last one repeats the whole answer and
// alone tells usage. There is no [DONE], and a stream whose engine dies is cut without a word.

var responsesRequest = requestSchema(streamParameters, samplingParameters, []member[Request]{
	{"max_output_tokens", requestInt(func(r *Request) *Int { return &r.MaxTokens })},
	{"previous_response_id", &node[Request]{on: func(r *Request, v *visit) { v.textInto(&r.PreviousResponseID) }}},
	{"reasoning", &node[Request]{
		on: func(r *Request, v *visit) {
			if !v.closing {
				r.ReasoningEffort = ""
			}
		},
		members: []member[Request]{{"effort", &node[Request]{on: func(r *Request, v *visit) { v.textInto(&r.ReasoningEffort) }}}},
	}},
	{"text", &node[Request]{on: (*Request).forgetOutputType, members: []member[Request]{{"format", responseFormat}}}},
})

// maxWholeAnswer is the most bytes of an event that repeats a whole answer.
const maxWholeAnswer = 4 << 20

// responsesLast are the types of the events that end a stream. vLLM sends response.completed also for an answer that was
// cut; the others are the API's.
var responsesLast = []string{"response.completed", "response.incomplete", "response.failed"}

// response is what a response object tells apart from what all answers have.
type response struct {
	told       bool
	status     string
	incomplete string // why the answer is not whole
}

var responsesBody = atEndOf(answerSchema(responseMembers), func(a *answer) {
	a.response.told = true
	a.endResponse()
})

var responsesEvent = atEndOf(answerSchema([]member[answer]{
	{"delta", textNode(contentText)},
	{"sequence_number", &node[answer]{on: (*answer).readCounter}},
	{"response", &node[answer]{on: (*answer).readResponse, members: append(responseMembers, namedMembers...)}},
}), func(a *answer) {
	a.content = a.choice.content != 0 && strings.HasSuffix(a.kind.value(), ".delta")
	a.endResponse()
})

// responseMembers are the members of a response object.
var responseMembers = []member[answer]{
	{"status", &node[answer]{on: func(a *answer, v *visit) { a.response.status = v.text() }}},
	{"incomplete_details", &node[answer]{
		on: func(a *answer, v *visit) {
			if !v.closing {
				a.response.incomplete = ""
			}
		},
		members: []member[answer]{{"reason", &node[answer]{on: func(a *answer, v *visit) { a.response.incomplete = v.text() }}}},
	}},
	{"usage", &node[answer]{on: (*answer).readUsage, members: []member[answer]{
		{"input_tokens", countNode(func(u *tokenCounts) *tally { return &u.input })},
		{"input_tokens_details", &node[answer]{on: (*answer).forgetInputDetails, members: []member[answer]{
			{"cached_tokens", countNode(func(u *tokenCounts) *tally { return &u.cached })},
			{"cache_write_tokens", countNode(func(u *tokenCounts) *tally { return &u.cacheWrite })},
		}}},
		{"output_tokens", countNode(func(u *tokenCounts) *tally { return &u.output })},
		{"output_tokens_details", &node[answer]{on: (*answer).forgetOutputDetails, members: []member[answer]{
			{"reasoning_tokens", countNode(func(u *tokenCounts) *tally { return &u.reasoning })},
		}}},
	}}},
}

// readResponse begins the response object of an event. Of several the last counts.
func (a *answer) readResponse(v *visit) {
	if v.closing {
		return
	}
	a.response = response{told: v.kind == kindObject}
	a.id.told, a.model.told = false, false
	a.usage, a.timings, a.failure = tokenCounts{}, timings{}, failure{}
}

// readCounter notes where the number stands that differs from event to event.
func (a *answer) readCounter(v *visit) {
	a.counter = span{told: v.kind == kindNumber, start: v.start, end: v.end}
}

// endResponse makes a response's status the finish reason of the only choice that there is.
func (a *answer) endResponse() {
	r := &a.response
	if !r.told {
		return
	}
	c := choice{reason: r.incomplete}
	if c.reason == "" && r.status != "queued" && r.status != "in_progress" {
		c.reason = r.status
	}
	a.choices = append(a.choices[:0], c)
}
