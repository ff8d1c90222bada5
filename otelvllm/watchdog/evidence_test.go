package watchdog

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

func TestEvidenceHoldsWhatIsKnownAndIsBounded(t *testing.T) {
	r := &inflight.Registry{}
	for range 2000 {
		r.Begin(inflight.Info{TraceID: "0af7651916cd43dd8448eb211c80319c", Model: strings.Repeat("m", 10_000)})
	}
	many := busy()
	for range 1000 {
		many.Snapshot.Ranks = append(many.Snapshot.Ranks, engine.Rank{Rank: "7", KVCache: engine.Value{V: math.NaN(), Known: true}})
	}
	w := &Watchdog{
		Registry: r,
		Engines:  func() []engine.Status { return []engine.Status{many, gone(true, time.Minute, "timeout")} },
		GPUs:     func() []GPU { return []GPU{{ID: "0", XID: 79}} },
	}
	rec := httptest.NewRecorder()
	w.EvidenceHandler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/evidence", nil))
	body := rec.Body.Bytes()
	var got struct {
		Findings, Cleared, Requests []map[string]any
		Running                     int `json:"running_requests"`
		Engines                     []struct {
			Address  string
			Snapshot *struct{ Ranks []map[string]any }
		}
		GPUs       []map[string]any
		Goroutines string
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("got %v, want JSON", err)
	}
	if len(got.Requests) != 1000 || got.Running != 2000 || len(got.Engines) != 2 || len(got.Engines[0].Snapshot.Ranks) != 64 || got.Engines[1].Snapshot != nil || len(got.GPUs) != 1 {
		t.Errorf("got %d of %d requests, %d engines, %d GPUs; want 1000 of 2000, 2, 1", len(got.Requests), got.Running, len(got.Engines), len(got.GPUs))
	}
	if !strings.Contains(got.Goroutines, "TestEvidenceHolds") {
		t.Errorf("got goroutines %.200q, want this test among them", got.Goroutines)
	}
	if len(body) > 2<<20 || rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("got %d bytes of %s, want less than 2 MiB of JSON", len(body), rec.Header().Get("Content-Type"))
	}
	post := httptest.NewRecorder()
	w.EvidenceHandler().ServeHTTP(post, httptest.NewRequest(http.MethodPost, "/evidence", nil))
	if post.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: got %d, want 405", post.Code)
	}
}

func TestEvidenceOfNothing(t *testing.T) {
	var w Watchdog
	if b := w.Evidence(); !json.Valid(b) {
		t.Errorf("got %.100q, want JSON", b)
	}
}
