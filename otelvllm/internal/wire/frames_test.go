package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// frame is one frame of a WebSocket to be written.
type frame struct {
	opcode byte
	flags  byte // beside the opcode; FIN is set unless more is
	more   bool
	mask   []byte // nil: none
	wide   bool   // the length takes 8 bytes, whatever it is
	data   string
}

func (f frame) bytes() []byte {
	first := f.opcode | f.flags
	if !f.more {
		first |= bitFin
	}
	b := []byte{first}
	second := byte(0)
	if f.mask != nil {
		second = bitMask
	}
	switch n := len(f.data); {
	case f.wide || n > 0xFFFF:
		b = binary.BigEndian.AppendUint64(append(b, second|127), uint64(n))
	case n > 125:
		b = binary.BigEndian.AppendUint16(append(b, second|126), uint16(n))
	default:
		b = append(b, second|byte(n))
	}
	b = append(b, f.mask...)
	for i := range len(f.data) {
		c := f.data[i]
		if f.mask != nil {
			c ^= f.mask[i&3]
		}
		b = append(b, c)
	}
	return b
}

func framesOf(list ...frame) []byte {
	var b []byte
	for _, f := range list {
		b = append(b, f.bytes()...)
	}
	return b
}

// log is a sink that writes down what it gets, in one form however the data is cut.
type frameLog struct {
	lines []string
	data  []byte
}

func (l *frameLog) begin(text bool) bool {
	l.lines = append(l.lines, fmt.Sprintf("begin text %v", text))
	return text
}
func (l *frameLog) lost()          { l.lines, l.data = append(l.lines, "lost"), nil }
func (l *frameLog) data_(p []byte) { l.data = append(l.data, p...) }
func (l *frameLog) end()           { l.lines, l.data = append(l.lines, "end "+string(l.data)), nil }
func (l *frameLog) close(code int) { l.lines = append(l.lines, fmt.Sprintf("close %d", code)) }
func (l *frameLog) fail()          { l.lines = append(l.lines, "fail") }

type frameLogSink struct{ *frameLog }

func (s frameLogSink) data(p []byte) { s.data_(p) }

func readFrames(deflate bool, pieces ...[]byte) []string {
	l := &frameLog{}
	f := frames{to: frameLogSink{l}, deflate: deflate}
	for _, p := range pieces {
		own := bytes.Clone(p)
		f.write(own)
		if !bytes.Equal(own, p) {
			return []string{"the reader has changed what it was shown"}
		}
		clear(own) // the reader must not keep it
	}
	return l.lines
}

