package httpwrap

import (
	"fmt"
	"net/http"
	"os"
	"strings"
)

// script is a request and what a handler does with it, made from choices so that a seed or a fuzzer can make it.
type script struct {
	request string
	method  string
	ignore  bool // the observer is not interested in the body
	sends   bool // the connection has io.ReaderFrom, as TCP has
	ops     []op
}

// op is one thing that a handler does.
type op struct {
	kind, size int
	text       string
}

const (
	opWrite = iota
	opWriteString
	opPrint
	opFlush
	opControllerFlush
	opWriteHeader
	opSetHeader
	opTouchHeader
	opCopy
	opCopyWriterTo
	opReadFrom
	opCopyFailing
	opCopyMeddling
	opCopyFile
	opCopyPart
	opServeContent
	opRead
	opReadAll
	opCloseBody
	opParseForm
	opError
	opHijack
	opPanic
	opKinds
)

var (
	sizes    = []int{0, 1, 7, 100, 511, 512, 513, 2047, 2048, 2049, 4096, 5000, 40000}
	statuses = []int{100, 101, 102, 103, 200, 201, 204, 206, 299, 304, 400, 404, 500, 503, 999, 99, 0}
	headers  = []string{
		"Content-Type: text/event-stream", "Content-Type: application/json", "Content-Length: 0", "Content-Length: 7",
		"Content-Length: 513", "Content-Length: -1", "Content-Length: 40000", "Connection: close", "Trailer: X-T", "X-T: 1",
		http.TrailerPrefix + "X-Late: 2", "Content-Encoding: gzip", "Transfer-Encoding: identity", "X-Bad: a\nb",
	}
	panics   = []string{"text", "abort", "error", "nil", "exit"}
	requests = []string{
		"GET /s HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"GET /s HTTP/1.0\r\n\r\n",
		"GET /s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET /s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
		"GET /s HTTP/1.1\r\nHost: x\r\nRange: bytes=3-9\r\n\r\n",
		"HEAD /s HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /s HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world",
		"POST /s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"POST /s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\nhello world",
		"POST /s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
		"POST /s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
		"POST /s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
		"POST /s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnot a chunk\r\n",
		"POST /s?b=2 HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\na=1&c=3",
		"POST /s HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 65\r\n\r\n" +
			"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nvalue\r\n--B--\r\n\r\n",
		"PUT /s HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + strings.Repeat("r", 5000),
	}
)

// makeScript makes a script. The function pick returns a number from 0 to n-1.
func makeScript(pick func(n int) int) script {
	s := script{request: requests[pick(len(requests))], ignore: pick(4) == 0, sends: pick(2) == 0}
	s.method, _, _ = strings.Cut(s.request, " ")
	for range pick(8) {
		o := op{kind: pick(opKinds), size: sizes[pick(len(sizes))]}
		switch o.kind {
		case opWriteHeader:
			o.size = statuses[pick(len(statuses))]
		case opSetHeader:
			o.text = headers[pick(len(headers))]
		case opPanic:
			o.text = panics[pick(len(panics))]
		case opHijack:
			if pick(3) != 0 { // or most scripts would end here
				o.kind = opWrite
			}
		}
		s.ops = append(s.ops, o)
	}
	return s
}

func (s script) String() string {
	return fmt.Sprintf("request %.200q, ignored %v, connection with ReadFrom %v, handler %v", s.request, s.ignore, s.sends, s.ops)
}

// runner is a run of a script's handler: it keeps what the handler met.
type runner struct {
	script
	file *os.File // a file of 40000 bytes
	log  []string // results of the operations
	sent []byte   // what the writer said it took
	read []byte   // what the handler read
	end  error    // of the request's body, as the handler met it
	torn bool     // a ReadFrom failed, so that what was sent of it is not known

	settle func()        // waits until the other side has done all it can; nil: not needed
	over   chan struct{} // closed when the handler has ended; nil: not needed
}

const filler = "0123456789abcdefghijklmnopqrstuvwxyz.\n"

// content is the same for each size, and no two neighbouring bytes are.
func content(size int) []byte {
	return []byte(strings.Repeat(filler, size/len(filler)+1)[:size])
}

func (r *runner) note(o op, results ...any) {
	for i, v := range results {
		if err, ok := v.(error); ok {
			results[i] = err.Error()
		}
	}
	r.log = append(r.log, fmt.Sprint(o.kind, " ", o.size, " ", o.text, ": ", results))
}

// ServeHTTP runs the script. In order not to change what it looks at, it calls Header only where the script does.
func (r *runner) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.note(op{kind: -1}, abilities(w), req.ContentLength, req.Trailer, req.Body == http.NoBody)
	defer func() {
		trailer := req.Trailer
		if r.end == nil || r.end == errParsed { //nolint:errorlint // the very same
			trailer = nil // those of a body that the server drained they are on its own request alone
		}
		r.note(op{kind: -2}, trailer, req.Form, req.MultipartForm == nil)
	}()
	for _, o := range r.ops {
		if r.settle != nil {
			r.settle()
		}
		switch {
		case o.kind <= opControllerFlush:
			r.write(w, o)
		case o.kind <= opTouchHeader:
			r.head(w, o)
		case o.kind <= opServeContent:
			r.copy(w, req, o)
		case o.kind <= opParseForm:
			r.body(req, o)
		case o.kind == opError:
			http.Error(w, "failed", http.StatusBadGateway)
			r.torn = true
		case o.kind == opHijack:
			if r.hijack(w, o) {
				return
			}
		case o.kind == opPanic:
			r.panic(o)
		}
	}
}
