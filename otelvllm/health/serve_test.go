package health

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

func TestHealthAnswersStatsAndSummary(t *testing.T) {
	w := httptest.NewRecorder()
	full().Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health", nil))
	var answer struct {
		Stats   map[string]any
		Summary string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("got status %d and %v, want 200, JSON, not stored", w.Code, w.Header())
	}
	if answer.Stats["num_running_requests"] != 5.0 || answer.Stats["gpu_cache_usage_percent"] != 97.5 || !strings.HasPrefix(answer.Summary, "engine_wedged") {
		t.Errorf("got %s", w.Body)
	}
}

func TestHealthTakesNothing(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		w := httptest.NewRecorder()
		new(Source).Handler().ServeHTTP(w, httptest.NewRequest(method, "/health", nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: got %d and Allow %q, want 405 and GET, HEAD", method, w.Code, w.Header().Get("Allow"))
		}
	}
}

func TestSummariesNameTheWorst(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	up := []engine.Status{{State: "up"}}
	finding := watchdog.Finding{
		Code: "engine_dead", Since: now.Add(-90 * time.Second), Summary: "the engine's port refuses connections",
		Remedy: "read the engine's log. Then restart it; more", Engine: ptr("10.0.0.7:8000"), Requests: []string{"a", "b"},
	}
	for _, c := range []struct {
		name  string
		stats Stats
		want  string
	}{
		{"nothing is known", Stats{}, "The engine's state is not known."},
		{
			"only this process is known",
			Stats{PendingTasks: ptr(int64(1)), Findings: []watchdog.Finding{}},
			"The engine's state is not known. 1 request in flight here, none stalled.",
		},
		{
			"all is well",
			Stats{
				Engines: up, EngineInitialized: ptr(true), ModelName: ptr("m"), Running: ptr(int64(3)), Waiting: ptr(int64(0)),
				GPUCachePercent: ptr(42.4), PendingTasks: ptr(int64(2)), Findings: []watchdog.Finding{},
			},
			"The engine is up and serves m: 3 running, 0 waiting, KV cache 42 % full. 2 requests in flight here, none stalled.",
		},
		{
			"no watchdog runs, so none is said not to be stalled",
			Stats{Engines: up, EngineInitialized: ptr(true), PendingTasks: ptr(int64(0))},
			"The engine is up; its metrics are not known. 0 requests in flight here.",
		},
		{
			"several engines",
			Stats{Engines: []engine.Status{{State: "up"}, {State: "loading"}, {State: "up"}}, EngineInitialized: ptr(true), Running: ptr(int64(1))},
			"Of the engines, 2 up, 1 loading: 1 running.",
		},
		{"the engine loads", Stats{Engines: []engine.Status{{State: "loading"}}, EngineInitialized: ptr(false)}, "The engine is not ready: loading."},
		{
			"the first finding is named",
			Stats{Timestamp: now, Findings: []watchdog.Finding{finding, {}, {}}},
			"engine_dead for 1m30s at 10.0.0.7:8000, 2 requests held up: the engine's port refuses connections. (2 more.) First step: read the engine's log.",
		},
		{"a finding without remedy", Stats{Findings: []watchdog.Finding{{Code: "x", Summary: "s!"}}}, "x: s!"},
	} {
		if got := c.stats.Summary(); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestTheFirstStepEndsAtItsMark(t *testing.T) {
	for remedy, want := range map[string]string{
		"":                                "",
		"do this":                         "do this",
		"do this: then that. And so":      "do this",
		"set --max-num-seqs=8; then wait": "set --max-num-seqs=8",
		"read vllm:num_requests_waiting, see 127.0.0.1:8000": "read vllm:num_requests_waiting, see 127.0.0.1:8000",
		strings.Repeat("é", 150):                             strings.Repeat("é", 100) + "…",
	} {
		if got := firstStep(remedy); got != want {
			t.Errorf("%q: got %q, want %q", remedy, got, want)
		}
	}
}

func TestDurationsReadLikeSpeech(t *testing.T) {
	for d, want := range map[time.Duration]string{
		4200 * time.Millisecond: "4.2s", 42900 * time.Millisecond: "42s", 190 * time.Second: "3m10s", 125 * time.Minute: "2h05m",
	} {
		if got := duration(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

func TestTheEnvironmentTurnsTheLoggerOn(t *testing.T) {
	for _, c := range []struct {
		name, enable, interval string
		enabled                bool
		want                   time.Duration
		err                    string
	}{
		{name: "unset is off"},
		{name: "1 is on, at the default interval", enable: "1", enabled: true},
		{name: "words are understood", enable: " True ", interval: "5", enabled: true, want: 5 * time.Second},
		{name: "0 is off", enable: "0", interval: "0.5", want: 500 * time.Millisecond},
		{name: "another word is an error", enable: "maybe", err: `ENABLE_VLLM_MONITOR is "maybe"`},
		{name: "an interval that is no number is an error", enable: "1", interval: "30s", err: `VLLM_MONITOR_INTERVAL is "30s": set it to a number of seconds`},
		{name: "so is zero", enable: "1", interval: "0", err: `VLLM_MONITOR_INTERVAL is "0"`},
		{name: "so is less", interval: "-3", err: `VLLM_MONITOR_INTERVAL is "-3"`},
		{name: "so is NaN", interval: "NaN", err: `VLLM_MONITOR_INTERVAL is "NaN"`},
		{name: "so is for ever", interval: "1e300", err: `VLLM_MONITOR_INTERVAL is "1e300"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l Logger
			enabled, err := l.FromEnv(func(name string) string {
				return map[string]string{EnableVariable: c.enable, IntervalVariable: c.interval}[name]
			})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || enabled {
					t.Errorf("got %v, %t, want an error with %q", err, enabled, c.err)
				}
				return
			}
			if err != nil || enabled != c.enabled || l.Interval != c.want {
				t.Errorf("got %t, %s, %v, want %t, %s", enabled, l.Interval, err, c.enabled, c.want)
			}
		})
	}
}

func TestTheLoggerWritesOneLineEachInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := Logger{Source: full(), Log: slog.New(slog.NewJSONHandler(&out, nil)), Interval: 10 * time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		if err := l.Run(ctx); err != nil {
			t.Errorf("got %v, want nil when ctx ends", err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 3 {
			t.Fatalf("got %d lines in 25s at 10s intervals, want 3", len(lines))
		}
		var line map[string]any
		if err := json.Unmarshal([]byte(lines[0]), &line); err != nil {
			t.Fatal(err)
		}
		if line["level"] != "WARN" || line["msg"] != "vllm health" || line["num_running_requests"] != 5.0 || line["pending_tasks"] != 2.0 ||
			show(line["findings"]) != `["engine_wedged"]` || show(line["gpu.0"]) != `{"gpu_utilization":100,"memory_percent":87.3}` {
			t.Errorf("got %s", lines[0])
		}
	})
}

func TestTheLineLeavesOutWhatIsNotKnown(t *testing.T) {
	var out bytes.Buffer
	l := Logger{Source: &Source{Registry: &inflight.Registry{}, readHost: noHost}, Log: slog.New(slog.NewJSONHandler(&out, nil))}
	l.line(t.Context())
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	delete(line, "goroutines")
	want := `{"level":"INFO","msg":"vllm health","pending_tasks":0,"summary":"The engine's state is not known. 0 requests in flight here."}`
	if got := show(line); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheLoggerStartsAndStopsAndStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := Logger{Source: &Source{readHost: noHost}, Log: slog.New(slog.NewTextHandler(&out, nil)), Interval: time.Second}
		lines := func() int { return strings.Count(out.String(), "\n") }
		l.Stop() // nothing runs: nothing happens
		l.Start(t.Context())
		l.Start(t.Context()) // it runs already
		time.Sleep(2500 * time.Millisecond)
		l.Stop()
		l.Stop()
		if got := lines(); got != 3 {
			t.Errorf("got %d lines, want 3", got)
		}
		time.Sleep(time.Minute)
		if got := lines(); got != 3 {
			t.Errorf("got %d lines after Stop, want still 3", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		l.Start(ctx)
		synctest.Wait()
		cancel()
		synctest.Wait()
		l.Start(t.Context()) // the one before ended with its ctx
		synctest.Wait()
		l.Stop()
		if got := lines(); got != 5 {
			t.Errorf("got %d lines, want 5", got)
		}
	})
}
