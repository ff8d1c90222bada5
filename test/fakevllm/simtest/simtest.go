// Package simtest starts simulated engines for tests.
package simtest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"

	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// Start serves an engine on a free port of this machine until the test ends, and returns the base URL.
func Start(t testing.TB, cfg sim.Config) (engine *sim.Engine, url string) {
	t.Helper()
	engine = sim.New(cfg)
	server := httptest.NewServer(engine)
	t.Cleanup(func() {
		server.CloseClientConnections() // a wedged engine lets nobody end by himself
		server.Close()
	})
	return engine, server.URL
}

// Pipe serves an engine over connections in memory, for use in a testing/synctest bubble, where it must be called. The
// client reaches the engine whatever host its URLs name. stop ends both; call it before the bubble ends.
func Pipe(cfg sim.Config) (engine *sim.Engine, client *http.Client, stop func()) {
	engine = sim.New(cfg)
	client, stop = PipeHandler(engine)
	return engine, client, stop
}

// PipeHandler is Pipe for any handler, such as one in front of an engine.
func PipeHandler(h http.Handler) (client *http.Client, stop func()) {
	l := NewListener()
	server := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(l) // its error says that the server was closed
	}()
	transport := &http.Transport{DialContext: l.Dial, DisableCompression: true}
	return &http.Client{Transport: transport}, func() {
		transport.CloseIdleConnections()
		server.Close()
		<-done
	}
}

// Listener accepts the connections that its own Dial makes, in memory.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewListener returns an open listener.
func NewListener() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to the listener, whatever the network and the address. Once the listener is closed it fails as a port
// does that refuses.
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
	case <-ctx.Done():
	}
	client.Close()
	server.Close()
	return nil, &net.OpError{Op: "dial", Net: "pipe", Addr: l.Addr(), Err: syscall.ECONNREFUSED}
}

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close refuses further connections.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// Addr names no real address.
func (l *Listener) Addr() net.Addr { return pipeAddr{} }
