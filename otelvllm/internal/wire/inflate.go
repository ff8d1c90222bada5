package wire

import (
	"bytes"
	"compress/flate"
	"io"
)

const (
	// maxPacked is the most bytes of a compressed message that are kept until it is whole.
	maxPacked = 256 << 10
	// maxUnpacked is the most bytes that one message is unpacked to.
	maxUnpacked = 4 << 20
	// deflateWindow is how far back DEFLATE can refer.
	deflateWindow = 32 << 10
	// packedTail is what permessage-deflate takes off the end of each message, and an empty last block.
	packedTail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
)

// inflater unpacks the messages of one direction of a WebSocket that permessage-deflate (RFC 7692) has packed. A message
// may refer to those before it, so all of them have to be unpacked. It keeps one packed message and the last 32 KiB that
// came out of it; a message beyond its bounds is lost, and with it all that come after.
type inflater struct {
	packed []byte
	window []byte
	source bytes.Reader
	reader io.ReadCloser // also a flate.Resetter
	lost   bool
	piece  [4 << 10]byte
}

// add takes the next bytes of a message.
func (d *inflater) add(p []byte) {
	if d.lost = d.lost || len(d.packed)+len(p) > maxPacked; !d.lost {
		d.packed = append(d.packed, p...)
	}
}

// end unpacks the message that is whole now, and reports whether it could.
func (d *inflater) end(to func(p []byte)) bool {
	if d.lost {
		d.packed = nil
		return false
	}
	d.packed = append(d.packed, packedTail...)
	d.source.Reset(d.packed)
	d.packed = d.packed[:0]
	if d.reader == nil {
		d.reader = flate.NewReaderDict(&d.source, d.window)
	} else if resetter, ok := d.reader.(flate.Resetter); !ok || resetter.Reset(&d.source, d.window) != nil {
		d.lost = true
		return false
	}
	for total := 0; total <= maxUnpacked; {
		n, err := d.reader.Read(d.piece[:])
		total += n
		d.remember(d.piece[:n])
		to(d.piece[:n])
		if err != nil {
			// A last block may end the data early; what stands behind it was not understood.
			d.lost = err != io.EOF || d.source.Len() > len(packedTail)
			return !d.lost
		}
	}
	d.lost = true
	return false
}

// remember keeps what later messages may refer to.
func (d *inflater) remember(p []byte) {
	if len(d.window)+len(p) > 2*deflateWindow {
		d.window = d.window[:copy(d.window, d.window[len(d.window)-deflateWindow:])]
	}
	d.window = append(d.window, p...)
}
