package test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// A plain httputil.ReverseProxy cuts some POST streams off when the engine answers at once: the server closes the
// request's body when the answer's header is written, while the transport still waits for that body's end, and the
// read error closes the connection to the engine (golang/go#40747). It shows only with engine and proxy in processes
// of their own.

// roleVariable makes the test binary play a part instead of running tests.
const roleVariable = "OTELVLLM_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "quick-engine":
		play(map[string]http.Handler{"engine": quickEngine()})
	case "proxies":
		engine, err := url.Parse(os.Getenv("OTELVLLM_TEST_ENGINE"))
		if err != nil {
			panic(err)
		}
		plain := httputil.NewSingleHostReverseProxy(engine)
		plain.FlushInterval = -1
		play(map[string]http.Handler{"plain": plain, "ours": otelvllm.Middleware()(otelvllm.NewReverseProxy(engine))})
	default:
		os.Exit(m.Run())
	}
}

// play serves each handler on a free port, tells the addresses on standard output, and ends with standard input.
func play(handlers map[string]http.Handler) {
	for name, h := range handlers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		go func() { _ = http.Serve(l, h) }() //nolint:gosec // of a test, on loopback
		fmt.Println(name, l.Addr())
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

const quickChunks = 200

// quickEngine reads the request and answers a whole stream at once.
func quickEngine() http.Handler {
	event := []byte("data: " + strings.Repeat("x", 200) + "\n\n")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		for range quickChunks {
			_, _ = w.Write(event)
			_ = rc.Flush()
		}
		_, _ = w.Write([]byte("data: [DONE]\n\n"))
	})
}

// start runs the test binary in a role and returns the addresses it tells.
func start(t *testing.T, role string, env ...string) map[string]string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), append(env, roleVariable+"="+role)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	addresses := make(map[string]string)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		name, addr, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			return addresses
		}
		addresses[name] = addr
	}
	t.Fatalf("the process for %s did not become ready", role)
	return nil
}

// truncated sends n streams with a body of the given size, eight at a time, and counts those that did not arrive whole.
func truncated(addr string, n, size int) int64 {
	body := []byte(`{"model":"m","stream":true,"pad":"` + strings.Repeat("p", size) + `"}`)
	var failed atomic.Int64
	var wg sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	for range 8 {
		wg.Go(func() {
			for range n / 8 {
				resp, err := client.Post("http://"+addr+"/v1/chat/completions", "application/json", bytes.NewReader(body))
				if err != nil {
					failed.Add(1)
					continue
				}
				answer, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !bytes.HasSuffix(answer, []byte("data: [DONE]\n\n")) {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return failed.Load()
}

func TestReverseProxyDoesNotCutQuickAnswersOff(t *testing.T) {
	if testing.Short() {
		t.Skip("three processes and thousands of streams")
	}
	engine := start(t, "quick-engine")["engine"]
	proxies := start(t, "proxies", "OTELVLLM_TEST_ENGINE=http://"+engine)
	const streams = 1600
	for _, size := range []int{10, 5 << 20} {
		n := streams
		if size > 1<<20 {
			n = 80
		}
		plain, ours := truncated(proxies["plain"], n, size), truncated(proxies["ours"], n, size)
		t.Logf("request bodies of %d bytes: cut off by a plain ReverseProxy %d of %d, by ours %d of %d", size, plain, n, ours, n)
		if ours != 0 {
			t.Errorf("bodies of %d bytes: ours cut %d of %d streams off, want 0 (plain: %d)", size, ours, n, plain)
		}
	}
}
