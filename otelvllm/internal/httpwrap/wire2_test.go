package httpwrap

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
)

// TestGeneratedHandlersAreNotDisturbedOnHTTP2 is the same comparison on HTTP/2, by the frames of the answer. There the flush
// that ends a stream returns an error or not by chance, so a difference counts only if it is none that bare runs have too.
func TestGeneratedHandlersAreNotDisturbedOnHTTP2(t *testing.T) {
	file := testFile(t)
	compared, chance := 0, 0
	synctest.Test(t, func(t *testing.T) {
		for i := range *scripts / 5 {
			s := makeScript(rand.New(rand.NewPCG(uint64(i), 2)).IntN)
			if !speaksHTTP2(s) {
				continue
			}
			o := &seen{ignore: s.ignore}
			ours := play2(t, s, file, o)
			o.wantOnce(t)
			compared++
			for tries := 0; ; tries++ {
				bare := play2(t, s, file, nil)
				if bare.equal(ours) {
					break
				}
				if tries == 0 {
					chance++
				}
				if tries == 2000 {
					t.Fatalf("script %d: %v\ngives bare\n%v\nand with Serve\n%v", i, s, bare, ours)
				}
			}
		}
	})
	if chance > 1+compared/1000 {
		t.Errorf("%d of %d answers differed by chance, want at most 1 in 1000", chance, compared)
	}
	t.Logf("compared %d answers; %d differed by chance", compared, chance)
}

func (s *seen) wantOnce(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.done) != 1 || s.late != 0 || len(s.status) > 1 || len(s.ends) > 1 {
		t.Errorf("told done %v with %d calls after it, status %v, ends %v", s.done, s.late, s.status, s.ends)
	}
}

// speaksHTTP2 reports whether a script has a request that HTTP/2 can carry.
func speaksHTTP2(s script) bool {
	for _, no := range []string{"HTTP/1.0", "Upgrade", "Expect", "not a chunk", "Connection"} {
		if strings.Contains(s.request, no) {
			return false
		}
	}
	return true
}

// play2 is play for HTTP/2, with one request and a client that sends it at once and then only reads: a client that resets a
// stream, when it sees that it is wrong, would do so sooner or later from run to run.
func play2(t *testing.T, s script, file *os.File, o *seen) transcript {
	t.Helper()
	client, conn := net.Pipe()
	w := &wire{Conn: conn}
	l := &listener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conns <- w
	run, lines := &runner{script: s, file: file, settle: synctest.Wait, over: make(chan struct{})}, &lineLog{}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{ErrorLog: log.New(lines, "", 0), Handler: run.behind(o), Protocols: &protocols}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve(l) //nolint:errcheck // it ends when the listener closes
	}()
	if _, err := client.Write(request2(t, s.request)); err != nil {
		t.Fatal(err)
	}
	<-run.over
	synctest.Wait()
	server.Close()
	client.Close()
	<-ended
	synctest.Wait()
	return transcript{frames(t, w.writes), run.log, lines.lines}
}

// request2 returns what a client sends on HTTP/2 for a request given as HTTP/1.
func request2(t *testing.T, request string) []byte {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(request)))
	if err != nil {
		t.Fatal(err)
	}
	announced := len(req.Trailer) > 0
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	head := field(":method", req.Method) + field(":scheme", "http") + field(":authority", "x") + field(":path", req.URL.String())
	if announced {
		head += field("trailer", "X-Sum")
	}
	for key := range req.Header {
		head += field(strings.ToLower(key), req.Header.Get(key))
	}
	// The windows are so large that the server never waits for one.
	b := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	b = frame(b, 4, 0, 0, "\x00\x04\x7f\xff\xff\xff")
	b = frame(b, 8, 0, 0, "\x70\x00\x00\x00")
	const endStream, endHeaders = 1, 4
	switch {
	case len(body) == 0:
		return frame(b, 1, endStream|endHeaders, 1, head)
	case !announced:
		b = frame(b, 1, endHeaders, 1, head)
		return frame(b, 0, endStream, 1, string(body))
	}
	b = frame(b, 1, endHeaders, 1, head)
	b = frame(b, 0, 0, 1, string(body))
	return frame(b, 1, endStream|endHeaders, 1, field("x-sum", req.Trailer.Get("X-Sum")))
}

// field is a header field in HPACK, without any compression.
func field(name, value string) string {
	return fmt.Sprintf("\x00%c%s%c%s", len(name), name, len(value), value)
}

func frame(b []byte, kind, flags byte, stream uint32, payload string) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// frames returns the frames that make up answers. The others, such as settings and windows, come when they come.
func frames(t *testing.T, writes []string) (kept []string) {
	t.Helper()
	all := strings.Join(writes, "")
	for len(all) >= 9 {
		size := int(binary.BigEndian.Uint32([]byte("\x00" + all[:3])))
		if len(all) < 9+size {
			t.Fatalf("a frame of %d bytes is cut off", size)
		}
		switch kind := all[3]; kind {
		case 0, 1, 3, 5, 9: // DATA, HEADERS, RST_STREAM, PUSH_PROMISE, CONTINUATION
			kept = append(kept, fmt.Sprintf("%d %x %q", kind, all[4], all[9:9+size]))
		}
		all = all[9+size:]
	}
	return kept
}
