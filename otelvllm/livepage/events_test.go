package livepage

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// pipe is a response whose body somebody reads, or does not.
type pipe struct {
	header http.Header
	*io.PipeWriter
}

func (p *pipe) Header() http.Header { return p.header }
func (p *pipe) WriteHeader(int)     {}
func (p *pipe) Flush()              {}

// subscribe asks for the events of a page, and returns where they can be read.
func subscribe(ctx context.Context, p *Page) *io.PipeReader {
	r, w := io.Pipe()
	go func() {
		p.ServeHTTP(&pipe{http.Header{}, w}, httptest.NewRequestWithContext(ctx, http.MethodGet, "/events", nil))
		w.Close()
	}()
	return r
}

// next reads the parts of the next event.
func next(t *testing.T, r *bufio.Reader) map[string]string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("read an event: %v", err)
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var f struct{ Parts map[string]string }
		if err := json.Unmarshal([]byte(data), &f); err != nil {
			t.Fatal(err)
		}
		return f.Parts
	}
}

// run runs a page until the test ends.
func run(t *testing.T, p *Page) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: got %v, want nil when ctx ends", err)
		}
	}
}

func TestSubscribersGetThePageAndThenWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := &inflight.Registry{}
		p := New(Source{Registry: registry, Findings: func() []watchdog.Finding { return nil }})
		stop := run(t, p)
		r := bufio.NewReader(subscribe(t.Context(), p))
		if first := next(t, r); len(first) != len(parts) || !strings.Contains(first["running"], "No request is running") {
			t.Errorf("got the parts %v first, want all %d", len(first), len(parts))
		}
		registry.Begin(inflight.Info{Model: "arrived"})
		second := next(t, r)
		for i := 0; i < 5 && !strings.Contains(second["running"], "arrived"); i++ {
			second = next(t, r)
		}
		if !strings.Contains(second["running"], "arrived") {
			t.Errorf("the new request does not come: %v", second)
		}
		for range 3 {
			if again := next(t, r); again["findings"] != "" {
				t.Errorf("got the findings again, though nothing about them changed")
			}
		}
		stop()
		if _, err := io.ReadAll(r); err != nil {
			t.Errorf("got %v, want the end of the stream when Run ends", err)
		}
	})
}

func TestASubscriberThatDoesNotReadIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Source{Registry: &inflight.Registry{}})
		stop := run(t, p)
		slow := subscribe(t.Context(), p)
		quick := subscribe(t.Context(), p)
		go func() { _, _ = io.Copy(io.Discard, quick) }()
		synctest.Wait()
		if n := p.hub.listeners(); n != 2 {
			t.Fatalf("got %d subscribers, want 2", n)
		}
		time.Sleep((queued + 2) * sendEvery)
		synctest.Wait()
		if n := p.hub.listeners(); n != 1 {
			t.Errorf("got %d subscribers, want the quick one alone", n)
		}
		_ = slow.Close()
		stop()
	})
}

func TestSubscribersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Source{}, WithSubscribers(2))
		if w := ask(p, http.MethodGet, "/events"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("before Run: got %d, want 503", w.Code)
		}
		stop := run(t, p)
		ctx, leave := context.WithCancel(t.Context())
		for range 2 {
			go func(r io.Reader) { _, _ = io.Copy(io.Discard, r) }(subscribe(ctx, p))
		}
		synctest.Wait()
		if w := ask(p, http.MethodGet, "/events"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("the third: got %d, want 503 with Retry-After", w.Code)
		}
		if w := ask(p, http.MethodHead, "/events"); w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/event-stream" {
			t.Errorf("HEAD: got %d %v, want the headers and no subscription", w.Code, w.Header())
		}
		leave()
		synctest.Wait()
		if n := p.hub.listeners(); n != 0 {
			t.Errorf("got %d subscribers once all have left, want 0", n)
		}
		stop()
		if w := ask(p, http.MethodGet, "/events"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("after Run: got %d, want 503", w.Code)
		}
	})
}
