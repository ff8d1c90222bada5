package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestAPanicIsSaidWithItsStackAndABrokenConnectionIsNot(t *testing.T) {
	said := make(chan string, 4)
	s := newServer(t.Context(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("out of luck") }), func(line string) { said <- line })
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer func() {
		s.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("got %v of Serve, want that the server was closed", err)
		}
	}()
	s.ErrorLog.Print("http: TLS handshake error from 127.0.0.1:1: EOF")
	if _, err := http.Get(fmt.Sprintf("http://%s/", l.Addr())); err == nil {
		t.Error("got an answer of a handler that panics, want none")
	}
	if got := <-said; !strings.Contains(got, "out of luck") || !strings.Contains(got, "TestAPanicIsSaid") {
		t.Errorf("got %q, want the panic and its stack", got)
	}
	if err := s.Shutdown(context.WithoutCancel(t.Context())); err != nil || len(said) != 0 {
		t.Errorf("got %v and %d lines more, want nil and none", err, len(said))
	}
}

func TestSaidAddressesCanBeOpened(t *testing.T) {
	for listen, want := range map[string]string{"0.0.0.0:80": "localhost:80", "[::]:80": "localhost:80", "127.0.0.1:80": "127.0.0.1:80", "10.0.0.1:80": "10.0.0.1:80"} {
		a, err := net.ResolveTCPAddr("tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		if got := reachable(a); got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
	}
}
