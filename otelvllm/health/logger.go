package health

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The variables that turn on background logging.
const (
	EnableVariable   = "ENABLE_VLLM_MONITOR"
	IntervalVariable = "VLLM_MONITOR_INTERVAL"
)

// DefaultInterval is the time between two lines of a [Logger].
const DefaultInterval = 30 * time.Second

// Intervals that are taken from the environment.
const (
	minInterval = 100 * time.Millisecond
	maxInterval = 24 * time.Hour
)

// Logger writes the health document to a log now and then, as one line: at level Info, or Warn
// while there are findings. Values that are not known are left out. Set the fields before use.
type Logger struct {
	// Source makes the document. It is required.
	Source *Source
	// Log is written to; nil means that nothing is written.
	Log *slog.Logger
	// Interval is the time between two lines; zero means [DefaultInterval].
	Interval time.Duration

	mu   sync.Mutex
	stop context.CancelFunc // of what Start began; nil while it does not run
	done chan struct{}
}

// FromEnv sets the interval from VLLM_MONITOR_INTERVAL (seconds, 30 if unset) and tells whether
// ENABLE_VLLM_MONITOR asks for background logging (1, true, yes or on). getenv is [os.Getenv] in a
// program. A value that is neither is an error that names the variable and says what to set.
func (l *Logger) FromEnv(getenv func(string) string) (enabled bool, err error) {
	switch v := getenv(EnableVariable); strings.ToLower(strings.TrimSpace(v)) {
	case "1", "true", "yes", "on":
		enabled = true
	case "", "0", "false", "no", "off":
	default:
		return false, fmt.Errorf("%s is %q: set it to 1 to log the engine's health, or to 0", EnableVariable, short(v))
	}
	text := strings.TrimSpace(getenv(IntervalVariable))
	if text == "" {
		return enabled, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(seconds) || seconds < minInterval.Seconds() || seconds > maxInterval.Seconds() {
		return false, fmt.Errorf("%s is %q: set it to a number of seconds from 0.1 to 86400, such as 30", IntervalVariable, short(text))
	}
	l.Interval = time.Duration(seconds * float64(time.Second))
	return enabled, nil
}

// short bounds what an error repeats.
func short(s string) string { return s[:min(len(s), 64)] }

// Run writes a line at once and then one each interval, until ctx ends; then it returns nil.
func (l *Logger) Run(ctx context.Context) error {
	interval := l.Interval
	if interval <= 0 {
		interval = DefaultInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		l.line(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	return nil
}

// Start begins Run on a goroutine of its own, for programs that turn logging on and off. It does
// nothing while one that Start began still runs. Stop ends it; so does the end of ctx.
func (l *Logger) Start(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop != nil {
		select {
		case <-l.done: // its ctx ended
			l.stop()
		default:
			return
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	l.stop, l.done = cancel, done
	go func() {
		defer close(done)
		_ = l.Run(ctx) // it has no error to tell
	}()
}

// Stop ends what Start began and waits until it is over. It does nothing if nothing runs.
func (l *Logger) Stop() {
	l.mu.Lock()
	stop, done := l.stop, l.done
	l.stop, l.done = nil, nil
	l.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

// line writes one line.
func (l *Logger) line(ctx context.Context) {
	if l.Log == nil || l.Source == nil {
		return
	}
	stats := l.Source.Stats(ctx)
	level := slog.LevelInfo
	if len(stats.Findings) > 0 {
		level = slog.LevelWarn
	}
	l.Log.LogAttrs(ctx, level, "vllm health", append([]slog.Attr{slog.String("summary", stats.Summary())}, stats.attrs()...)...)
}

// attrs are the values of the document that are known, under the document's names.
func (s *Stats) attrs() (attrs []slog.Attr) {
	add := func(name string, v any, known bool) {
		if known {
			attrs = append(attrs, slog.Any(name, v))
		}
	}
	add("num_running_requests", value(s.Running), s.Running != nil)
	add("num_waiting_requests", value(s.Waiting), s.Waiting != nil)
	add("num_swapped_requests", value(s.Swapped), s.Swapped != nil)
	add("gpu_cache_usage_percent", value(s.GPUCachePercent), s.GPUCachePercent != nil)
	add("cpu_cache_usage_percent", value(s.CPUCachePercent), s.CPUCachePercent != nil)
	add("pending_tasks", value(s.PendingTasks), s.PendingTasks != nil)
	add("engine_initialized", value(s.EngineInitialized), s.EngineInitialized != nil)
	add("engine_age_seconds", value(s.EngineAgeSeconds), s.EngineAgeSeconds != nil)
	add("model_name", value(s.ModelName), s.ModelName != nil)
	add("system_ram_percent", value(s.SystemRAMPercent), s.SystemRAMPercent != nil)
	add("process_ram_mb", value(s.ProcessRAMMB), s.ProcessRAMMB != nil)
	add("active_threads", value(s.ActiveThreads), s.ActiveThreads != nil)
	add("goroutines", s.Goroutines, true)
	for i := range s.GPUs {
		g := &s.GPUs[i]
		var of []slog.Attr
		if g.Utilization != nil {
			of = append(of, slog.Float64("gpu_utilization", *g.Utilization))
		}
		if g.MemoryPercent != nil {
			of = append(of, slog.Float64("memory_percent", *g.MemoryPercent))
		}
		attrs = append(attrs, slog.Attr{Key: "gpu." + g.ID, Value: slog.GroupValue(of...)})
	}
	if len(s.Findings) > 0 {
		codes := make([]string, len(s.Findings))
		for i := range s.Findings {
			codes[i] = string(s.Findings[i].Code)
		}
		add("findings", codes, true)
	}
	return attrs
}
