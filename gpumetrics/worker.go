package gpumetrics

import (
	"context"
	"errors"
	"time"
)

// worker samples one GPU and the parts that it is divided into.
type worker struct {
	m       *Monitor
	s       *session
	devices []*device
	guard   *guard
	sample  Sample
	offset  time.Duration // how much later than the first worker's its regular samples are
	procs   []Process
}

// run samples until the session ends. What is read once comes first, so that the first picture is
// whole; then each GPU has its own moment in the interval, so that the driver is never asked for all
// at once.
func (w *worker) run(ctx context.Context) {
	for _, tier := range tiers {
		w.all(ctx, tier)
	}
	start := time.Now().Add(w.offset)
	next := [...]time.Time{Fast: start.Add(w.m.interval), Slow: start.Add(w.m.slow)}
	timer := time.NewTimer(time.Until(next[Fast]))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		for _, tier := range [...]Tier{Fast, Slow} {
			if now.Before(next[tier]) {
				continue
			}
			w.all(ctx, tier)
			for interval := w.interval(tier); !next[tier].After(time.Now()); {
				next[tier] = next[tier].Add(interval) // a sample that came too late is left out
			}
		}
		timer.Reset(time.Until(earlier(next[Fast], next[Slow])))
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (w *worker) interval(t Tier) time.Duration {
	if t == Slow {
		return w.m.slow
	}
	return w.m.interval
}

func (w *worker) all(ctx context.Context, tier Tier) {
	for _, d := range w.devices {
		if ctx.Err() != nil {
			return
		}
		if tier == Slow && d.again {
			w.try(ctx, d, Once)
		}
		w.try(ctx, d, tier)
	}
}

// try samples one tier of a device that is not to be left alone now.
func (w *worker) try(ctx context.Context, d *device, tier Tier) {
	if ctx.Err() == nil && !d.lost.Load() && !time.Now().Before(d.until) {
		w.take(ctx, d, tier)
	}
}

// take samples one tier of one device.
func (w *worker) take(ctx context.Context, d *device, tier Tier) {
	began := time.Now()
	d.prepare(&w.sample, w.m.table, began)
	err := w.guard.call(ctx, func() error { return d.dev.Sample(tier, &w.sample) })
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return
	}
	now := time.Now()
	w.m.instruments.duration(ctx, d, tier, now.Sub(began))
	switch {
	case err == nil:
		d.take(&w.sample, tier, w.m.table, now)
		w.m.ledgers.read(d, tier, now)
	case errors.Is(err, ErrLost):
		d.lost.Store(true)
		d.failure("lost")
		w.m.ledgers.gone(d.id())
		w.s.ask(lost)
	case errors.Is(err, ErrReopen):
		w.s.ask(reopen)
	case errors.Is(err, errPanicked):
		w.failed(d, "panic", now)
	default:
		w.failed(d, "sample_failed", now)
	}
	if err == nil && tier == Slow && w.m.processes {
		w.processes(ctx, d)
	}
}

// Pauses of a device whose samples fail one after the other.
const (
	minDevicePause = 30 * time.Second
	maxDevicePause = 5 * time.Minute
)

// failed counts a sample that gave nothing. Several in a row mean that the device is sick: it is
// then left alone for a while.
func (w *worker) failed(d *device, detail string, now time.Time) {
	if d.failures++; d.failures >= patience {
		pause := minDevicePause << min(d.failures-patience, 8)
		d.until = now.Add(min(pause, maxDevicePause))
	}
	d.failure(detail)
}

func (d *device) failure(detail string) {
	d.failed(detail)
	d.publish()
}

func (d *device) id() string { return d.info.Load().ID }

// processes lists the processes of a device that can.
func (w *worker) processes(ctx context.Context, d *device) {
	lister, ok := d.dev.(ProcessLister)
	if !ok {
		return
	}
	var found []processRecord
	err := w.guard.call(ctx, func() (err error) {
		w.procs, err = lister.Processes(w.procs[:0])
		if err == nil {
			found = processRecords(w.m.proc, d.info.Load(), w.procs)
		}
		return err
	})
	d.values.processes, d.values.list = nil, nil
	switch {
	case err == nil:
		d.values.processes = found
		d.values.list = append([]Process(nil), w.procs[:min(len(w.procs), maxProcesses)]...)
	case errors.Is(err, ErrUnsupported) || ctx.Err() != nil:
	case errors.Is(err, errPanicked):
		d.failed("panic")
	default:
		d.failed("processes_failed")
	}
	d.publish()
}
