package wire

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	chatPath       = "/v1/chat/completions"
	completionPath = "/v1/completions"
	embeddingPath  = "/v1/embeddings"
)

var (
	eventStream = http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}
	jsonBody    = http.Header{"Content-Type": {"application/json"}}
)

// sharedData returns a folder of test data that lies beside the repository, and skips the test where there is none.
func sharedData(t testing.TB, name string) string {
	t.Helper()
	root, err := os.Getwd()
	for err == nil {
		if _, e := os.Stat(filepath.Join(root, "go.mod")); e == nil {
			break
		}
		if filepath.Dir(root) == root {
			t.Fatal("no go.mod above the test")
		}
		root = filepath.Dir(root)
	}
	dir := filepath.Join(root, "..", "shared", "testdata", name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the test data %s is not here: %v", name, err)
	}
	return dir
}

// recording is an answer of a real vLLM, and the request.
type recording struct {
	path    string
	request []byte
	status  int
	header  http.Header
	body    []byte
}

// record reads a recording from testdata, or from beside the repository.
func record(t testing.TB, name string) recording {
	t.Helper()
	dir := filepath.Join("testdata", "vllm-live")
	if _, err := os.Stat(filepath.Join(dir, name+".http")); err != nil {
		dir = sharedData(t, "vllm-live")
	}
	var r recording
	answer, err := os.ReadFile(filepath.Join(dir, name+".http"))
	if err != nil {
		t.Fatal(err)
	}
	head, body, found := bytes.Cut(answer, []byte("\r\n\r\n"))
	if !found {
		t.Fatalf("%s: no headers", name)
	}
	status, rest, _ := strings.Cut(string(head), "\r\n")
	if r.status, err = strconv.Atoi(strings.Fields(status)[1]); err != nil {
		t.Fatal(err)
	}
	mime, err := textproto.NewReader(bufio.NewReader(strings.NewReader(rest + "\r\n\r\n"))).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	r.header, r.body = http.Header(mime), body
	request, err := os.ReadFile(filepath.Join(dir, name+".request"))
	if err != nil {
		return r
	}
	head, r.request, _ = bytes.Cut(request, []byte("\r\n\r\n"))
	r.path = strings.Fields(string(head))[1]
	return r
}

// cuts splits p into pieces of n bytes; 0 means one piece.
func cuts(p []byte, n int) [][]byte {
	if n == 0 {
		return [][]byte{p}
	}
	var pieces [][]byte
	for len(p) > n {
		pieces, p = append(pieces, p[:n]), p[n:]
	}
	return append(pieces, p)
}

// endpointAt returns the endpoint with the given path, whatever its method.
func endpointAt(path string) *Endpoint {
	if e := Match("POST", path); e != nil {
		return e
	}
	return Match("GET", path)
}

// answerOf reads an answer that comes in pieces.
func answerOf(path string, status int, h http.Header, pieces ...[]byte) (Seen, Facts) {
	var sum Seen
	r := endpointAt(path).NewResponseReader()
	r.Header(status, h)
	for _, p := range pieces {
		p = bytes.Clone(p)
		s := r.Write(p)
		clear(p) // the reader must not keep it
		sum.Events += s.Events
		sum.Contents += s.Contents
		sum.Comments += s.Comments
	}
	r.End()
	return sum, *r.Facts()
}

// stream reads an event stream.
func stream(path, body string) (Seen, Facts) {
	return answerOf(path, 200, eventStream, []byte(body))
}

// requestOf reads a request's body that comes in pieces.
func requestOf(path string, pieces ...[]byte) Request {
	r := endpointAt(path).NewRequestReader()
	for _, p := range pieces {
		p = bytes.Clone(p)
		r.Write(p)
		clear(p)
	}
	r.End()
	return r.Request()
}

func known(n int64) Int { return Int{Value: n, Known: true} }

func events(data ...string) string {
	var b strings.Builder
	for _, d := range data {
		b.WriteString("data: " + d + "\n\n")
	}
	return b.String()
}

func contentEvent(text string) string {
	return `{"id":"c","model":"m","choices":[{"index":0,"delta":{"content":` + strconv.Quote(text) + `},"finish_reason":null}]}`
}

const (
	finishEvent = `{"id":"c","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	usageEvent  = `{"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":15,"completion_tokens":198,"prompt_tokens_details":{"cached_tokens":512}}}`
	doneEvent   = "[DONE]"
)
