package wire

// Anthropic's Messages API: POST /v1/messages and /v1/messages/count_tokens. Its events are typed, an error is an event
// of the type error, and message_stop is the end.

var messagesRequest = requestSchema(streamParameters, samplingParameters, []member[Request]{
	{"stop_sequences", stopSequences},
	{"output_config", &node[Request]{
		on: func(r *Request, v *visit) {
			if !v.closing {
				r.OutputType, r.ReasoningEffort = "", ""
			}
		},
		members: []member[Request]{
			{"effort", &node[Request]{on: func(r *Request, v *visit) { v.textInto(&r.ReasoningEffort) }}},
			{"format", responseFormat},
		},
	}},
})

var messagesLast = []string{"message_stop"}

var messagesBody = atEndOf(answerSchema(messageMembers), (*answer).endMessage)

var messagesEvent = atEndOf(answerSchema(messageMembers, []member[answer]{
	{"message", &node[answer]{on: (*answer).readMessage, members: append(startMembers, namedMembers...)}},
	{"delta", partNode(contentText|contentReasoning|contentFunctionArguments,
		member[answer]{"text", textNode(contentText)},
		member[answer]{"thinking", textNode(contentReasoning)},
		member[answer]{"partial_json", textNode(contentFunctionArguments)},
		member[answer]{"stop_reason", stopReasonNode},
	)},
}), func(a *answer) {
	a.content = a.choice.content != 0 && a.kind.value() == "content_block_delta"
	a.endMessage()
})

// countTokensBody says how many tokens a prompt has.
var countTokensBody = answerSchema([]member[answer]{{"input_tokens", countNode(func(u *tokenCounts) *tally { return &u.input })}})

// messageMembers are what a whole message and the end of a streamed one tell.
var messageMembers = []member[answer]{
	{"stop_reason", stopReasonNode},
	{"usage", &node[answer]{on: (*answer).readMessageUsage, members: append(messageInput,
		member[answer]{"output_tokens", countNode(func(u *tokenCounts) *tally { return &u.output })},
	)}},
}

// startMembers are what the start of a streamed message tells. Its output_tokens only say that there are none yet: of a
// stream that is cut they would be wrong.
var startMembers = []member[answer]{
	{"usage", &node[answer]{on: (*answer).readMessageUsage, members: messageInput}},
}

var messageInput = []member[answer]{
	{"input_tokens", countNode(func(u *tokenCounts) *tally { return &u.input })},
	{"cache_read_input_tokens", countNode(func(u *tokenCounts) *tally { return &u.cached })},
	{"cache_creation_input_tokens", countNode(func(u *tokenCounts) *tally { return &u.cacheWrite })},
}

var stopReasonNode = &node[answer]{on: (*answer).readFinishReason}

// readMessage begins the message of an event. Of several the last counts.
func (a *answer) readMessage(v *visit) {
	if v.closing {
		return
	}
	a.id.told, a.model.told = false, false
	a.usage, a.timings, a.failure = tokenCounts{}, timings{}, failure{}
}

// readMessageUsage makes the input what the conventions say it is, all of the prompt: in this API it is what the cache
// neither had nor took in. Of counts that are not all known there is no sum.
func (a *answer) readMessageUsage(v *visit) {
	u := &a.usage
	switch {
	case !v.closing:
		a.readUsage(v)
	case !u.input.Known:
	case u.cached.invalid || u.cacheWrite.invalid:
		u.input = tally{}
	default:
		u.input.Value += u.cached.Value + u.cacheWrite.Value
		if u.input.Value > maxCount {
			u.input = tally{invalid: true}
		}
	}
}

// endMessage makes the stop reason the finish reason of the only choice that there is.
func (a *answer) endMessage() {
	switch a.kind.value() {
	case "message", "message_start", "message_delta":
		a.choices = append(a.choices[:0], choice{reason: a.choice.reason})
	}
}
