package engine

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestReasonsAreWordsOfAClosedSet(t *testing.T) {
	for want, err := range map[string]error{
		"":                   nil,
		"connection_refused": &url.Error{Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}},
		"connection_reset":   &url.Error{Err: &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}},
		"timeout":            &url.Error{Err: context.DeadlineExceeded},
		"canceled":           &url.Error{Err: context.Canceled},
		"dns":                &url.Error{Err: &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsTimeout: true}}},
		"tls":                &url.Error{Err: &tls.CertificateVerificationError{Err: errors.New("x509")}},
		"status_418":         fmt.Errorf("read: %w", fail("status_418", "no")),
		"unreachable":        &url.Error{Err: &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}},
	} {
		if got := Reason(err); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
	if got := Reason(io.ErrUnexpectedEOF); got != "connection_reset" {
		t.Errorf("a body that is cut: got %q, want connection_reset", got)
	}
	if got := statusWord(999); got != "status_other" {
		t.Errorf("status 999: got %q, want status_other", got)
	}
}

func TestAnswersInJSON(t *testing.T) {
	answer := func(text string) *Client {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	}
	for _, c := range []struct {
		text string
		want Value
		err  string
	}{
		{`{"server_load":3}`, Value{3, true}, ""},
		{`{"server_load":0}`, Value{0, true}, ""},
		{`{"server_load":-1}`, Value{}, ""},
		{`{}`, Value{}, ""},
		{`[]`, Value{}, "malformed"},
		{`{"server_load":3}` + strings.Repeat(" ", maxAnswer), Value{}, "too_large"},
	} {
		if got, err := answer(c.text).Load(t.Context()); got != c.want || Reason(err) != c.err {
			t.Errorf("%.30s: got %v, %v, want %v, %q", c.text, got, err, c.want, c.err)
		}
	}
	many := `{"data":[` + strings.Repeat(`{"id":"m"},`, 1000) + `{"id":"` + strings.Repeat("é", 1000) + `"}]}`
	if got, err := answer(many).Models(t.Context()); err != nil || len(got) != maxModels {
		t.Errorf("1001 models: got %d, %v, want %d", len(got), err, maxModels)
	}
	if got, err := answer(`{"data":[{"id":"` + strings.Repeat("é", 1000) + `"},{"id":""}]}`).Models(t.Context()); err != nil || len(got) != 1 || len(got[0]) > maxName+2 {
		t.Errorf("a long name: got %q, %v, want one name, cut", got, err)
	}
	if got, err := answer(`{"version":"0.32.0"}`).Version(t.Context()); err != nil || got != "0.32.0" {
		t.Errorf("version: got %q, %v, want 0.32.0", got, err)
	}
}

func TestHealthOfWhatIsNoEngine(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>please log in")
	})
	if status, err := client.Health(t.Context()); status != 0 || Reason(err) != "html" {
		t.Errorf("a page: got %d, %v, want no status and html", status, err)
	}
	client = serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	if status, err := client.Health(t.Context()); status != 503 || err != nil {
		t.Errorf("503: got %d, %v, want 503 and no error", status, err)
	}
}

// TestAnEngineBehindANameProvesThatName asks an address over TLS whose certificate is for a name.
func TestAnEngineBehindANameProvesThatName(t *testing.T) {
	server := httptest.NewTLSServer(body(text(1, 1, 1)))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for name, want := range map[string]State{"example.com": Up, "other.test": Down} { // the test certificate is for example.com
		w := &world{names: map[string][]netip.Addr{name: ips("127.0.0.1")}}
		m := NewMonitor([]string{"dns+https://" + name + ":" + port}, WithHTTPClient(server.Client()), WithResolver(w), WithInterval(time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		for m.Status()[0].Address != "127.0.0.1:"+port || m.Status()[0].State == Unknown {
			select {
			case <-time.After(time.Millisecond):
				continue
			case <-ctx.Done():
			}
			break
		}
		s := m.Status()[0]
		if s.State != want || want == Down && s.Err != "tls" {
			t.Errorf("%s: got %s, %q, want %s", name, s.State, s.Err, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		m.closeIdle()
	}
}

func TestStatusAsJSON(t *testing.T) {
	m := play(t, []step{{5, works(2, 7), Up, ""}})
	got, err := json.Marshal(m.status)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"state":"up"`, `"running":2`, `"swapped":null`, `"num_gpu_blocks":null`, `"kv_cache":0.5`, `"before":null`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("got %s, want %s in it", got, want)
		}
	}
	if strings.Contains(string(got), "frozen") || strings.Contains(string(got), "time_to_first_token") {
		t.Errorf("got %s, want nothing of what is not there", got)
	}
	if got, _ := json.Marshal(Histogram{Bounds: []float64{1}, Counts: []float64{2}, Count: Value{3, true}}); string(got) != `{"bounds":[1],"counts":[2],"count":3,"sum":null}` {
		t.Errorf("histogram: got %s", got)
	}
}

func TestWedgedAfterIsASetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := newWorld("h:1")
		defer stop()
		w.engines["h:1"].set(func(e *scripted) { e.metrics = text(1, 1, 9) })
		m := NewMonitor([]string{"http://h:1"}, WithHTTPClient(w.client()), WithInterval(200*time.Millisecond), WithWedgedAfter(time.Second),
			WithInterval(0), WithWedgedAfter(-1), WithResolver(nil), nil)
		defer runs(t, m)()
		after(900 * time.Millisecond)
		if s := only(t, m); s.State != Up {
			t.Errorf("before a second: got %s, want up", s.State)
		}
		after(400 * time.Millisecond)
		if s := only(t, m); s.State != Wedged {
			t.Errorf("after a second: got %s, want wedged", s.State)
		}
	})
}
