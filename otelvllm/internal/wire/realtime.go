package wire

import (
	"strconv"
	"strings"
)

// Speech to text as it is spoken: the WebSocket GET /v1/realtime. Both sides send messages of JSON with a type. The
// caller names the model (session.update), starts an answer (input_audio_buffer.commit), sends sound
// (input_audio_buffer.append) and says when it has ended (commit with final). The engine answers with
// transcription.delta, of which those without text only say that it listens, and with transcription.done, which tells
// usage; then the next answer can be started on the same connection. An error of the engine leaves the connection open.
//
// The names are those of vLLM 0.32.0, vllm/entrypoints/speech_to_text/realtime/protocol.py.

var realtimeBody = answerSchema()

var realtimeEvent = atEndOf(answerSchema(generationUsage, []member[answer]{
	{"delta", textNode(contentText)},
}), func(a *answer) {
	a.content = a.choice.content != 0 && strings.HasSuffix(a.kind.value(), ".delta")
	if a.kind.value() == "error" && a.failure.code == "" {
		a.failure.told, a.failure.code = true, a.flat.code // it stands beside the error, which is a text
	}
})

// spoken is what a message of the caller says.
type spoken struct {
	kind, model string
	final       bool
}

var realtimeSpoken = &node[spoken]{members: []member[spoken]{
	{"type", &node[spoken]{on: func(s *spoken, v *visit) { v.textInto(&s.kind) }}},
	{"model", &node[spoken]{on: func(s *spoken, v *visit) { v.textInto(&s.model) }}},
	{"final", &node[spoken]{on: func(s *spoken, v *visit) { s.final = v.kind == kindTrue }}},
}}

// socket is a WebSocket in both directions.
type socket struct {
	reader           *ResponseReader
	toCaller, toward frames
	say              scanner[spoken]
	spoken           spoken
	model            string // that the caller has asked for

	audio      bool // there is sound that no answer has ended with
	generating bool // an answer has been started and has not ended
	final      bool // and its sound has
	owes       bool // it is the engine's turn to say something

	uncounted bool // an answer came without usage, or was not read
	deaf      bool // what the engine says cannot be understood any more
	mute      bool // nor what the caller says
	left      bool // the caller has closed the connection, or broken it off
	closed    bool // the engine has closed it, and for no bad reason
}

// listen prepares for a WebSocket.
func (r *ResponseReader) listen(deflate bool) {
	s := &socket{reader: r, owes: true}
	s.toCaller = frames{to: (*engineSide)(s), deflate: deflate}
	s.toward = frames{to: (*callerSide)(s), deflate: deflate}
	r.socket = s
}

// engineSide takes the messages of the engine.
type engineSide socket

func (s *engineSide) begin(text bool) bool {
	if !text || s.deaf {
		return false
	}
	s.reader.answer.reset()
	s.reader.scan.reset(s.reader.endpoint.event, &s.reader.answer)
	return true
}

func (s *engineSide) data(p []byte) { s.reader.scan.write(p) }

func (s *engineSide) end() {
	r := s.reader
	r.seen.Events++
	if !r.scan.whole() {
		r.facts.Invalid++
		return
	}
	s.take(&r.answer)
	s.owes = s.generating && (s.final || s.reader.answer.kind.value() == "session.created" && s.audio)
}

// take puts a message of the engine into the facts.
func (s *engineSide) take(a *answer) {
	r, f := s.reader, &s.reader.facts
	if err := a.failed(false); err != nil {
		f.Err = err
		s.endAnswer(!stillListens(err.Code))
		return
	}
	switch kind := a.kind.value(); {
	case kind == "session.created":
		r.rename(&f.ID, a.id)
	case kind == "transcription.done":
		s.count(&a.usage)
		s.endAnswer(true)
	case strings.HasSuffix(kind, ".delta"):
		s.generating = true
		if a.content {
			r.content()
		}
	}
}

// stillListens reports whether an error of vLLM is about one message of the caller's alone, and leaves an answer that
// is under way as it was.
func stillListens(code string) bool {
	switch code {
	case "invalid_json", "invalid_event", "unknown_event", "invalid_audio", "model_not_found":
		return true
	}
	return false
}

