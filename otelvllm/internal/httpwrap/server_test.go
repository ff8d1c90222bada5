package httpwrap

import (
	"bufio"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serve starts a server with h behind Serve, one observer a request, and hands the observers out as the requests end.
func serve(t *testing.T, h http.Handler, protocol string) (*httptest.Server, <-chan *seen) {
	t.Helper()
	return start(t, h, protocol, func() *seen { return &seen{} })
}

func start(t *testing.T, h http.Handler, protocol string, observer func() *seen) (*httptest.Server, <-chan *seen) {
	t.Helper()
	ended := make(chan *seen, 16)
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := observer()
		defer func() { ended <- o }()
		Serve(h, w, r, o)
	}))
	ts.Config.ErrorLog = log.New(io.Discard, "", 0)
	switch protocol {
	case "h1":
		ts.Start()
	case "h2":
		ts.EnableHTTP2 = true
		ts.StartTLS()
	}
	t.Cleanup(ts.Close)
	return ts, ended
}

var protocols = []string{"h1", "h2"}

// each runs f with a server for each protocol.
func each(t *testing.T, h http.HandlerFunc, f func(t *testing.T, ts *httptest.Server, ended <-chan *seen)) {
	t.Helper()
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			ts, ended := serve(t, h, protocol)
			f(t, ts, ended)
		})
	}
}

// get returns status and body of an answer.
func get(t *testing.T, ts *httptest.Server, path string) (int, string) {
	t.Helper()
	resp, err := ts.Client().Get(ts.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// raw sends bytes on a connection of their own and returns all that comes back until the server closes it.
func raw(t *testing.T, ts *httptest.Server, request string) string {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", ts.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// exchangeOf parses what raw returned as the answer to a request with the method.
func exchangeOf(t *testing.T, method, wire string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, "http://test", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(wire)), req)
	if err != nil {
		t.Fatalf("%v in %q", err, wire)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%v in %q", err, wire)
	}
	return resp, string(b)
}

const closing = " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"

// direct runs a handler behind Serve with a given writer, and catches its panic.
func direct(h http.HandlerFunc, w http.ResponseWriter, r *http.Request, o Observer) (panicked any) {
	defer func() { panicked = recover() }()
	Serve(h, w, r, o)
	return nil
}

func getRequest() *http.Request { return httptest.NewRequest(http.MethodGet, "/", nil) }
