package wire

// Endpoints that take a prompt and generate nothing, beside embeddings: POST /pooling, /classify, /score, /v1/score,
// /rerank, /v1/rerank, /v2/rerank and /generative_scoring. The conventions have no operations for them, so the names are
// vLLM's. None of them is streamed, and what they count as completion_tokens is not output. Scores from a model that
// generates cost it a token each; those are not output either, as no answer has them.

var poolingRequest = embeddingRequest

// rankingRequest is for the endpoints that have nothing to tell but their model.
var rankingRequest = requestSchema()
