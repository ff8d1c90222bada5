package wire

// Embeddings: POST /v1/embeddings. They are never streamed, and what they count as completion_tokens is not output:
// it is not read. Those in the format bytes come with a header that tells the rest; those in bytes_only without.

var embeddingRequest = requestSchema(embeddingParameters)

var embeddingParameters = []member[Request]{
	{"dimensions", requestInt(func(r *Request) *Int { return &r.Dimensions })},
	{"encoding_format", &node[Request]{on: (*Request).readEncodingFormat}},
}

var embeddingBody = answerSchema(inputUsage)

// readEncodingFormat takes float, base64 or bytes; vLLM takes one of them only.
func (r *Request) readEncodingFormat(v *visit) {
	if v.closing {
		return
	}
	r.EncodingFormats = nil
	if format := v.text(); format != "" {
		r.EncodingFormats = []string{format}
	}
}
