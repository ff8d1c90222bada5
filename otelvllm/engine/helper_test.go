package engine

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// world is a network in memory of scripted engines, by address.
type world struct {
	mu      sync.Mutex
	engines map[string]*scripted
	names   map[string][]netip.Addr
	srv     []*net.SRV
	dnsErr  error
	lookups int
}

// scripted is an engine that does as it is told.
type scripted struct {
	mu       sync.Mutex
	refuses  bool
	silent   bool // it takes connections and answers nothing
	health   int
	metrics  string
	status   int // of /metrics
	asked    map[string]int
	hosts    []string
	most     int // questions at the same time
	now      int
	listener chan net.Conn
}

// newWorld returns a network. In a testing/synctest bubble call it, and stop, inside.
func newWorld(addresses ...string) (w *world, stop func()) {
	w = &world{engines: make(map[string]*scripted), names: make(map[string][]netip.Addr)}
	var stops []func()
	for _, a := range addresses {
		e := &scripted{health: 200, status: 200, metrics: text(1, 0, 0), asked: make(map[string]int), listener: make(chan net.Conn)}
		w.engines[a] = e
		server := &http.Server{Handler: e}
		l := &pipeListener{conns: e.listener, closed: make(chan struct{})}
		var done sync.WaitGroup
		done.Go(func() { _ = server.Serve(l) })
		stops = append(stops, func() { server.Close(); done.Wait() })
	}
	return w, func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// client returns a client whose connections lead into the world.
func (w *world) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: w.dial, DisableKeepAlives: true}}
}

func (w *world) dial(ctx context.Context, _, address string) (net.Conn, error) {
	w.mu.Lock()
	e := w.engines[address]
	w.mu.Unlock()
	if e == nil {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	e.mu.Lock()
	refuses := e.refuses
	e.mu.Unlock()
	if refuses {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	client, server := net.Pipe()
	select {
	case e.listener <- server:
		return client, nil
	case <-ctx.Done():
		client.Close()
		server.Close()
		return nil, ctx.Err()
	}
}

func (w *world) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookups++
	if w.dnsErr != nil {
		return nil, w.dnsErr
	}
	if found := w.names[host]; len(found) > 0 {
		return found, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (w *world) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return "", w.srv, w.dnsErr
}

// set changes an engine while it is asked.
func (e *scripted) set(change func(*scripted)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

func (e *scripted) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.asked[r.URL.Path]++
	e.hosts = append(e.hosts, r.Host)
	e.now++
	e.most = max(e.most, e.now)
	silent, health, status, metrics := e.silent, e.health, e.status, e.metrics
	e.mu.Unlock()
	defer e.set(func(e *scripted) { e.now-- })
	if silent {
		<-r.Context().Done()
		return
	}
	switch r.URL.Path {
	case "/health":
		rw.WriteHeader(health)
	case "/metrics":
		rw.Header().Set("Content-Type", "text/plain; version=1.0.0; charset=utf-8")
		rw.WriteHeader(status)
		_, _ = rw.Write([]byte(metrics))
	case "/version":
		_, _ = rw.Write([]byte(`{"version":"0.32.0"}`))
	case "/v1/models":
		_, _ = rw.Write([]byte(`{"object":"list","data":[{"id":"m"},{"id":"adapter"}]}`))
	default:
		http.NotFound(rw, r)
	}
}

// text is the metrics of an engine of one rank that started at a time, has so many running requests
// and has generated so many tokens.
func text(started, running, tokens float64) string {
	return fmt.Sprintf("process_start_time_seconds %v\n", started) + rankText("0", running, tokens)
}

func rankText(rank string, running, tokens float64) string {
	labels := `{engine="` + rank + `",model_name="m"}`
	return fmt.Sprintf("vllm:num_requests_running%[1]s %[2]v\nvllm:num_requests_waiting%[1]s 0\nvllm:kv_cache_usage_perc%[1]s 0.5\n"+
		"vllm:generation_tokens_total%[1]s %[3]v\nvllm:prompt_tokens_total%[1]s %[3]v\n", labels, running, tokens)
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// runs runs a monitor in the background. end stops it and waits.
func runs(t *testing.T, m *Monitor) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: got %v, want nil when the context ends", err)
		}
	})
}

// only returns the status of the one engine there is.
func only(t *testing.T, m *Monitor) Status {
	t.Helper()
	all := m.Status()
	if len(all) != 1 {
		t.Fatalf("got %d engines, want 1: %+v", len(all), all)
	}
	return all[0]
}

func addresses(m *Monitor) string {
	var all []string
	for _, s := range m.Status() {
		all = append(all, s.Address)
	}
	return strings.Join(all, " ")
}

var errServerFailure = &net.DNSError{Err: "server misbehaving", IsTemporary: true}

// set changes the world while it is asked.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func ip(i int) string { return fmt.Sprintf("10.0.%d.%d", i/100, i%100) }

func ips(all ...string) (found []netip.Addr) {
	for _, a := range all {
		found = append(found, netip.MustParseAddr(a))
	}
	return found
}

// seen is what an engine has been asked so far.
type seen struct {
	asked  map[string]int
	hosts  []string
	most   int
	silent bool
}

func (e *scripted) seen() (s seen) {
	e.set(func(e *scripted) { s = seen{maps.Clone(e.asked), slices.Clone(e.hosts), e.most, e.silent} })
	return s
}

// after lets time pass in a testing/synctest bubble, until all that is to happen has happened.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
