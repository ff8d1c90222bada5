package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/health"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

const (
	// patience is how long an engine may take to be known, beyond three intervals.
	patience = 5 * time.Second
	// window is what the latencies are of.
	window = time.Minute
)

// watch is what reads the engines and judges them.
type watch struct {
	options *options
	monitor *engine.Monitor
	source  health.Source
	failed  chan error // takes the monitor's error
}

// shot is what there is to see at one moment.
type shot struct {
	stats     health.Stats
	latencies []latency
}

// latency is three quantiles of what all engines together observed in the last minute.
type latency struct {
	name, short   string
	p50, p95, p99 engine.Value // seconds
}

// start reads the engines until stop is called.
func start(ctx context.Context, o *options, client *http.Client) (w *watch, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	opts := []engine.Option{engine.WithInterval(o.interval), engine.WithMeterProvider(noop.NewMeterProvider())}
	if client != nil {
		opts = append(opts, engine.WithHTTPClient(client))
	}
	w = &watch{options: o, monitor: engine.NewMonitor(o.engines, opts...), failed: make(chan error, 1)}
	w.source.Engines = w.monitor.Status
	w.source.Findings = w.firstLook
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.monitor.Run(ctx); err != nil {
			w.failed <- err
		}
	})
	if !o.once {
		// Without requests to watch, the threshold says only how long an engine must have stood still.
		dog := &watchdog.Watchdog{StallAfter: engine.DefaultWedgedAfter, Engines: w.monitor.Status}
		w.source.Findings = dog.Findings
		running.Go(func() { _ = dog.Run(ctx) }) // it returns no error
	}
	return w, func() { cancel(); running.Wait() }
}

func (w *watch) shot(ctx context.Context) *shot {
	s := &shot{stats: w.source.Stats(ctx)}
	for _, l := range []latency{
		{name: "time_to_first_token", short: "first token"}, {name: "inter_token_latency", short: "between tokens"}, {name: "queue", short: "in the queue"},
	} {
		l.p50 = w.monitor.Quantile(l.name, 0.50, window)
		l.p95 = w.monitor.Quantile(l.name, 0.95, window)
		l.p99 = w.monitor.Quantile(l.name, 0.99, window)
		s.latencies = append(s.latencies, l)
	}
	return s
}

// firstLook judges what is the case now, however short it has been so: a watchdog would wait some
// seconds before it shows that an engine is down.
func (w *watch) firstLook() []watchdog.Finding {
	const longAgo = 10 * time.Minute
	engines := w.monitor.Status()
	since := make(map[string]time.Time)
	for i := range engines {
		if e := &engines[i]; e.State != engine.Up && e.State != engine.Wedged {
			since[e.Address] = e.Since
			e.Since = e.Since.Add(-longAgo)
		}
	}
	findings := watchdog.Diagnose(watchdog.View{Now: time.Now(), Engines: engines, StallAfter: engine.DefaultWedgedAfter})
	for i := range findings {
		f := &findings[i]
		if f.Engine == nil {
			continue
		}
		if t := since[*f.Engine]; f.Since.Equal(t.Add(-longAgo)) {
			f.Since = t
		}
	}
	return findings
}

// settled tells that each engine is known well enough to be judged: by two readings, and if it has
// work and stands still between them, by as many as it takes.
func (w *watch) settled(waited time.Duration) bool {
	limit := 3*w.options.interval + patience
	engines := w.monitor.Status()
	if len(engines) == 0 {
		return false // no URL is one of an engine, which w.failed is about to say
	}
	for i := range engines {
		e := &engines[i]
		readable := e.State == engine.Up && e.Err == "" && !e.Mixed
		switch {
		case e.State == engine.Unknown, readable && e.Before == nil:
			if waited < limit {
				return false
			}
		case readable && stands(e) && len(e.FrozenRanks) == 0:
			if waited < limit+2*engine.DefaultWedgedAfter {
				return false
			}
		}
	}
	return true
}

// stands tells that a rank of an engine has work, and made no progress between the last two readings.
func stands(e *engine.Status) bool {
	for i := range e.Snapshot.Ranks {
		now := &e.Snapshot.Ranks[i]
		for j := range e.Before.Ranks {
			before := &e.Before.Ranks[j]
			if before.Rank == now.Rank && before.Model == now.Model && work(before) && work(now) && now.Iterations == before.Iterations &&
				now.GenerationTokens == before.GenerationTokens && now.PromptTokens == before.PromptTokens && now.KVCache == before.KVCache {
				return true
			}
		}
	}
	return false
}

// work tells that a rank has requests, other than those that wait for something outside it.
func work(r *engine.Rank) bool { return r.Running.V+r.Waiting.V-r.WaitingDeferred.V > 0 }