func TestFramesAreReadHoweverTheyAreCut(t *testing.T) {
	mask := []byte{0x37, 0xfa, 0x21, 0x3d}
	long, longer := strings.Repeat("0123456789", 30), strings.Repeat("x", 70_000)
	for _, tt := range []struct {
		name    string
		deflate bool
		frames  []frame
		want    []string
	}{
		{name: "a text without a mask", frames: []frame{{opcode: opText, data: "Hello"}}, want: []string{"begin text true", "end Hello"}},
		{name: "the masked text of RFC 6455, section 5.7", frames: []frame{{opcode: opText, mask: mask, data: "Hello"}}, want: []string{"begin text true", "end Hello"}},
		{name: "an empty text", frames: []frame{{opcode: opText}}, want: []string{"begin text true", "end "}},
		{name: "a length of two bytes", frames: []frame{{opcode: opText, mask: mask, data: long}}, want: []string{"begin text true", "end " + long}},
		{name: "a length of eight bytes", frames: []frame{{opcode: opText, mask: mask, data: longer}}, want: []string{"begin text true", "end " + longer}},
		{name: "a length that takes more bytes than it must", frames: []frame{{opcode: opText, wide: true, data: "Hello"}}, want: []string{"begin text true", "end Hello"}},
		{
			name:   "fragments with a ping and a pong between them",
			frames: []frame{{opcode: opText, more: true, data: "Hel"}, {opcode: opPing, data: "are you there"}, {opcode: opContinuation, more: true, data: ""}, {opcode: opPong}, {opcode: opContinuation, data: "lo"}},
			want:   []string{"begin text true", "end Hello"},
		},
		{name: "a binary message, which is not wanted", frames: []frame{{opcode: opBinary, mask: mask, data: long}, {opcode: opText, data: "a"}}, want: []string{"begin text false", "begin text true", "end a"}},
		{name: "a close with a code and a reason", frames: []frame{{opcode: opClose, mask: mask, data: "\x03\xf3bye"}}, want: []string{"close 1011"}},
		{name: "a close without a code", frames: []frame{{opcode: opClose}}, want: []string{"close 1005"}},
		{name: "nothing counts after a close", frames: []frame{{opcode: opClose, data: "\x03\xe8"}, {opcode: opText, data: "late"}}, want: []string{"close 1000"}},
		{name: "the compressed text of RFC 7692, section 7.2.3.1, twice, the second with a reference to the first", deflate: true, frames: []frame{{opcode: opText, flags: bitDeflate, mask: mask, data: "\xf2\x48\xcd\xc9\xc9\x07\x00"}, {opcode: opText, flags: bitDeflate, data: "\xf2\x00\x11\x00\x00"}}, want: []string{"begin text true", "end Hello", "begin text true", "end Hello"}},
		{name: "the same in two fragments", deflate: true, frames: []frame{{opcode: opText, flags: bitDeflate, more: true, data: "\xf2\x48\xcd"}, {opcode: opContinuation, data: "\xc9\xc9\x07\x00"}}, want: []string{"begin text true", "end Hello"}},
		{name: "a compressed binary message, to which a text refers", deflate: true, frames: []frame{{opcode: opBinary, flags: bitDeflate, data: "\xf2\x48\xcd\xc9\xc9\x07\x00"}, {opcode: opText, flags: bitDeflate, data: "\xf2\x00\x11\x00\x00"}}, want: []string{"begin text false", "begin text true", "end Hello"}},
		{name: "a compressed message that is cut short", deflate: true, frames: []frame{{opcode: opText, flags: bitDeflate, data: "\xf2\x48"}}, want: []string{"begin text true", "lost"}},
		{name: "a compressed message where it was not", frames: []frame{{opcode: opText, flags: bitDeflate, data: "\xf2\x48"}, {opcode: opText, data: "a"}}, want: []string{"fail"}},
		{name: "a compressed control frame", deflate: true, frames: []frame{{opcode: opPing, flags: bitDeflate}}, want: []string{"fail"}},
		{name: "a reserved bit", frames: []frame{{opcode: opText, flags: 0x20, data: "a"}}, want: []string{"fail"}},
		{name: "a reserved opcode", frames: []frame{{opcode: 0x3, data: "a"}}, want: []string{"fail"}},
		{name: "a message within another", frames: []frame{{opcode: opText, more: true, data: "a"}, {opcode: opText, data: "b"}}, want: []string{"begin text true", "fail"}},
		{name: "a continuation of nothing", frames: []frame{{opcode: opContinuation, data: "a"}}, want: []string{"fail"}},
		{name: "a control frame in fragments", frames: []frame{{opcode: opPing, more: true}}, want: []string{"fail"}},
		{name: "a control frame that is too long", frames: []frame{{opcode: opClose, data: long}}, want: []string{"fail"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := framesOf(tt.frames...)
			for _, n := range []int{0, 1, 2, 3, 7, 4096} {
				if got := readFrames(tt.deflate, cuts(all, n)...); !reflect.DeepEqual(got, tt.want) {
					t.Errorf("in pieces of %d bytes: got %.200q, want %.200q", n, got, tt.want)
				}
			}
		})
	}
}

func TestFrameWhoseLengthIsNegativeIsNoFrame(t *testing.T) {
	if got, want := readFrames(false, []byte{bitFin | opText, 127, 0x80, 0, 0, 0, 0, 0, 0, 1, 'a'}), []string{"fail"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzFrames says that frames mean the same however they are cut, and that what is no frame is survived.
func FuzzFrames(f *testing.F) {
	f.Add(framesOf(frame{opcode: opText, mask: []byte("mask"), data: "Hello"}, frame{opcode: opClose, data: "\x03\xe8"}), uint64(1), false)
	f.Add(framesOf(frame{opcode: opText, more: true, data: strings.Repeat("a", 200)}, frame{opcode: opPing, data: "b"}, frame{opcode: opContinuation, wide: true, data: "c"}), uint64(2), true)
	f.Add(framesOf(frame{opcode: opText, flags: bitDeflate, data: "\xf2\x48\xcd\xc9\xc9\x07\x00"}, frame{opcode: opText, flags: bitDeflate, data: "\xf2\x00\x11\x00\x00"}), uint64(4), true)
	f.Add([]byte{0xC1, 127, 0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3, 0x88, 0}, uint64(3), true)
	f.Fuzz(func(t *testing.T, p []byte, seed uint64, deflate bool) {
		want := readFrames(deflate, p)
		random := rand.New(rand.NewPCG(seed, 1))
		var pieces [][]byte
		for rest := p; len(rest) > 0; {
			n := 1 + random.IntN(min(len(rest), 1+random.IntN(40)))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		if got := readFrames(deflate, pieces...); !reflect.DeepEqual(got, want) {
			t.Errorf("cut with seed %d: got %q, want %q", seed, got, want)
		}
	})
}
