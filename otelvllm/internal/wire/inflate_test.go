package wire

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// packer compresses messages as permessage-deflate does.
type packer struct {
	out     bytes.Buffer
	writer  *flate.Writer
	forgets bool // each message begins anew (no_context_takeover)
}

func (p *packer) pack(t testing.TB, message string) string {
	t.Helper()
	if p.writer == nil {
		w, err := flate.NewWriter(&p.out, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		p.writer = w
	}
	p.out.Reset()
	if p.forgets {
		p.writer.Reset(&p.out)
	}
	if _, err := p.writer.Write([]byte(message)); err != nil {
		t.Fatal(err)
	}
	if err := p.writer.Flush(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(p.out.String(), "\x00\x00\xff\xff")
}

// TestCompressedMessagesReadAsPlainOnes sends the same messages plain and compressed, far more than the window holds.
func TestCompressedMessagesReadAsPlainOnes(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, forgets := range []bool{false, true} {
		p := packer{forgets: forgets}
		var plain, packed []frame
		for i := range 300 {
			text := fmt.Sprintf("%d %s", i, strings.Repeat(fmt.Sprint("word", random.IntN(9)), random.IntN(400)))
			if i%17 == 0 {
				noise := make([]byte, random.IntN(3000))
				for j := range noise {
					noise[j] = byte(random.Uint32())
				}
				text = string(noise)
			}
			plain = append(plain, frame{opcode: opText, data: text})
			if i%5 == 0 {
				packed = append(packed, frame{opcode: opText, data: text}) // not every message has to be compressed
				continue
			}
			data := p.pack(t, text)
			cut := random.IntN(len(data) + 1)
			packed = append(packed, frame{opcode: opText, flags: bitDeflate, more: true, mask: []byte("mask"), data: data[:cut]}, frame{opcode: opContinuation, data: data[cut:]})
		}
		want := readFrames(true, framesOf(plain...))
		for _, n := range []int{0, 1, 1000} {
			if got := readFrames(true, cuts(framesOf(packed...), n)...); !reflect.DeepEqual(got, want) {
				t.Errorf("no_context_takeover %v, in pieces of %d bytes: the compressed messages read otherwise than the plain ones", forgets, n)
			}
		}
	}
}

func TestCompressedMessagesAreBounded(t *testing.T) {
	noise := make([]byte, maxPacked+1)
	random := rand.New(rand.NewPCG(5, 6))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for name, text := range map[string]string{"too long packed": string(noise), "too long unpacked": strings.Repeat("a", maxUnpacked+1)} {
		var p packer
		first, second := p.pack(t, text), p.pack(t, "later")
		got := readFrames(true, framesOf(frame{opcode: opText, flags: bitDeflate, data: first}, frame{opcode: opText, flags: bitDeflate, data: second}, frame{opcode: opText, data: "plain"}))
		if want := []string{"begin text true", "lost", "begin text true", "lost", "begin text true", "end plain"}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %.60q, want %q", name, got, want)
		}
	}
}

// TestRealtimeCompressed reads a whole conversation whose messages are compressed, but for one of the caller's that is
// too long: that makes only the caller's turns unknown.
func TestRealtimeCompressed(t *testing.T) {
	var engine, caller packer
	r := Match("GET", realtimePath).NewResponseReader()
	r.Header(101, map[string][]string{"Sec-Websocket-Extensions": {"permessage-deflate"}})
	says := func(text string) {
		r.Write(frame{opcode: opText, flags: bitDeflate, data: engine.pack(t, text)}.bytes())
	}
	asks := func(text string) {
		r.Sent(frame{opcode: opText, flags: bitDeflate, mask: []byte("mask"), data: caller.pack(t, text)}.bytes())
	}
	says(rtCreated)
	asks(rtUpdate)
	asks(rtCommit)
	asks(rtAppend)
	if !r.Owes() || r.AskedModel() != "voxtral" {
		t.Errorf("got owes %v, model %q", r.Owes(), r.AskedModel())
	}
	says(rtDelta)
	noise := make([]byte, 2*maxPacked)
	random := rand.New(rand.NewPCG(7, 8))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	asks(string(noise))
	asks(rtFinal)
	says(rtDone)
	r.Write(frame{opcode: opClose, data: "\x03\xe8"}.bytes())
	want := Facts{Streamed: true, ID: "sess-8f1c", Contents: 1, Usage: usageOf(39, 12), Done: true}
	if got := *r.Facts(); !reflect.DeepEqual(got, want) || r.Owes() {
		t.Errorf("got %+v, owes %v; want %+v", got, r.Owes(), want)
	}
}

func TestCompressedMessagesCostNoAllocation(t *testing.T) {
	p := packer{forgets: true}
	message := frame{opcode: opText, flags: bitDeflate, data: p.pack(t, rtDelta)}.bytes()
	r, _ := talk(0, engineSays(rtCreated), callerSays(rtCommit))
	r.Write(message)
	if n := testing.AllocsPerRun(100, func() { r.Write(message) }); n > 1 { // one is compress/flate's, of each new Huffman table
		t.Errorf("got %v allocations for a compressed message, want 1 at most", n)
	}
}
