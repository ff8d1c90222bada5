package wire

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const realtimePath = "/v1/realtime"

// What both sides of /v1/realtime send, as vLLM 0.32.0's protocol.py writes it.
const (
	rtCreated = `{"type":"session.created","id":"sess-8f1c","created":1795481271}`
	rtDelta   = `{"type":"transcription.delta","delta":" word"}`
	rtPad     = `{"type":"transcription.delta","delta":""}`
	rtDone    = `{"type":"transcription.done","text":" word word","usage":{"prompt_tokens":39,"total_tokens":51,"completion_tokens":12,"prompt_tokens_details":null,"completion_tokens_details":null}}`
	rtNoUsage = `{"type":"transcription.done","text":" word","usage":null}`
	rtFailed  = `{"type":"error","error":"EngineCore encountered an issue.","code":"processing_error"}`
	rtAudio   = `{"type":"error","error":"Invalid audio data","code":"invalid_audio"}`

	rtUpdate = `{"type":"session.update","model":"voxtral"}`
	rtCommit = `{"type":"input_audio_buffer.commit"}`
	rtFinal  = `{"type":"input_audio_buffer.commit","final":true}`
	rtAppend = `{"type":"input_audio_buffer.append","audio":"AAECAwQFBgcICQ=="}`
)

// turn is what one side sends. The words bye, going, broken and half are closes and the first half of a message.
type turn struct {
	caller bool
	text   string
}

func engineSays(text string) turn { return turn{text: text} }
func callerSays(text string) turn { return turn{caller: true, text: text} }

func (w turn) bytes() []byte {
	f := frame{opcode: opText, data: w.text}
	switch w.text {
	case "bye":
		f = frame{opcode: opClose, data: "\x03\xe8"}
	case "going":
		f = frame{opcode: opClose, data: "\x03\xe9"}
	case "broken":
		f = frame{opcode: opClose, data: "\x03\xf3"}
	case "half":
		return frame{opcode: opText, data: rtDelta}.bytes()[:20]
	case "packed":
		f = frame{opcode: opText, flags: bitDeflate, data: "\xff\xff"}
	}
	if w.caller {
		f.mask = []byte{1, 2, 3, 4}
	}
	return f.bytes()
}

// talk lets both sides of a WebSocket say something, in pieces of n bytes, and returns the reader and what was seen.
func talk(n int, says ...turn) (*ResponseReader, Seen) {
	r := Match("GET", realtimePath).NewResponseReader()
	r.Header(http.StatusSwitchingProtocols, http.Header{"Sec-Websocket-Extensions": {"permessage-deflate; server_no_context_takeover"}})
	var sum Seen
	for _, s := range says {
		for _, p := range cuts(s.bytes(), n) {
			if s.caller {
				r.Sent(p)
				continue
			}
			seen := r.Write(p)
			sum.Events += seen.Events
			sum.Contents += seen.Contents
			sum.Answers += seen.Answers
		}
	}
	return r, sum
}

func usageOf(input, output int64) Usage { return Usage{Input: known(input), Output: known(output)} }

