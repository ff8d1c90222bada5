package wire

import "strings"

// Endpoint is one of the engine's inference endpoints. Its methods are safe for concurrent use.
type Endpoint struct {
	// Operation is gen_ai.operation.name of the OpenTelemetry conventions for generative AI.
	Operation string

	path    string // what the URL's path ends with
	request *node[Request]
	body    *node[answer] // of an answer in one piece
	event   *node[answer] // of an event's data
	// usageOption is true where a stream tells usage only if stream_options.include_usage asks for it.
	usageOption bool
}

// endpoints is searched from the top: a path that ends with another one's stands before that.
var endpoints = [...]Endpoint{
	{Operation: "chat", path: "/chat/completions", request: chatRequest, body: chatBody, event: chatEvent, usageOption: true},
	{Operation: "text_completion", path: "/completions", request: completionRequest, body: completionBody, event: completionEvent, usageOption: true},
	{Operation: "embeddings", path: "/embeddings", request: embeddingRequest, body: embeddingBody, event: embeddingBody},
}

// Match returns the endpoint that a request goes to, judged by the end of its path, so that a gateway's own prefix
// does not matter. Nil means that it is no inference endpoint.
func Match(method, path string) *Endpoint {
	if method != "POST" {
		return nil
	}
	for i := range endpoints {
		if strings.HasSuffix(path, endpoints[i].path) {
			return &endpoints[i]
		}
	}
	return nil
}
