package wire

// Request is what the body of a request has told so far. Its zero value is nothing.
type Request struct {
	Model        string // at most 256 bytes of it
	Stream       bool   // an answer as events is asked for
	IncludeUsage bool   // stream_options.include_usage is true

	MaxTokens, Choices, Seed, TopK, Dimensions           Int
	Temperature, TopP, FrequencyPenalty, PresencePenalty Float
	Stop                                                 []string // at most maxStop of them, 256 bytes each
	ReasoningEffort                                      string
	OutputType                                           string // "text" or "json", where the request says
	PreviousResponseID                                   string
	EncodingFormats                                      []string

	// Operation is what the body asks for, by the convention's name or vLLM's, where the endpoint alone does not tell.
	Operation string

	// Complete is true once the body was read to its end and was valid.
	Complete bool

	maxTokens, maxCompletionTokens Int // as told; MaxTokens is chosen from them
	asks                           asks
}

// maxStop is how many stop sequences are kept.
const maxStop = 16

// RequestReader reads the body of a request as it passes. It keeps what [Request] has and no more. It is not safe for
// concurrent use.
type RequestReader struct {
	scan    scanner[Request]
	form    *formReader // instead of scan, where the body is a form
	request Request
}

// NewRequestReader returns a reader for the body of one request.
func (e *Endpoint) NewRequestReader() *RequestReader {
	r := new(RequestReader)
	if e.form {
		r.form = &formReader{on: r.request.readField}
	} else {
		r.scan.reset(e.request, &r.request)
	}
	return r
}

// Write takes the next bytes of the body. It never fails and keeps no reference to p.
func (r *RequestReader) Write(p []byte) {
	if r.form != nil {
		r.form.write(p)
	} else {
		r.scan.write(p)
	}
}

// End tells that the body was read to its end. It must not be called where reading it failed.
func (r *RequestReader) End() {
	if r.form != nil {
		r.request.Complete = r.form.state == formEnd
	} else {
		r.request.Complete = r.scan.whole()
	}
}

// Request returns what is known so far. A body that turned out not to be JSON told nothing; of a form, each field counts
// once it has ended.
func (r *RequestReader) Request() Request {
	if r.form == nil && r.scan.state == notJSON {
		return Request{}
	}
	return r.request
}

// requestSchema puts members of a request's body beside those that every endpoint has.
func requestSchema(groups ...[]member[Request]) *node[Request] {
	members := []member[Request]{{"model", &node[Request]{on: func(r *Request, v *visit) { v.textInto(&r.Model) }}}}
	for _, group := range groups {
		members = append(members, group...)
	}
	return &node[Request]{members: members}
}

// streamParameters say how an answer comes.
var streamParameters = []member[Request]{
	{"stream", &node[Request]{on: func(r *Request, v *visit) { r.Stream = v.kind == kindTrue }}},
	{"stream_options", &node[Request]{
		on: func(r *Request, v *visit) { r.IncludeUsage = r.IncludeUsage && v.closing }, // begins as false
		members: []member[Request]{
			{"include_usage", &node[Request]{on: func(r *Request, v *visit) { r.IncludeUsage = v.kind == kindTrue }}},
		},
	}},
}

// samplingParameters are the parameters of endpoints that generate.
var samplingParameters = []member[Request]{
	{"max_tokens", &node[Request]{on: (*Request).readMaxTokens}},
	{"n", requestInt(func(r *Request) *Int { return &r.Choices })},
	{"seed", requestInt(func(r *Request) *Int { return &r.Seed })},
	{"top_k", requestInt(func(r *Request) *Int { return &r.TopK })},
	{"temperature", requestFloat(func(r *Request) *Float { return &r.Temperature })},
	{"top_p", requestFloat(func(r *Request) *Float { return &r.TopP })},
	{"frequency_penalty", requestFloat(func(r *Request) *Float { return &r.FrequencyPenalty })},
	{"presence_penalty", requestFloat(func(r *Request) *Float { return &r.PresencePenalty })},
	{"stop", stopSequences},
	{"response_format", responseFormat},
}

// stopSequences is a string or an array of them.
var stopSequences = &node[Request]{on: (*Request).readStop, element: &node[Request]{on: (*Request).addStop}}

// responseFormat is an object that says whether the answer is text or JSON.
var responseFormat = &node[Request]{
	on:      (*Request).forgetOutputType,
	members: []member[Request]{{"type", &node[Request]{on: (*Request).readResponseFormat}}},
}

func requestInt(of func(*Request) *Int) *node[Request] {
	return &node[Request]{on: func(r *Request, v *visit) { *of(r) = v.integer() }}
}

func requestFloat(of func(*Request) *Float) *node[Request] {
	return &node[Request]{on: func(r *Request, v *visit) { *of(r) = v.float() }}
}

func (r *Request) readMaxTokens(v *visit) {
	r.maxTokens = v.integer()
	r.chooseMaxTokens()
}

func (r *Request) readMaxCompletionTokens(v *visit) {
	r.maxCompletionTokens = v.integer()
	r.chooseMaxTokens()
}

// chooseMaxTokens takes max_tokens only where there is no max_completion_tokens, as vLLM does.
func (r *Request) chooseMaxTokens() {
	r.MaxTokens = r.maxCompletionTokens
	if !r.MaxTokens.Known {
		r.MaxTokens = r.maxTokens
	}
}

// readStop takes stop, which is a string or an array of them.
func (r *Request) readStop(v *visit) {
	if !v.closing {
		r.Stop = nil
		r.addStop(v)
	}
}

func (r *Request) addStop(v *visit) {
	if v.kind == kindString && len(r.Stop) < maxStop {
		r.Stop = append(r.Stop, v.text())
	}
}

func (r *Request) forgetOutputType(v *visit) {
	if !v.closing {
		r.OutputType = ""
	}
}

// readResponseFormat puts the type of an answer's format into the words of gen_ai.output.type.
func (r *Request) readResponseFormat(v *visit) {
	switch v.text() {
	case "text":
		r.OutputType = "text"
	case "json_object", "json_schema":
		r.OutputType = "json"
	default:
		r.OutputType = ""
	}
}