func TestRealtimeIsReadInBothDirections(t *testing.T) {
	e, c := engineSays, callerSays
	start := []turn{e(rtCreated), c(rtUpdate), c(rtCommit), c(rtAppend)}
	with := func(more ...turn) []turn { return append(start[:len(start):len(start)], more...) }
	base := Facts{Streamed: true, ID: "sess-8f1c"}
	facts := func(change func(*Facts)) Facts {
		f := base
		change(&f)
		return f
	}
	for _, tt := range []struct {
		name  string
		says  []turn
		want  Facts
		seen  Seen
		owes  bool
		model string
	}{
		{name: "nothing said yet: the engine has to greet", want: Facts{Streamed: true}, owes: true},
		{name: "greeted: it is the caller's turn", says: []turn{e(rtCreated)}, want: base, seen: Seen{Events: 1}},
		{name: "a model named: nothing to say to that", says: []turn{e(rtCreated), c(rtUpdate)}, want: base, seen: Seen{Events: 1}, model: "voxtral"},
		{name: "sound without an answer started", says: []turn{e(rtCreated), c(rtAppend)}, want: base, seen: Seen{Events: 1}},
		{name: "sound for an answer", says: start, want: base, seen: Seen{Events: 1}, owes: true, model: "voxtral"},
		{name: "sound first, then the answer started", says: []turn{e(rtCreated), c(rtAppend), c(rtCommit)}, want: base, seen: Seen{Events: 1}, owes: true},
		{
			name: "text", says: with(e(rtDelta)), model: "voxtral",
			want: facts(func(f *Facts) { f.Contents = 1 }), seen: Seen{Events: 2, Contents: 1},
		},
		{
			name: "text, and more sound", says: with(e(rtDelta), c(rtAppend)), model: "voxtral", owes: true,
			want: facts(func(f *Facts) { f.Contents = 1 }), seen: Seen{Events: 2, Contents: 1},
		},
		{name: "a delta without text is no content", says: with(e(rtPad)), model: "voxtral", want: base, seen: Seen{Events: 2}},
		{
			name: "the sound has ended: the rest of the answer is due", says: with(e(rtDelta), c(rtFinal), e(rtDelta)), model: "voxtral", owes: true,
			want: facts(func(f *Facts) { f.Contents = 2 }), seen: Seen{Events: 3, Contents: 2},
		},
		{
			name: "two answers add up", model: "voxtral",
			says: with(e(rtDelta), c(rtFinal), e(rtDone), c(rtCommit), c(rtAppend), e(rtDelta), c(rtFinal), e(rtDone), c("bye"), e("bye")),
			want: facts(func(f *Facts) { f.Contents, f.Usage, f.Done = 2, usageOf(78, 24), true }), seen: Seen{Events: 5, Contents: 2, Answers: 2},
		},
		{
			name: "of answers of which one tells no usage there is no sum", model: "voxtral",
			says: with(e(rtDelta), e(rtNoUsage), c(rtCommit), c(rtAppend), e(rtDone), c("going")),
			want: facts(func(f *Facts) { f.Contents, f.Done = 1, true }), seen: Seen{Events: 4, Contents: 1, Answers: 2},
		},
		{
			name: "the caller closes in the middle of an answer", says: with(e(rtDelta), c("bye"), e("bye")), model: "voxtral",
			want: facts(func(f *Facts) { f.Contents, f.Left = 1, true }), seen: Seen{Events: 2, Contents: 1},
		},
		{
			name: "the answer's end crosses the caller's close", says: with(e(rtDelta), c(rtFinal), c("bye"), e(rtDone), e("bye")), model: "voxtral",
			want: facts(func(f *Facts) { f.Contents, f.Usage, f.Done = 1, usageOf(39, 12), true }), seen: Seen{Events: 3, Contents: 1, Answers: 1},
		},
		{
			name: "the engine closes in the middle of an answer", says: with(e(rtDelta), e("going")), model: "voxtral",
			want: facts(func(f *Facts) { f.Contents = 1 }), seen: Seen{Events: 2, Contents: 1},
		},
		{
			name: "the engine closes with an error", says: with(e("broken")), model: "voxtral",
			want: facts(func(f *Facts) { f.Err = &Error{"1011"} }), seen: Seen{Events: 1},
		},
		{
			name: "the caller closes with an error, which the engine repeats", says: []turn{e(rtCreated), c("broken"), e("broken")},
			want: facts(func(f *Facts) { f.Done = true }), seen: Seen{Events: 1},
		},
		{
			name: "the engine tells an error that ends the answer", says: with(e(rtFailed)), model: "voxtral",
			want: facts(func(f *Facts) { f.Err = &Error{"processing_error"} }), seen: Seen{Events: 2, Answers: 1},
		},
		{
			name: "an error about one message leaves the answer as it was", says: with(e(rtAudio), c(rtAppend)), model: "voxtral", owes: true,
			want: facts(func(f *Facts) { f.Err = &Error{"invalid_audio"} }), seen: Seen{Events: 2},
		},
		{
			name: "a message that is cut is not one", says: with(e(rtDelta), e(rtDone), e("half"), c("bye")), model: "voxtral",
			want: facts(func(f *Facts) { f.Contents, f.Usage, f.Left = 1, usageOf(39, 12), true }), seen: Seen{Events: 3, Contents: 1, Answers: 1},
		},
		{
			name: "a compressed message that cannot be unpacked makes all unknown but the end", says: with(e(rtDelta), e("packed"), c(rtAppend), e("bye")), model: "voxtral",
			want: facts(func(f *Facts) { f.Contents, f.Opaque, f.Done = 1, true, true }), seen: Seen{Events: 2, Contents: 1},
		},
		{
			name: "what is not JSON is not read", says: with(e("nonsense"), e(rtDone), c("bye")), model: "voxtral",
			want: facts(func(f *Facts) { f.Invalid, f.Usage, f.Done = 1, usageOf(39, 12), true }), seen: Seen{Events: 3, Answers: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{0, 1, 3, 16} {
				r, seen := talk(n, tt.says...)
				if got := *r.Facts(); !reflect.DeepEqual(got, tt.want) || seen != tt.seen {
					t.Errorf("in pieces of %d bytes:\n got %+v, seen %+v\nwant %+v, seen %+v", n, got, seen, tt.want, tt.seen)
				}
				if r.Owes() != tt.owes || r.AskedModel() != tt.model || !r.Socket() {
					t.Errorf("in pieces of %d bytes: got owes %v, model %q; want %v, %q", n, r.Owes(), r.AskedModel(), tt.owes, tt.model)
				}
			}
		})
	}
}