func (s *engineSide) endAnswer(over bool) {
	if !over {
		return
	}
	if s.generating {
		s.reader.seen.Answers++
	}
	s.generating, s.final, s.audio = false, false, false
}

// count adds the usage of an answer to that of the connection. Of counts that are not all known there is no sum, nor one
// beyond what is believed.
func (s *engineSide) count(t *tokenCounts) {
	var u Usage
	f := &s.reader.facts
	f.Invalid += t.addTo(&u)
	if s.uncounted = s.uncounted || !u.Input.Known || !u.Output.Known; s.uncounted {
		f.Usage = Usage{}
		return
	}
	for _, c := range [...]struct{ to, from *Int }{
		{&f.Usage.Input, &u.Input},
		{&f.Usage.Output, &u.Output},
		{&f.Usage.Cached, &u.Cached},
	} {
		c.to.Value += c.from.Value
		c.to.Known = c.to.Known || c.from.Known
		s.uncounted = s.uncounted || c.to.Value > maxCount
	}
	if s.uncounted {
		f.Usage = Usage{}
		f.Invalid++
	}
}

// lost notes that a message passes which cannot be read: from now on nothing is known but how the connection ends.
func (s *engineSide) lost() {
	f := &s.reader.facts
	f.Opaque, s.uncounted, s.deaf = true, true, true
	f.Usage = Usage{}
	s.generating, s.owes = false, false
}

func (s *engineSide) close(code int) {
	switch code {
	case closeNormal, closeGoingAway, closeNone:
		s.closed = true
	default:
		if f := &s.reader.facts; f.Err == nil && !s.left { // else it is the echo of the caller's own
			f.Err = &Error{Code: strconv.Itoa(code)}
		}
	}
	s.owes = false
}

func (s *engineSide) fail() {
	s.reader.facts.Invalid++
	s.lost()
}

// callerSide takes the messages of the caller.
type callerSide socket

func (s *callerSide) begin(text bool) bool {
	if !text || s.mute {
		return false
	}
	s.spoken = spoken{kind: s.spoken.kind, model: s.spoken.model}
	s.say.reset(realtimeSpoken, &s.spoken)
	return true
}

func (s *callerSide) data(p []byte) { s.say.write(p) }

func (s *callerSide) end() {
	if !s.say.whole() {
		return
	}
	switch s.spoken.kind {
	case "session.update":
		s.model = s.spoken.model
		return
	case "input_audio_buffer.append":
		s.audio = true
	case "input_audio_buffer.commit":
		s.final = s.final || s.spoken.final && s.generating
		s.generating = s.generating || !s.spoken.final
	default:
		return
	}
	s.owes = s.owes || s.generating && (s.audio || s.final)
}

func (s *callerSide) close(int) { s.left = true }

// lost notes that what the caller says is not known any more, and so not when it is the engine's turn.
func (s *callerSide) lost() { s.mute, s.final, s.owes = true, false, false }
func (s *callerSide) fail() { s.lost() }

// Sent takes the next bytes that the caller of a WebSocket has sent. Of any other exchange it takes none. It never
// fails and keeps no reference to p.
func (r *ResponseReader) Sent(p []byte) {
	if r.socket != nil {
		r.socket.toward.write(p)
	}
}

// HungUp tells that the caller of a WebSocket has broken its connection off.
func (r *ResponseReader) HungUp() {
	if r.socket != nil {
		r.socket.left = true
	}
}

// Socket reports whether the answer is a WebSocket.
func (r *ResponseReader) Socket() bool { return r.socket != nil }

// Owes reports whether it is the engine's turn to say something on a WebSocket. It is not where the caller has sent
// nothing since the engine's last word, or where that cannot be read.
func (r *ResponseReader) Owes() bool { return r.socket != nil && r.socket.owes }

// AskedModel returns the model that the caller of a WebSocket has asked for, "" as long as it has not.
func (r *ResponseReader) AskedModel() string {
	if r.socket == nil {
		return ""
	}
	return r.socket.model
}

// settle says how a WebSocket has ended, as far as it has.
func (s *socket) settle(f *Facts) {
	f.Done = (s.closed || s.left) && !s.generating && !s.toCaller.message
	f.Left = s.left && !f.Done
}
