package engine

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBridgeGathersAllThatTheEngineSays(t *testing.T) {
	text := "# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total{engine=\"0\"} 7\n" +
		"# TYPE vllm:e2e_request_latency_seconds histogram\nvllm:e2e_request_latency_seconds_bucket{le=\"1\"} 2\n" +
		"vllm:e2e_request_latency_seconds_bucket{le=\"+Inf\"} 3\nvllm:e2e_request_latency_seconds_sum 4.5\nvllm:e2e_request_latency_seconds_count 3\n" +
		"# TYPE http_requests_total counter\nhttp_requests_total{handler=\"/v1\"} 1\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }))
	defer server.Close()
	client := newHTTPClient()
	defer client.CloseIdleConnections()
	b := &Bridge{Client: Client{URL: server.URL, HTTP: client}}
	families, err := b.read(t.Context())
	if err != nil || len(families) != 3 {
		t.Fatalf("got %d families, %v; want 3", len(families), err)
	}
	if h := families[1].GetMetric()[0].GetHistogram(); families[1].GetName() != "vllm:e2e_request_latency_seconds" || h.GetSampleCount() != 3 || h.GetSampleSum() != 4.5 {
		t.Errorf("got %v, want the histogram", families[1])
	}
	text = "vllm:generation_tokens_total{engine=\"0\" 7\n"
	if families, err := b.read(t.Context()); err == nil {
		t.Errorf("got %v of a text that is none, want an error", families)
	}
}

func TestBridgeForgetsWhatIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		fake := roundTripper(func(*http.Request) (*http.Response, error) {
			if gone.Load() {
				return nil, context.DeadlineExceeded
			}
			rec := httptest.NewRecorder()
			_, _ = rec.WriteString("a 1\n")
			return rec.Result(), nil
		})
		b := &Bridge{Client: Client{URL: "http://engine", HTTP: &http.Client{Transport: fake}}, Interval: 10 * time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		gathered := func() int { f, _ := b.Gather(); return len(f) }
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if gathered() != 1 {
			t.Errorf("got %d families, want 1", gathered())
		}
		gone.Store(true)
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if gathered() != 0 {
			t.Errorf("got %d families of an engine that is gone, want none", gathered())
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v, want nil", err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
