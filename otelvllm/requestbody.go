package otelvllm

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/otelvllm/otelvllm-go/otelvllm/internal/httpwrap"
	"github.com/otelvllm/otelvllm-go/otelvllm/internal/wire"
)

// maxInjectBody is the largest request body that is read into memory, to ask for the usage of a
// stream. A larger one streams through and is observed as it passes.
const maxInjectBody = 4 << 20

// readBody reads the body of a JSON request into memory if it is of a size for that. A larger body,
// one with trailers or of another type is left to stream through: then body is nil.
func (a *attempt) readBody(out *http.Request, endpoint *wire.Endpoint) (body []byte, request wire.Request, err error) {
	if out.Body == nil || out.Body == http.NoBody {
		return nil, wire.Request{Complete: true}, nil
	}
	media, _, _ := mime.ParseMediaType(out.Header.Get("Content-Type"))
	if media != "application/json" || out.ContentLength > maxInjectBody || out.Trailer != nil ||
		out.Header.Get("Content-Encoding") != "" || out.Header.Get("Expect") != "" {
		return nil, wire.Request{}, nil
	}
	body, err = io.ReadAll(io.LimitReader(out.Body, maxInjectBody+1))
	if err != nil {
		out.Body.Close()
		liveFrom(a.caller).unread(err)
		return nil, wire.Request{}, err
	}
	if len(body) > maxInjectBody {
		out.Body = readCloser{io.MultiReader(bytes.NewReader(body), out.Body), out.Body}
		return nil, wire.Request{}, nil
	}
	if err := out.Body.Close(); err != nil {
		return nil, wire.Request{}, err
	}
	reader := endpoint.NewRequestReader()
	reader.Write(body)
	reader.End()
	return body, reader.Request(), nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// setBody gives the outgoing request its body: from memory, with the question for usage where it
// is due, or the caller's own, watched.
func (a *attempt) setBody(out *http.Request, endpoint *wire.Endpoint, body []byte) {
	if body == nil {
		if out.ContentLength > 0 {
			out.Body = &exactBody{rc: out.Body, left: out.ContentLength}
		}
		out.Body = httpwrap.WatchBody(out.Body, &requestObserver{a.live, endpoint.NewRequestReader()})
		return
	}
	if n := out.ContentLength; n <= 0 || n == int64(len(body)) { // else the base says what is wrong with it
		body = a.fit(out, endpoint, body)
	}
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	out.Body, _ = out.GetBody()
}

// fit asks for usage where it is due, and announces the length that the body then has.
func (a *attempt) fit(out *http.Request, endpoint *wire.Endpoint, body []byte) []byte {
	if a.core.injectUsage {
		body, a.injected = endpoint.InjectUsage(body)
	}
	if out.ContentLength >= 0 || a.injected {
		out.ContentLength = int64(len(body))
		out.TransferEncoding = nil
	}
	if a.injected && out.Header.Get("Accept-Encoding") != "" {
		out.Header.Set("Accept-Encoding", "identity") // of a compressed stream the extra event could not be taken out again
	}
	if out.Header.Get("Content-Length") != "" {
		out.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	return body
}

// requestObserver reads a request body that streams through.
type requestObserver struct {
	live   *live
	reader *wire.RequestReader
}

func (o *requestObserver) Body(p []byte) { o.reader.Write(p) }

func (o *requestObserver) End(err error) {
	o.reader.End()
	o.live.mu.Lock()
	defer o.live.mu.Unlock()
	if err != nil && err != httpwrap.ErrClosed { //nolint:errorlint // the sentinel is passed as it is
		o.live.evidence.source = err
	}
	if !o.live.ended {
		o.live.describe(o.reader.Request())
	}
}

// exactBody ends after the announced number of bytes without asking its source for the end. The
// server closes the source once an answer begins, and a read that comes then would make
// http.Transport close the connection to the engine in the middle of the answer.
type exactBody struct {
	rc   io.ReadCloser
	left int64
}

func (b *exactBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.rc.Read(p)
	b.left -= int64(n)
	if b.left == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func (b *exactBody) Close() error { return b.rc.Close() }
