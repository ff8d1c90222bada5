package httpwrap

import (
	"io"
	"io/fs"
	"net/http"
)

// readFrom hands src to the io.ReaderFrom of the real writer: watched where the body is of interest,
// else as it is, since net/http sends a file by sendfile only if it can see that it is one.
func (x *exchange) readFrom(src io.Reader) (int64, error) {
	to := x.w.(io.ReaderFrom)
	if x.phase.Load() == unsent && certain(src) {
		x.header(http.StatusOK)
	}
	if x.phase.Load() >= unwatched || x.done.Load() {
		return to.ReadFrom(src)
	}
	s := &source{x: x, src: src}
	var from io.Reader = s
	if _, ok := src.(io.WriterTo); ok {
		from = sourceTo{s}
	}
	n, err := to.ReadFrom(from)
	s.endWrite()
	if err != nil && !s.failed {
		x.show(nil, err)
	}
	return n, err
}

// certain reports whether src is a file with bytes left. Its bytes can do nothing but go out, so the
// header can be told before they are fetched, and with it whether they are of interest. Any other
// source may end, fail or change the header before its first byte.
func certain(src io.Reader) bool {
	left := int64(1)
	if l, ok := src.(*io.LimitedReader); ok {
		left, src = l.N, l.R
	}
	f, ok := src.(interface { // *os.File, also as os hands it to io.Copy in its WriteTo
		io.Seeker
		Stat() (fs.FileInfo, error)
	})
	if !ok || left <= 0 {
		return false
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	at, err := f.Seek(0, io.SeekCurrent)
	return err == nil && at < info.Size()
}

// source shows the bytes that the real writer fetches. They are shown as they come, since a reader
// must not keep p, and so cannot wait until they are written.
type source struct {
	x      *exchange
	src    io.Reader
	failed bool // the source ended with an error, so that ReadFrom's error is its
	writes bool // the writer has bytes of the last read to write
}

func (s *source) Read(p []byte) (int, error) {
	s.endWrite()
	n, err := s.src.Read(p)
	if n > 0 {
		s.x.header(http.StatusOK) // the first bytes of a body bring the implied status
		s.x.show(p[:within(n, len(p))], nil)
		s.writes = true
		s.x.writeStarted()
	}
	if err != nil && err != io.EOF {
		s.failed = true
	}
	return n, err
}

// endWrite tells that the writer is done with the bytes of the last read: it wants more, or returns.
func (s *source) endWrite() {
	if s.writes {
		s.writes = false
		s.x.writeEnded()
	}
}

// sourceTo is a source that brings its own way to copy.
type sourceTo struct{ *source }

func (s sourceTo) WriteTo(w io.Writer) (int64, error) {
	t := &tee{
		w:      w,
		before: func() { s.x.header(http.StatusOK); s.writes = true; s.x.writeStarted() },
		after:  func(p []byte) { s.endWrite(); s.x.show(p, nil) },
	}
	n, err := s.src.(io.WriterTo).WriteTo(t)
	if err != nil && !t.failed {
		s.failed = true
	}
	return n, err
}