func TestRealtimeCallerWhoBreaksOff(t *testing.T) {
	r, _ := talk(0, engineSays(rtCreated))
	if r.HungUp(); !r.Facts().Done || r.Facts().Left {
		t.Errorf("with nothing under way: got %+v, want done", r.Facts())
	}
	r, _ = talk(0, engineSays(rtCreated), callerSays(rtCommit), callerSays(rtAppend))
	if r.HungUp(); r.Facts().Done || !r.Facts().Left {
		t.Errorf("in an answer: got %+v, want left", r.Facts())
	}
}

// TestRealtimeUsageBeyondBeliefIsUnknown has answers that each tell as many tokens as are believed of one.
func TestRealtimeUsageBeyondBeliefIsUnknown(t *testing.T) {
	done := engineSays(`{"type":"transcription.done","usage":{"prompt_tokens":9007199254740992,"completion_tokens":1}}`)
	for _, answers := range []int{1, 2, 1025} {
		r, _ := talk(1<<20, slices.Repeat([]turn{done}, answers)...)
		want := Usage{}
		if answers == 1 {
			want = usageOf(1<<53, 1)
		}
		if got := r.Facts().Usage; got != want {
			t.Errorf("%d answers: got usage %+v, want %+v", answers, got, want)
		}
	}
}

func TestRealtimeThatWasRefusedTellsTheError(t *testing.T) {
	r := Match("GET", realtimePath).NewResponseReader()
	r.Header(http.StatusNotFound, jsonBody)
	r.Write([]byte(`{"detail":"Not Found"}`))
	r.End()
	if f := r.Facts(); f.Err == nil || f.Err.Code != "engine_error" || f.Streamed || r.Socket() {
		t.Errorf("got %+v", f)
	}
}

func TestRealtimeMessagesCostNoAllocation(t *testing.T) {
	r, _ := talk(0, engineSays(rtCreated), callerSays(rtUpdate), callerSays(rtCommit))
	sound := callerSays(strings.Replace(rtAppend, "AAECAwQFBgcICQ==", strings.Repeat("AAEC", 1000), 1)).bytes()
	delta := engineSays(rtDelta).bytes()
	if n := testing.AllocsPerRun(100, func() { r.Sent(sound); r.Write(delta) }); n != 0 {
		t.Errorf("got %v allocations for a message each way, want 0", n)
	}
}

// FuzzRealtime says that what is told does not depend on how the bytes are cut, whatever they are.
func FuzzRealtime(f *testing.F) {
	f.Add(framesOf(frame{opcode: opText, data: rtCreated}, frame{opcode: opText, data: rtDelta}, frame{opcode: opText, data: rtDone}, frame{opcode: opClose}), 3)
	f.Add(framesOf(frame{opcode: opText, more: true, data: rtFailed[:30]}, frame{opcode: opContinuation, data: rtFailed[30:]}), 1)
	f.Fuzz(func(t *testing.T, p []byte, n int) {
		read := func(n int) Facts {
			r := Match("GET", realtimePath).NewResponseReader()
			r.Header(http.StatusSwitchingProtocols, http.Header{})
			for _, piece := range cuts(p, n) {
				r.Write(piece)
				r.Sent(piece)
			}
			return *r.Facts()
		}
		want := read(0)
		// The two directions see each other's messages, so only the engine's own facts are free of the order.
		got := read(1 + max(n, -n)&63)
		got.Done, got.Left, want.Done, want.Left = false, false, false, false
		if got.Err != nil && want.Err != nil {
			got.Err, want.Err = nil, nil // whose close came first decides what one with an error means
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
