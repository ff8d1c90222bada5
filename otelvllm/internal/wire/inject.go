package wire

// asked is what a request's body says about usage on its stream, and where.
type asked struct {
	stream     bool
	streamEnd  int64 // where the value of stream ends
	options    visit // of stream_options
	told       bool  // there is a stream_options
	empty      bool  // it is an object with nothing in it
	include    boolMember
	continuous boolMember
}

// boolMember is a member that is true, false or null, or should be.
type boolMember struct {
	told, odd  bool // it is there; it is something else
	on         bool
	start, end int64
}

var askedSchema = &node[asked]{members: []member[asked]{
	{"stream", &node[asked]{on: func(a *asked, v *visit) { a.stream, a.streamEnd = v.kind == kindTrue, v.end }}},
	{"stream_options", &node[asked]{on: (*asked).readOptions, members: []member[asked]{
		{"include_usage", &node[asked]{on: func(a *asked, v *visit) { a.include.read(v) }}},
		{"continuous_usage_stats", &node[asked]{on: func(a *asked, v *visit) { a.continuous.read(v) }}},
	}}},
}}

func (a *asked) readOptions(v *visit) {
	if v.closing {
		a.empty = v.empty
		return
	}
	a.told, a.options = true, *v
	a.include, a.continuous = boolMember{}, boolMember{}
}

func (m *boolMember) read(v *visit) {
	*m = boolMember{told: true, odd: v.kind > kindTrue, on: v.kind == kindTrue, start: v.start, end: v.end}
}

// edit replaces what stands between two offsets of a body.
type edit struct {
	start, end int64
	text       string
}

// InjectUsage returns body with stream_options.include_usage set to true, so that the engine tells usage at the end of
// the stream. Nothing else moves; what vLLM would do with continuous_usage_stats alone, which is nothing, is kept by
// setting it to false. The body comes back as it is, with false, where the endpoint has no such option, the request
// asks for no stream or for usage already, or the body is not valid JSON or says something about it that vLLM may
// reject.
func (e *Endpoint) InjectUsage(body []byte) (out []byte, injected bool) {
	if !e.usageOption {
		return body, false
	}
	var a asked
	var scan scanner[asked]
	scan.reset(askedSchema, &a)
	scan.write(body)
	if !scan.whole() || !a.stream {
		return body, false
	}
	edits := a.edits()
	if len(edits) == 0 {
		return body, false
	}
	size := len(body)
	for _, ed := range edits {
		size += len(ed.text)
	}
	out = make([]byte, 0, size)
	var pos int64
	for _, ed := range edits {
		out = append(append(out, body[pos:ed.start]...), ed.text...)
		pos = ed.end
	}
	return append(out, body[pos:]...), true
}

// edits returns what to change, in the order of the body. None means that the body must stay as it is.
func (a *asked) edits() (edits []edit) {
	const member = `"include_usage":true`
	switch inside := a.options.start + 1; {
	case !a.told:
		return []edit{{a.streamEnd, a.streamEnd, `,"stream_options":{` + member + `}`}}
	case a.options.kind == kindNull:
		return []edit{{a.options.start, a.options.end, `{` + member + `}`}}
	case a.options.kind != kindObject, a.include.on, a.include.odd, a.continuous.odd:
		return nil
	case a.include.told:
		edits = append(edits, edit{a.include.start, a.include.end, "true"})
	case a.empty:
		edits = append(edits, edit{inside, inside, member})
	default:
		edits = append(edits, edit{inside, inside, member + ","})
	}
	if a.continuous.on {
		edits = append(edits, edit{a.continuous.start, a.continuous.end, "false"})
	}
	if len(edits) == 2 && edits[1].start < edits[0].start {
		edits[0], edits[1] = edits[1], edits[0]
	}
	return edits
}
