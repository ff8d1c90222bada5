package engine

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Bridge keeps all that an engine's /metrics says, histograms included, for those who want more of it
// than the readings of [Monitor]. It is a prometheus.Gatherer: give it to otlp.WithGatherer, and the
// engine's own series leave by OTLP beside ours, under vLLM's names.
//
// Client.URL must be set before Run; the zero value of the rest is a usable default. A Bridge is safe
// for concurrent use.
type Bridge struct {
	// Client asks the engine. Its MaxBytes bounds what is read; MaxSamples is not used.
	Client Client
	// Interval is the time between two readings; zero means 30 s.
	Interval time.Duration

	latest atomic.Pointer[reading]
}

// reading is what /metrics said at one moment.
type reading struct {
	families []*dto.MetricFamily
	taken    time.Time
}

// bridgeInterval is the default time between two readings of a Bridge: what leaves by OTLP does so once
// a minute by default.
const bridgeInterval = 30 * time.Second

// Run reads the engine until ctx ends, then returns nil.
func (b *Bridge) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if families, err := b.read(ctx); err == nil {
			b.latest.Store(&reading{families, time.Now()})
		}
		timer.Reset(b.interval())
	}
}

func (b *Bridge) interval() time.Duration {
	if b.Interval > 0 {
		return b.Interval
	}
	return bridgeInterval
}

func (b *Bridge) read(ctx context.Context) (families []*dto.MetricFamily, err error) {
	ctx, cancel := b.Client.bounded(ctx)
	defer cancel()
	err = b.Client.readMetrics(ctx, func(body io.Reader) error {
		text, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		parser := expfmt.NewTextParser(model.UTF8Validation) // the zero value panics
		found, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
		if err != nil {
			return &failure{"malformed", errMalformed}
		}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			families = append(families, found[name])
		}
		return nil
	})
	return families, err
}

// Gather returns the last reading; nothing once three were missed: old is not new. It never waits and
// returns no error. The families must not be changed.
func (b *Bridge) Gather() ([]*dto.MetricFamily, error) {
	r := b.latest.Load()
	if r == nil || time.Since(r.taken) > missesToStale*b.interval() {
		return nil, nil
	}
	return r.families, nil
}
