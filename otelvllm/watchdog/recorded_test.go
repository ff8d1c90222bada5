package watchdog

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// recorded reads a recording of a real vLLM's /metrics as a monitor would.
func recorded(t *testing.T, name string, taken time.Duration) *engine.Snapshot {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "testdata", "vllm-live", name+".http"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the recordings of a real vLLM are not here")
	} else if err != nil {
		t.Fatal(err)
	}
	_, body, ok := bytes.Cut(file, []byte("\r\n\r\n"))
	if !ok {
		_, body, _ = bytes.Cut(file, []byte("\n\n"))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=1.0.0; charset=utf-8")
		_, _ = w.Write(body)
	}))
	defer server.Close()
	snapshot, err := (&engine.Client{URL: server.URL}).Scrape(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	copied := *snapshot
	copied.Taken = at(taken)
	return &copied
}

// TestWhatARealVLLMShows looks at recordings of vLLM 0.32.0 as its faults look from outside.
func TestWhatARealVLLMShows(t *testing.T) {
	for _, tt := range []struct {
		name         string
		before, last string // the recordings at the last two readings
		progress     time.Duration
		requests     []inflight.Status
		frozenRanks  []string
		state        engine.State // "" is up
		want         string
	}{
		{
			"the same /metrics twice, 25 s apart, beside streams: an engine that was stopped", "wedge-engine-metrics-1", "wedge-engine-metrics-2", 40 * time.Second,
			[]inflight.Status{decoding("a", 31*s), waiting("b", 31*s)},
			nil, "", "engine_wedged" + on1 + "[a b]",
		},
		{
			"twelve streams on an engine of eight", "metrics-idle", "metrics-load", 2 * time.Second,
			[]inflight.Status{waiting("a", 31*s), waiting("b", 31*s)},
			nil, "", "queue_saturated" + on1 + "[a b]",
		},
		{
			"streams that were thrown out of a small cache", "metrics-idle", "metrics-kv-full", 2 * time.Second,
			[]inflight.Status{decoding("a", 31*s), decoding("b", s)},
			nil, "", "preemption_thrash" + on1 + "[a]",
		},
		{
			"after /pause?mode=keep", "metrics-paused", "metrics-paused", 40 * time.Second,
			[]inflight.Status{decoding("a", 31*s)},
			nil, "", "engine_asleep" + on1 + "[a]",
		},
		{
			"after /sleep", "metrics-sleeping", "metrics-sleeping", time.Hour,
			[]inflight.Status{waiting("a", 31*s)},
			nil, engine.Asleep, "engine_asleep" + on1 + "[a]",
		},
		{
			"two ranks, one stopped", "metrics-dp2-load", "metrics-dp2-one-wedged", 2 * time.Second,
			[]inflight.Status{decoding("a", 31*s), decoding("b", 31*s)},
			[]string{"1"},
			"", "engine_wedged" + on1 + "[a b]",
		},
		{
			"an idle engine, and a caller who does not read", "metrics-idle", "metrics-idle", time.Hour,
			[]inflight.Status{decoding("a", 40*s, blockedFor(40*s))},
			nil, "", "slow_client" + on1 + "[a]",
		},
		{"an idle engine", "metrics-idle", "metrics-idle", time.Hour, nil, nil, "", ""},
		{"an engine after some load", "metrics-after", "metrics-after-load", 2 * time.Second, []inflight.Status{decoding("a", s)}, nil, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := engine.Status{
				Address: address, State: engine.Up, Since: at(-time.Hour), EverUp: true, Age: 2 * time.Second, LastProgress: at(-tt.progress),
				Before: recorded(t, tt.before, -7*time.Second), Snapshot: recorded(t, tt.last, -2*time.Second), FrozenRanks: tt.frozenRanks,
			}
			if tt.state != "" {
				e.State = tt.state
			}
			if tt.frozenRanks != nil {
				e.FrozenSince = at(-30 * time.Second)
			}
			check(t, []viewRow{{"diagnosis", view(engines(e), tt.requests...), tt.want}})
		})
	}
}
