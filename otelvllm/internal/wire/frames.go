package wire

import "encoding/binary"

// frameSink takes what the frames of one direction of a WebSocket bring, in their order.
type frameSink interface {
	// begin begins a message, and returns whether its data is wanted.
	begin(text bool) bool
	// data takes the next bytes of a message that is wanted. They are valid only during the call.
	data(p []byte)
	// end ends a message that is wanted.
	end()
	// lost tells, in place of the end, that a compressed message could not be unpacked, wanted or not.
	lost()
	// close takes the code of a close frame; closeNone where it has none.
	close(code int)
	// fail tells that what comes are no frames. Nothing follows.
	fail()
}

// The codes of a close frame that are told apart (RFC 6455, section 7.4.1).
const (
	closeNormal    = 1000
	closeGoingAway = 1001
	closeNone      = 1005
)

// Opcodes.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// Bits of a frame's first two bytes.
const (
	bitFin      = 0x80
	bitDeflate  = 0x40 // RSV1, which permessage-deflate sets on the first frame of a compressed message
	bitsUnknown = 0x30 // RSV2 and RSV3, of extensions that vLLM's server does not have
	bitMask     = 0x80 // of the second byte
)

const (
	// maxControl is the most bytes that a control frame may hold.
	maxControl = 125
	// maskPiece is how much is unmasked at a time.
	maskPiece = 512
)

// frames reads the frames of one direction of a WebSocket (RFC 6455) as they pass, cut anywhere, in memory that does not
// grow, and unpacks compressed messages. Frames with and without a mask are read whichever way they go. The zero value
// with a sink is ready.
type frames struct {
	to      frameSink
	deflate bool // permessage-deflate was agreed on

	head       [14]byte
	have, need int // bytes of the head that have come, and that there are as far as is known; 0: a new head
	body       bool
	left       uint64 // bytes of the frame's payload that are still to come
	pos        int    // of the payload, modulo 4
	mask       [4]byte
	masked     bool

	opcode  byte
	fin     bool
	message bool      // a message has begun and not ended
	wanted  bool      // its data is
	packed  bool      // it is compressed
	inflate *inflater // nil until a compressed message comes

	control [maxControl]byte
	kept    int // bytes in control

	broken bool
	closed bool // a close frame has come: nothing may follow
	piece  [maskPiece]byte
}

// write takes the next bytes.
func (f *frames) write(p []byte) {
	for len(p) > 0 && !f.broken && !f.closed {
		if !f.body {
			p = f.readHead(p)
			continue
		}
		n := len(p)
		if uint64(n) > f.left {
			n = int(f.left)
		}
		f.payload(p[:n])
		p = p[n:]
		f.left -= uint64(n)
		if f.left == 0 {
			f.endFrame()
		}
	}
}

// readHead reads on in a frame's head and returns what comes after it.
func (f *frames) readHead(p []byte) []byte {
	f.need = max(f.need, 2)
	n := copy(f.head[f.have:f.need], p)
	f.have += n
	if f.have < f.need {
		return nil
	}
	if f.need == 2 {
		switch f.head[1] &^ bitMask {
		case 126:
			f.need += 2
		case 127:
			f.need += 8
		}
		if f.head[1]&bitMask != 0 {
			f.need += 4
		}
		if f.need > 2 {
			return p[n:]
		}
	}
	f.beginFrame()
	return p[n:]
}

// beginFrame takes a whole head.
func (f *frames) beginFrame() {
	first, second := f.head[0], f.head[1]
	rest := f.head[2:f.need]
	switch length := second &^ bitMask; length {
	case 126:
		f.left, rest = uint64(binary.BigEndian.Uint16(rest)), rest[2:]
	case 127:
		f.left, rest = binary.BigEndian.Uint64(rest), rest[8:]
	default:
		f.left = uint64(length)
	}
	f.masked, f.pos = second&bitMask != 0, 0
	copy(f.mask[:], rest)
	f.opcode, f.fin = first&0x0F, first&bitFin != 0
	f.have, f.need, f.kept = 0, 0, 0
	if !f.valid(first) {
		f.broken = true
		f.to.fail()
		return
	}
	if f.opcode == opText || f.opcode == opBinary {
		f.message, f.packed = true, first&bitDeflate != 0
		f.wanted = f.to.begin(f.opcode == opText)
		if f.packed && f.inflate == nil {
			f.inflate = new(inflater)
		}
	}
	f.body = true
	if f.left == 0 {
		f.endFrame()
	}
}

// valid reports whether a frame with the given first byte may come now.
func (f *frames) valid(first byte) bool {
	compressed := first&bitDeflate != 0
	if first&bitsUnknown != 0 || compressed && !f.deflate || f.left>>63 != 0 {
		return false
	}
	switch f.opcode {
	case opText, opBinary:
		return !f.message
	case opContinuation:
		return f.message && !compressed
	case opClose, opPing, opPong:
		return f.fin && !compressed && f.left <= maxControl
	}
	return false
}

// payload takes bytes of a frame's payload.
func (f *frames) payload(p []byte) {
	control := f.opcode >= opClose
	switch {
	case !control && !f.wanted && !f.packed, control && f.opcode != opClose:
	case !f.masked:
		f.give(p)
	default:
		for len(p) > 0 {
			n := copy(f.piece[:], p)
			f.unmask(f.piece[:n])
			f.give(f.piece[:n])
			p = p[n:]
		}
	}
}

// unmask takes the mask off the next bytes of the payload.
func (f *frames) unmask(p []byte) {
	for i := range p {
		p[i] ^= f.mask[(f.pos+i)&3]
	}
	f.pos = (f.pos + len(p)) & 3
}

func (f *frames) give(p []byte) {
	switch {
	case f.opcode == opClose:
		f.kept += copy(f.control[f.kept:], p)
	case f.packed:
		f.inflate.add(p)
	default:
		f.to.data(p)
	}
}

// endMessage ends a message, and unpacks it first if it is compressed.
func (f *frames) endMessage() {
	f.message = false
	if f.packed && !f.inflate.end(func(p []byte) {
		if f.wanted {
			f.to.data(p)
		}
	}) {
		f.to.lost()
		return
	}
	if f.wanted {
		f.to.end()
	}
}

// endFrame ends a frame whose payload is complete.
func (f *frames) endFrame() {
	f.body = false
	switch {
	case f.opcode == opClose:
		f.closed = true
		code := closeNone
		if f.kept >= 2 {
			code = int(binary.BigEndian.Uint16(f.control[:2]))
		}
		f.to.close(code)
	case f.opcode < opClose && f.fin:
		f.endMessage()
	}
}
