package wire

import (
	"slices"
	"strings"
)

// Endpoint is one of the engine's inference endpoints. Its methods are safe for concurrent use.
type Endpoint struct {
	// Operation is gen_ai.operation.name of the OpenTelemetry conventions for generative AI, where they have one, else
	// the engine's own word. [Request.Operation] says more where it is known.
	Operation string

	path string // what the URL's path ends with
	// root is true where path is a plain word at the engine's root: then it must be the whole path, as other servers
	// have such words at the end of theirs.
	root    bool
	request *node[Request]
	form    bool // a request is a form: its fields are read, not request
	// Socket is true where a GET request turns the connection into a WebSocket, on which both sides send messages.
	Socket bool
	body   *node[answer] // of an answer in one piece
	event  *node[answer] // of an event's data
	// usageOption is true where a stream tells usage only if stream_options.include_usage asks for it.
	usageOption bool
	// last are the types of the events that end a stream, in the dialects where [DONE] does not.
	last []string
	// maxEvent is the most bytes of an event that are kept to be read; 0 means 256 KiB.
	maxEvent int
}

// endpoints is searched from the top: a path that ends with another one's stands before that.
var endpoints = [...]Endpoint{
	{Operation: "chat", path: "/chat/completions", request: chatRequest, body: chatBody, event: chatEvent, usageOption: true},
	{Operation: "chat", path: "/chat/completions/batch", request: chatRequest, body: chatBody, event: chatEvent},
	{Operation: "text_completion", path: "/completions", request: completionRequest, body: completionBody, event: completionEvent, usageOption: true},
	{Operation: "embeddings", path: "/embeddings", request: embeddingRequest, body: embeddingBody, event: embeddingBody},
	{Operation: "chat", path: "/v1/responses", request: responsesRequest, body: responsesBody, event: responsesEvent, last: responsesLast, maxEvent: maxWholeAnswer},
	{Operation: "chat", path: "/v1/messages", request: messagesRequest, body: messagesBody, event: messagesEvent, last: messagesLast},
	{Operation: "count_tokens", path: "/v1/messages/count_tokens", request: messagesRequest, body: countTokensBody, event: countTokensBody},
	{Operation: "text_completion", path: "/inference/v1/generate", request: generateRequest, body: generateBody, event: generateEvent, usageOption: true},
	{Operation: "invocation", path: "/invocations", root: true, request: invocationRequest, body: invocationBody, event: invocationEvent, usageOption: true},
	{Operation: "transcription", path: "/v1/audio/transcriptions", form: true, body: audioBody, event: audioEvent},
	{Operation: "translation", path: "/v1/audio/translations", form: true, body: audioBody, event: audioEvent},
	{Operation: "realtime", path: "/v1/realtime", Socket: true, request: rankingRequest, body: realtimeBody, event: realtimeEvent},
	{Operation: "chat", path: "/v2/chat", request: cohereRequest, body: cohereBody, event: cohereEvent, last: cohereLast},
	{Operation: "embeddings", path: "/v2/embed", request: cohereEmbedRequest, body: cohereEmbedBody, event: cohereEmbedBody},
	{Operation: "pooling", path: "/pooling", root: true, request: poolingRequest, body: embeddingBody, event: embeddingBody},
	{Operation: "classify", path: "/classify", root: true, request: rankingRequest, body: embeddingBody, event: embeddingBody},
	{Operation: "score", path: "/v1/score", request: rankingRequest, body: embeddingBody, event: embeddingBody},
	{Operation: "score", path: "/score", root: true, request: rankingRequest, body: embeddingBody, event: embeddingBody},
	{Operation: "score", path: "/generative_scoring", root: true, request: rankingRequest, body: embeddingBody, event: embeddingBody},
	{Operation: "rerank", path: "/v1/rerank", request: rankingRequest, body: embeddingBody, event: embeddingBody},
	{Operation: "rerank", path: "/v2/rerank", request: rankingRequest, body: embeddingBody, event: embeddingBody},
	{Operation: "rerank", path: "/rerank", root: true, request: rankingRequest, body: embeddingBody, event: embeddingBody},
	{Operation: "tokenize", path: "/tokenize", root: true, request: rankingRequest, body: tokenizeBody, event: tokenizeBody},
	{Operation: "detokenize", path: "/detokenize", root: true, request: rankingRequest, body: tokenizeBody, event: tokenizeBody},
}

// Match returns the endpoint that a request goes to, judged by the end of its path, so that a gateway's own prefix
// does not matter. Nil means that it is no inference endpoint.
func Match(method, path string) *Endpoint {
	socket := method == "GET"
	if !socket && method != "POST" {
		return nil
	}
	for i := range endpoints {
		if e := &endpoints[i]; e.Socket == socket && strings.HasSuffix(path, e.path) && (!e.root || len(path) == len(e.path)) {
			return e
		}
	}
	return nil
}

// endsWith reports whether an event of the given type ends a stream.
func (e *Endpoint) endsWith(kind string) bool { return kind != "" && slices.Contains(e.last, kind) }

// Route returns the engine's own path of the endpoint, for a path that it matches. What stands before that is a
// gateway's prefix, or whatever a stranger has put there, and does not belong in the name of a span.
func (e *Endpoint) Route(path string) string {
	prefix := strings.TrimSuffix(path, e.path)
	for _, own := range []string{"/v1", "/cohere"} {
		if strings.HasSuffix(prefix, own) {
			return path[len(prefix)-len(own):]
		}
	}
	return e.path
}
