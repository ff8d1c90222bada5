package otlp

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// stubborn is an exporter that does not obey its context until it is let go.
type stubborn struct{ release chan struct{} }

func (s stubborn) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	<-s.release
	return nil
}

func (s stubborn) Shutdown(context.Context) error {
	<-s.release
	return nil
}

// virtual is a Telemetry with spans alone, for virtual time.
func virtual(p *spanProcessor, account *ledger) *Telemetry {
	t := &Telemetry{accounts: newAccounts(), spans: p, shutdown: newOnce()}
	t.accounts.traces = account
	t.flushes = append(t.flushes, p.ForceFlush)
	return t
}

func TestShutdownStates(t *testing.T) {
	tests := map[string]struct {
		prepare func(t *testing.T, tr *tracing)
		limit   time.Duration
		lost    int64
	}{
		"idle":                     {func(*testing.T, *tracing) {}, time.Second, 0},
		"idle and already expired": {func(*testing.T, *tracing) {}, 0, 0},
		"spans wait":               {func(t *testing.T, tr *tracing) { tr.end(t, 5) }, time.Second, 0},
		"10,000 spans wait, hung": {func(t *testing.T, tr *tracing) {
			tr.collector.always(reply{hang: true})
			tr.end(t, 10_000)
		}, 2 * time.Second, 10_000},
		"exporting": {func(t *testing.T, tr *tracing) {
			tr.collector.always(reply{hang: true})
			tr.end(t, 5)
			time.Sleep(6 * time.Second)
		}, time.Second, 5},
		"already expired": {func(t *testing.T, tr *tracing) {
			tr.collector.always(reply{hang: true})
			tr.end(t, 5)
			time.Sleep(6 * time.Second)
		}, 0, 5},
		"retrying": {func(t *testing.T, tr *tracing) {
			tr.collector.always(reply{err: errRefused})
			tr.end(t, 5)
			time.Sleep(time.Minute)
		}, time.Second, 5},
		"retrying, and the collector is back": {func(t *testing.T, tr *tracing) {
			tr.collector.always(reply{err: errRefused})
			tr.end(t, 5)
			time.Sleep(time.Minute)
			tr.collector.set(nil)
		}, time.Second, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTracing(t, defaultLimits())
				test.prepare(t, tr)
				tel := virtual(tr.processor, tr.account)
				ctx, cancel := context.WithTimeout(t.Context(), test.limit)
				defer cancel()
				begin := time.Now()
				err := tel.Shutdown(ctx)
				if took := time.Since(begin); took > test.limit+50*time.Millisecond {
					t.Errorf("took %v, want at most %v and 50ms", took, test.limit)
				}
				var lost *LostError
				if errors.As(err, &lost); (lost != nil) != (test.lost > 0) || lost != nil && lost.Spans != test.lost {
					t.Errorf("got %v, want %d spans lost", err, test.lost)
				}
				if tel.Lost().Spans != test.lost {
					t.Errorf("Lost: got %+v, want %d spans", tel.Lost(), test.lost)
				}
				if again := tel.Shutdown(t.Context()); again != err { //nolint:errorlint // the same error each time
					t.Errorf("second Shutdown: got %v, want the same error %v", again, err)
				}
			})
		})
	}
}

func TestShutdownReturnsInTimeFromAnExporterThatDoesNotListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stubborn{make(chan struct{})}
		account := newLedger(signalTraces)
		p := newSpanProcessor(s, defaultLimits(), account, newReporter(func(error) {}))
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p))
		tel := virtual(p, account)
		for range 600 {
			_, span := provider.Tracer("test").Start(t.Context(), "span")
			span.End()
		}
		time.Sleep(time.Minute)
		for _, cancelled := range []bool{true, false} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if cancelled {
				cancel()
			}
			begin := time.Now()
			err := tel.Shutdown(ctx)
			cancel()
			if took := time.Since(begin); took > 50*time.Millisecond {
				t.Errorf("took %v, want at most 50ms", took)
			}
			if want := (&LostError{}); !errors.As(err, &want) || want.Spans != 600 {
				t.Errorf("got %v, want 600 spans lost", err)
			}
		}
		close(s.release) // its late success changes nothing
		synctest.Wait()
		if account.delivered != 0 || account.total() != 600 {
			t.Errorf("got %d delivered and %d lost, want 0 and 600", account.delivered, account.total())
		}
	})
}

func TestShutdownFromManySides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		tr.collector.always(reply{hang: true})
		tr.end(t, 3)
		tel := virtual(tr.processor, tr.account)
		results := make(chan error, 100)
		for range cap(results) {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				results <- tel.Shutdown(ctx)
			}()
		}
		hasty, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		synctest.Wait()
		if err := tel.Shutdown(hasty); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second caller with less time: got %v, want its own deadline", err)
		}
		want := tel.Shutdown(t.Context())
		for range cap(results) {
			if got := <-results; got != want { //nolint:errorlint // the same error each time
				t.Errorf("got %v, want %v", got, want)
			}
		}
	})
}

// Spans that end after Shutdown are lost, and counted.
func TestSpansAfterShutdownAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		tel := virtual(tr.processor, tr.account)
		_, span := tr.Tracer("test").Start(t.Context(), "stream")
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Fatalf("Shutdown: got %v, want nil", err)
		}
		span.End()
		if got := tel.Lost(); got != (Lost{Spans: 1}) {
			t.Errorf("Lost: got %+v, want 1 span", got)
		}
	})
}
