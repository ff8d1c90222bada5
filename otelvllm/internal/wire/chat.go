package wire

// Chat completions: POST /v1/chat/completions.

var chatRequest = requestSchema(samplingParameters, []member[Request]{
	{"max_completion_tokens", &node[Request]{on: (*Request).readMaxCompletionTokens}},
	{"reasoning_effort", &node[Request]{on: func(r *Request, v *visit) { v.textInto(&r.ReasoningEffort) }}},
})

var chatBody = answerSchema(generationUsage, choicesOf(nil))

var chatEvent = answerSchema(generationUsage, choicesOf(chatDelta))

// chatDelta is what of a choice a chat's event may bring.
var chatDelta = []member[answer]{
	{"delta", &node[answer]{members: []member[answer]{
		{"content", textNode},
		{"reasoning", textNode},
		{"reasoning_content", textNode}, // the name before vLLM 0.11.1, sent beside the new one until 0.15
		{"refusal", textNode},
		{"tool_calls", &node[answer]{on: (*answer).readToolCalls, element: &node[answer]{members: functionMembers}}},
		{"function_call", &node[answer]{members: []member[answer]{{"name", textNode}, {"arguments", textNode}}}},
		{"audio", &node[answer]{members: []member[answer]{{"data", textNode}, {"transcript", textNode}}}},
	}}},
}

// functionMembers are what varies from piece to piece of one tool call.
var functionMembers = []member[answer]{
	{"function", &node[answer]{members: []member[answer]{
		{"name", varyingNode},
		{"arguments", varyingNode},
	}}},
}

// readToolCalls takes the pieces of tool calls. Each is content, whatever it holds: the name comes first, and only
// then arguments.
func (a *answer) readToolCalls(v *visit) {
	if v.closing && !v.empty {
		a.content = true
	}
}
