package wire

// Cohere's API, version 2: POST /cohere/v2/chat, /v2/chat and /v2/embed; its /v2/rerank is vLLM's own. Its events have
// their type in the data alone. An error in a stream is a message-end with a member error, of which vLLM tells the text
// and no code.

var cohereRequest = requestSchema(streamParameters, samplingParameters, []member[Request]{
	{"k", requestInt(func(r *Request) *Int { return &r.TopK })},
	{"p", requestFloat(func(r *Request) *Float { return &r.TopP })},
	{"stop_sequences", stopSequences},
})

var cohereEmbedRequest = requestSchema([]member[Request]{
	{"output_dimension", requestInt(func(r *Request) *Int { return &r.Dimensions })},
	{"embedding_types", &node[Request]{on: (*Request).readEncodingFormat, element: &node[Request]{on: (*Request).addEncodingFormat}}},
})

var cohereLast = []string{"message-end"}

var cohereBody = atEndOf(answerSchema(cohereEnd), (*answer).endCohere)

var cohereEvent = atEndOf(answerSchema([]member[answer]{
	{"delta", partNode(^content(0), append([]member[answer]{
		{"error", &node[answer]{on: (*answer).readError}},
		{"message", partNode(^content(0),
			member[answer]{"tool_plan", textNode(contentReasoning)},
			member[answer]{"content", partNode(contentText|contentOldReasoning,
				member[answer]{"text", textNode(contentText)},
				member[answer]{"thinking", textNode(contentOldReasoning)},
			)},
			member[answer]{"tool_calls", partNode(contentFunctionName|contentFunctionArguments,
				member[answer]{"function", partNode(contentFunctionName|contentFunctionArguments,
					member[answer]{"name", textNode(contentFunctionName)},
					member[answer]{"arguments", textNode(contentFunctionArguments)},
				)},
			)},
		)},
	}, cohereEnd...)...)},
}), func(a *answer) {
	a.content = a.choice.content != 0
	a.endCohere()
})

// cohereEnd is what an answer says at its end, in one piece or streamed.
var cohereEnd = []member[answer]{
	{"finish_reason", &node[answer]{on: (*answer).readFinishReason}},
	{"usage", &node[answer]{on: (*answer).readUsage, members: []member[answer]{
		{"tokens", &node[answer]{
			on: func(a *answer, v *visit) {
				if !v.closing {
					a.usage.input, a.usage.output = tally{}, tally{}
				}
			},
			members: []member[answer]{
				{"input_tokens", floatCountNode(func(u *tokenCounts) *tally { return &u.input })},
				{"output_tokens", floatCountNode(func(u *tokenCounts) *tally { return &u.output })},
			},
		}},
		{"cached_tokens", floatCountNode(func(u *tokenCounts) *tally { return &u.cached })},
	}}},
}

// cohereInput is where an embedding's answer tells the tokens of its texts: vLLM 0.32 in the one, later ones in the
// other.
var cohereInput = &node[answer]{members: []member[answer]{
	{"input_tokens", floatCountNode(func(u *tokenCounts) *tally { return &u.input })},
}}

var cohereEmbedBody = answerSchema([]member[answer]{
	{"meta", &node[answer]{
		on: func(a *answer, v *visit) {
			if !v.closing {
				a.usage = tokenCounts{}
			}
		},
		members: []member[answer]{{"billed_units", cohereInput}, {"tokens", cohereInput}},
	}},
})

// endCohere makes the finish reason that of the only choice that there is.
func (a *answer) endCohere() {
	if a.content || a.choice.reason != "" || a.kind.value() == "message-start" {
		a.choices = append(a.choices[:0], choice{reason: a.choice.reason})
	}
}

// addEncodingFormat takes one of several formats.
func (r *Request) addEncodingFormat(v *visit) {
	if format := v.text(); format != "" && len(r.EncodingFormats) < maxStop {
		r.EncodingFormats = append(r.EncodingFormats, format)
	}
}
