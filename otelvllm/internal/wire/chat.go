package wire

// Chat completions: POST /v1/chat/completions, and /v1/chat/completions/batch, where each conversation makes a choice and
// nothing is streamed.

var chatRequest = requestSchema(streamParameters, samplingParameters, chatParameters)

// chatParameters are those that only a chat has.
var chatParameters = []member[Request]{
	{"max_completion_tokens", &node[Request]{on: (*Request).readMaxCompletionTokens}},
	{"reasoning_effort", &node[Request]{on: func(r *Request, v *visit) { v.textInto(&r.ReasoningEffort) }}},
}

var chatBody = answerSchema(generationUsage, choicesOf(nil))

var chatEvent = answerSchema(generationUsage, choicesOf(chatDelta))

// chatDelta is what of a choice a chat's event may bring. vLLM up to 0.11.0 calls reasoning reasoning_content, and up
// to 0.15 it sends both.
var chatDelta = []member[answer]{
	{"delta", partNode(^content(0),
		member[answer]{"content", textNode(contentText)},
		member[answer]{"reasoning", textNode(contentReasoning)},
		member[answer]{"reasoning_content", textNode(contentOldReasoning)},
		member[answer]{"refusal", textNode(contentRefusal)},
		member[answer]{"tool_calls", &node[answer]{on: (*answer).readToolCalls, element: &node[answer]{members: toolCall}}},
		member[answer]{"function_call", partNode(contentFunctionName|contentFunctionArguments,
			member[answer]{"name", textNode(contentFunctionName)},
			member[answer]{"arguments", textNode(contentFunctionArguments)},
		)},
		member[answer]{"audio", partNode(contentSound|contentTranscript,
			member[answer]{"data", textNode(contentSound)},
			member[answer]{"transcript", textNode(contentTranscript)},
		)},
	)},
}

// toolCall is what varies from piece to piece of one tool call.
var toolCall = []member[answer]{
	{"function", &node[answer]{members: []member[answer]{{"name", varyingNode}, {"arguments", varyingNode}}}},
}

// readToolCalls takes the pieces of tool calls. Each is content, whatever it holds: the name comes first, and only
// then arguments.
func (a *answer) readToolCalls(v *visit) {
	a.choice.content &^= contentToolCall
	if v.kind == kindArray && v.closing && !v.empty {
		a.choice.content |= contentToolCall
	}
}
