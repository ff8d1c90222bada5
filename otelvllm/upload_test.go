package otelvllm_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// TestARequestThatDoesNotArriveIsNotTheEnginesFault sends requests whose bodies cannot be read to their end, small ones,
// which are read before they are sent, and others, which stream through.
func TestARequestThatDoesNotArriveIsNotTheEnginesFault(t *testing.T) {
	const chunked = "Transfer-Encoding: chunked\r\n\r\nno number\r\n"
	for _, tt := range []struct {
		name, path, media, rest string
		outcome                 otelvllm.Outcome
		errorType               string
		status                  int
	}{
		{"a body that breaks off", chatPath, "application/json", "Content-Length: 900\r\n\r\n{", otelvllm.CallerLeft, "caller_left", 400},
		{"chunks that are none", chatPath, "application/json", chunked, otelvllm.Rejected, "400", 400},
		{"a body over the limit", chatPath, "application/json", "Content-Length: 1001\r\n\r\n" + strings.Repeat(" ", 1001), otelvllm.Rejected, "413", 413},
		{"a form whose chunks are none", "/v1/audio/transcriptions", "multipart/form-data", chunked, otelvllm.Rejected, "400", 400},
		{"a form over the limit", "/v1/audio/transcriptions", "multipart/form-data", "Content-Length: 1001\r\n\r\n" + strings.Repeat(" ", 1001), otelvllm.Rejected, "413", 413},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tel := newTelemetry()
			engine := httptest.NewServer(say(`{}`))
			defer engine.Close()
			target, _ := url.Parse(engine.URL)
			proxy := otelvllm.NewReverseProxy(target, tel.options()...)
			ended := make(chan struct{})
			gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				otelvllm.Middleware(tel.options()...)(http.MaxBytesHandler(proxy, 1000)).ServeHTTP(w, r)
			}))
			defer gateway.Close()
			conn, err := net.Dial("tcp", gateway.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%s", tt.path, tt.media, tt.rest)
			if tt.outcome == otelvllm.CallerLeft {
				_ = conn.(*net.TCPConn).CloseWrite()
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(answer.Body)
			<-ended
			if answer.StatusCode != tt.status || !strings.Contains(string(body), `"code":`+fmt.Sprint(tt.status)) {
				t.Errorf("got %d %s, want %d", answer.StatusCode, body, tt.status)
			}
			if c := tel.call(t); c.Outcome != tt.outcome || c.ErrorType != tt.errorType {
				t.Errorf("got %s, %q; want %s, %q", c.Outcome, c.ErrorType, tt.outcome, tt.errorType)
			}
			for _, s := range tel.spans.GetSpans() {
				if s.Status.Description != "" || s.Status.Code != 0 {
					t.Errorf("span %s has the status %v, want none", s.Name, s.Status)
				}
			}
		})
	}
}
