package otlp

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A Collector answers 500 to what it will never take. Such a batch must not keep back those behind it.
func TestFault_E07_ABatchThatIsNeverTakenDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		tr.collector.set(func(_ *http.Request, items int) reply {
			if items == 7 {
				return reply{status: http.StatusInternalServerError}
			}
			return reply{}
		})
		tr.end(t, 7)
		time.Sleep(6 * time.Second)
		tr.end(t, 100)
		time.Sleep(50 * time.Second)
		if _, taken, _ := tr.collector.counts(); taken != 100 {
			t.Errorf("taken: got %d, want the 100 behind the bad batch", taken)
		}
		_ = shutdownIn(t, tr, time.Second)
		if lost := tr.balance(t, 107); lost["500"] != 7 || len(lost) != 1 {
			t.Errorf("lost: got %v, want 7 for 500", lost)
		}
		if requests, _, _ := tr.collector.counts(); requests != maxDoubts+1 {
			t.Errorf("requests: got %d, want %d", requests, maxDoubts+1)
		}
	})
}

// A 500 that passes costs nothing.
func TestAShortInternalErrorLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		tr.collector.always(reply{status: http.StatusInternalServerError})
		tr.end(t, 7)
		time.AfterFunc(25*time.Second, func() { tr.collector.set(nil) })
		time.Sleep(time.Minute)
		_ = shutdownIn(t, tr, time.Second)
		if lost := tr.balance(t, 7); len(lost) != 0 {
			t.Errorf("lost: got %v, want none", lost)
		}
	})
}

// An item that an exporter without a collector cannot write, such as a NaN for the console's JSON, costs itself alone.
func TestAnItemThatCannotBeWrittenCostsItselfAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := newLedger(signalTraces)
		q := newQueue(defaultLimits(), account, newReporter(func(error) {}), nil, func(_ context.Context, items []int) error {
			for _, i := range items {
				if i == 3 {
					return errors.New("json: unsupported value: NaN")
				}
			}
			return nil
		})
		for i := range 10 {
			q.add(i, 1)
		}
		time.Sleep(time.Minute + 5*time.Second)
		expired, cancel := context.WithCancel(t.Context())
		cancel() // so that nothing is delivered by the shutdown
		if err := q.shutdown(expired); err != nil {
			t.Errorf("shutdown: got %v, want nil", err)
		}
		if account.delivered != 9 || account.reasons()[reasonExport] != 1 {
			t.Errorf("got %d delivered and dropped %v, want 9 and 1", account.delivered, account.reasons())
		}
	})
}

// The back-off of a long outage must not use up the time of a shutdown.
func TestShutdownTriesEverySecond(t *testing.T) {
	for name, down := range map[string]reply{
		"refused":             {err: errRefused},
		"503 and Retry-After": {status: 503, header: http.Header{"Retry-After": {"120"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTracing(t, defaultLimits())
				tr.collector.always(down)
				tr.end(t, 7)
				time.Sleep(10 * time.Minute)
				time.AfterFunc(2*time.Second, func() { tr.collector.set(nil) })
				begin := time.Now()
				if err := shutdownIn(t, tr, 20*time.Second); err != nil {
					t.Errorf("Shutdown: got %v, want nil", err)
				}
				if took := time.Since(begin); took > 4*time.Second {
					t.Errorf("took %v, want about 3s", took)
				}
				if lost := tr.balance(t, 7); len(lost) != 0 {
					t.Errorf("lost: got %v, want none", lost)
				}
			})
		})
	}
}

// A stalled request flushes its span at once, and so may call often; a collector that asks for quiet gets it.
func TestFlushObeysRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		tr.collector.always(reply{status: 429, header: http.Header{"Retry-After": {"60"}}})
		tr.end(t, 1)
		time.Sleep(6 * time.Second)
		before, _, _ := tr.collector.counts()
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := tr.processor.ForceFlush(ctx); err == nil {
				t.Error("ForceFlush: got nil, want an error")
			}
			cancel()
		}
		if after, _, _ := tr.collector.counts(); after != before {
			t.Errorf("got %d requests while the collector wants quiet, want none", after-before)
		}
		tr.collector.set(nil)
		_ = shutdownIn(t, tr, time.Second)
		tr.balance(t, 1)
	})
}

// The exporters' errors carry the whole answer of the collector.
func TestFault_E06_ReportsAreShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		var reports []string
		tr.processor.queue.reporter = newReporter(func(err error) { reports = append(reports, err.Error()) })
		tr.collector.always(reply{status: 403, body: []byte(strings.Repeat("<html>\x1b[31m\r\n\xff", 200_000))})
		tr.end(t, 7)
		tel := virtual(tr.processor, tr.account)
		err := tel.Shutdown(t.Context())
		var lost *LostError
		if !errors.As(err, &lost) || lost.Spans != 7 {
			t.Errorf("Shutdown: got %v, want 7 spans lost", err)
		}
		if len(reports) != 1 || !strings.Contains(reports[0], "Forbidden") {
			t.Fatalf("reports: got %d, want one that tells Forbidden", len(reports))
		}
		for _, text := range append(reports, err.Error()) {
			if len(text) > maxReportBytes+100 || strings.ContainsAny(text, "\r\n\x1b") {
				t.Errorf("got a text of %d bytes or of several lines: %.80q", len(text), text)
			}
		}
	})
}

// A flush during a back-off sends everything, the last batch that is not full included.
func TestFlushDuringABackoffSendsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		tr.collector.always(reply{err: errRefused})
		tr.end(t, 700) // the full batch wakes the worker
		synctest.Wait()
		tr.collector.set(nil)
		begin := time.Now()
		if err := tr.processor.ForceFlush(t.Context()); err != nil {
			t.Errorf("ForceFlush: got %v, want nil", err)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("took %v, want no time", took)
		}
		_ = shutdownIn(t, tr, time.Second)
		tr.balance(t, 700)
	})
}
