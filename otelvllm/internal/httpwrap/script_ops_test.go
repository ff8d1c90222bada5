package httpwrap

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
)

func (r *runner) write(w http.ResponseWriter, o op) {
	var n int
	var err error
	switch o.kind {
	case opWrite:
		n, err = w.Write(content(o.size))
	case opWriteString:
		n, err = io.WriteString(w, string(content(o.size))) //nolint:staticcheck // it has to be WriteString
	case opPrint:
		n, err = fmt.Fprintf(w, "%s", content(o.size))
	case opFlush:
		w.(http.Flusher).Flush()
	case opControllerFlush:
		err = http.NewResponseController(w).Flush()
	}
	r.sent = append(r.sent, content(o.size)[:n]...)
	r.note(o, n, err)
}

func (r *runner) head(w http.ResponseWriter, o op) {
	switch o.kind {
	case opWriteHeader:
		w.WriteHeader(o.size)
	case opSetHeader:
		key, value, _ := strings.Cut(o.text, ": ")
		w.Header()[key] = []string{value}
	case opTouchHeader:
		r.note(o, w.Header())
	}
}

func (r *runner) copy(w http.ResponseWriter, req *http.Request, o op) {
	data := content(o.size)
	source := plain{strings.NewReader(string(data))}
	var n int64
	var err error
	switch o.kind {
	case opCopy:
		n, err = io.Copy(w, source)
	case opCopyWriterTo:
		n, err = io.Copy(w, strings.NewReader(string(data)))
	case opReadFrom:
		if to, ok := w.(io.ReaderFrom); ok {
			n, err = to.ReadFrom(strings.NewReader(string(data)))
		}
	case opCopyFailing:
		n, err = io.Copy(w, io.MultiReader(source, errReader{io.ErrUnexpectedEOF}))
		r.torn = r.torn || n < int64(o.size)
	case opCopyMeddling:
		n, err = io.Copy(w, plain{io.MultiReader(readFunc(func([]byte) (int, error) {
			w.Header().Set("X-Meddling", "1")
			w.WriteHeader(http.StatusTeapot)
			return 0, io.EOF
		}), source)})
	case opCopyFile:
		r.file.Seek(0, io.SeekStart) //nolint:errcheck // a file of our own
		n, err = io.Copy(w, r.file)
		data = content(int(n))
	case opCopyPart:
		r.file.Seek(0, io.SeekStart) //nolint:errcheck // a file of our own
		n, err = io.CopyN(w, r.file, int64(o.size))
	case opServeContent:
		http.ServeContent(w, req, "name", time0, strings.NewReader(string(data)))
		r.torn = true
	}
	r.sent = append(r.sent, data[:n]...)
	r.torn = r.torn || err != nil && err != io.ErrUnexpectedEOF && err != io.EOF //nolint:errorlint // the error itself must pass
	r.note(o, n, err)
}

func (r *runner) body(req *http.Request, o op) {
	switch o.kind {
	case opRead:
		p := make([]byte, o.size)
		n, err := req.Body.Read(p)
		r.read = append(r.read, p[:n]...)
		r.ended(err)
		r.note(o, n, err)
	case opReadAll:
		b, err := io.ReadAll(req.Body)
		r.read = append(r.read, b...)
		if err == nil {
			r.ended(io.EOF)
		} else {
			r.ended(err)
		}
		r.note(o, len(b), err, req.Trailer)
	case opCloseBody:
		r.note(o, req.Body.Close())
		r.ended(ErrClosed)
	case opParseForm:
		r.note(o, req.ParseMultipartForm(1<<20), req.Form)
		r.read, r.end = nil, errParsed
	}
}

// errParsed stands for an end that the script cannot know.
var errParsed = errors.New("parsed")

func (r *runner) ended(err error) {
	if r.end == nil && err != nil {
		r.end = err
	}
}

func (r *runner) hijack(w http.ResponseWriter, o op) bool {
	h, ok := w.(http.Hijacker)
	if !ok {
		return false
	}
	conn, rw, err := h.Hijack()
	r.note(o, err)
	if err != nil {
		return false
	}
	defer conn.Close()
	rw.Write(content(o.size)) //nolint:errcheck // the transcript has it
	rw.Flush()                //nolint:errcheck // the transcript has it
	n, err := w.Write([]byte("x"))
	r.note(o, n, err)
	w.WriteHeader(500)
	return true
}

func (r *runner) panic(o op) {
	switch o.text {
	case "text":
		panic("boom")
	case "abort":
		panic(http.ErrAbortHandler)
	case "error":
		panic(io.ErrShortBuffer)
	case "nil":
		panic(nil) //nolint:govet // as some handlers do
	case "exit":
		runtime.Goexit()
	}
}
