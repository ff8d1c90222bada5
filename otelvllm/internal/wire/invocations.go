package wire

// SageMaker's endpoint: POST /invocations. vLLM looks at the body and answers as the endpoint does whose body it is, so a
// reader has to know them all: the request's tells the operation by its members, and the answer's is read by what it
// has.

var invocationRequest = requestSchema(streamParameters, samplingParameters, chatParameters, embeddingParameters, []member[Request]{
	{"messages", asksNode(asksMessages)},
	{"prompt", asksNode(asksPrompt)},
	{"input", asksNode(asksInput)},
	{"task", asksNode(asksTask)},
	{"query", asksNode(asksQuery)},
	{"documents", asksNode(asksDocuments)},
	{"text_1", asksNode(asksPair)},
	{"text_2", asksNode(asksPair)},
	{"queries", asksNode(asksPair)},
})

var (
	invocationBody  = atEndOf(answerSchema(generationUsage, choicesOf(nil)), (*answer).endInvocation)
	invocationEvent = answerSchema(generationUsage, choicesOf(append(chatDelta, completionText...)))
)

// asks is the set of members by which an invocation's operation is known.
type asks uint8

const (
	asksMessages asks = 1 << iota
	asksPrompt
	asksInput
	asksTask
	asksQuery
	asksDocuments
	asksPair
)

func asksNode(what asks) *node[Request] {
	return &node[Request]{on: func(r *Request, v *visit) {
		if v.kind == kindNull {
			r.asks &^= what
		} else {
			r.asks |= what
		}
		r.Operation = r.asks.operation()
	}}
}

// operation returns the operation that a body with these members asks for, "" if none does. A model that embeds or
// classifies takes input, and some embed messages: which of them it is, only the engine knows.
func (a asks) operation() string {
	switch {
	case a&asksMessages != 0:
		return "chat"
	case a&asksPrompt != 0:
		return "text_completion"
	case a&asksInput != 0 && a&asksTask != 0:
		return "pooling"
	case a&asksInput != 0:
		return "embeddings"
	case a&asksPair != 0:
		return "score"
	case a&asksQuery != 0 && a&asksDocuments != 0:
		return "rerank"
	}
	return ""
}

// endInvocation forgets the output of an answer that has no choices: it generated nothing.
func (a *answer) endInvocation() {
	if a.lists == 0 {
		a.usage.output, a.usage.reasoning = tally{}, tally{}
	}
}
