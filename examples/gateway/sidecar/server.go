package sidecar

import (
	"bytes"
	"context"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"
)

func newServer(base context.Context, h http.Handler, say func(string)) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          log.New(panics(say), "", 0),
	}
}

// panics says what a server reports of a handler's panic, which is told nowhere else, and leaves out what it reports of
// connections that callers broke, which the spans tell.
type panics func(string)

func (say panics) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("http: panic serving ")) || bytes.HasPrefix(p, []byte("http2: panic serving ")) {
		say(string(bytes.TrimSpace(p)))
	}
	return len(p), nil
}

// reachable is an address that a person can open: where a listener takes connections to all of them, localhost is one.
func reachable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
}
