package wire

// Tokens in, tokens out: POST /inference/v1/generate. Its parameters are in sampling_params, and an event is content if
// it has tokens.

var generateRequest = requestSchema(streamParameters, []member[Request]{
	{"sampling_params", &node[Request]{members: samplingParameters}},
})

var generateBody = answerSchema(generationUsage, choicesOf(nil), requestID)

var generateEvent = answerSchema(generationUsage, choicesOf([]member[answer]{
	{"token_ids", &node[answer]{on: (*answer).readTokens}},
}), requestID)

// requestID is what an answer calls its id.
var requestID = []member[answer]{{"request_id", idNode}}

func (a *answer) readTokens(v *visit) {
	a.choice.content &^= contentText
	if v.kind == kindArray && v.closing && !v.empty {
		a.choice.content |= contentText
	}
}
