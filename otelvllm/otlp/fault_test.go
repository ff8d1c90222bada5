package otlp

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func shutdownIn(t *testing.T, tr *tracing, d time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return tr.processor.Shutdown(ctx)
}

func TestFault_E01_CollectorDownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		tr.collector.always(reply{err: errRefused})
		tr.end(t, 10)
		time.Sleep(time.Minute)
		if _, taken, _ := tr.collector.counts(); taken != 0 {
			t.Fatalf("taken while down: got %d, want 0", taken)
		}
		tr.collector.set(nil)
		time.Sleep(maxBackoff)
		if _, taken, _ := tr.collector.counts(); taken != 10 {
			t.Errorf("taken %v after the collector came up: got %d, want 10", maxBackoff, taken)
		}
		if err := shutdownIn(t, tr, time.Second); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
		tr.balance(t, 10)
	})
}

// An outage of five minutes at 50 spans/s, beside the SDK's own batch processor on the same exporter.
func TestFault_E02_OutageOfFiveMinutes(t *testing.T) {
	for name, down := range map[string]reply{
		"refused": {err: errRefused}, "503": {status: 503}, "hang": {hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := newTracing(t, defaultLimits())
				theirs := &collector{}
				exporter, err := otlptracehttp.New(t.Context(),
					otlptracehttp.WithHTTPClient(&http.Client{Transport: theirs, Timeout: 10 * time.Second}))
				if err != nil {
					t.Fatal(err)
				}
				tr.RegisterSpanProcessor(sdktrace.NewBatchSpanProcessor(exporter))
				const rate, seconds = 50, 300
				tr.collector.always(down)
				theirs.always(down)
				for range rate * seconds {
					tr.end(t, 1)
					time.Sleep(time.Second / rate)
				}
				tr.collector.set(nil)
				theirs.set(nil)
				time.Sleep(time.Minute)
				if err := tr.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown: got %v, want nil", err)
				}
				if lost := tr.balance(t, rate*seconds); len(lost) != 0 {
					t.Errorf("lost: got %v, want none", lost)
				}
				_, taken, _ := theirs.counts()
				t.Logf("%s: the SDK's batch processor delivered %d of %d", name, taken, rate*seconds)
				if taken >= rate*seconds {
					t.Errorf("the SDK's own batch processor lost nothing: this test shows nothing any more")
				}
			})
		})
	}
}

func TestFault_E03_RetryAfterIsObeyedUpToALimit(t *testing.T) {
	tests := map[string]struct {
		header   string
		min, max time.Duration // from the first answer to the second request
	}{
		"seconds are waited for":        {"60", 60 * time.Second, 60 * time.Second},
		"an HTTP date is waited for":    {"date", 59 * time.Second, 61 * time.Second},
		"a huge number is capped":       {"99999999999", maxRetryAfter, maxRetryAfter},
		"a number beyond int64 is none": {"99999999999999999999999", time.Second, 2 * time.Second},
		"a negative number is none":     {"-5", time.Second, 2 * time.Second},
		"a word is none":                {"soon", time.Second, 2 * time.Second},
		"none is the usual back-off":    {"", time.Second, 2 * time.Second},
	}
	for name, test := range tests {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tr := newTracing(t, defaultLimits())
					var asked []time.Time
					tr.collector.set(func(*http.Request, int) reply {
						asked = append(asked, time.Now())
						if len(asked) > 1 {
							return reply{}
						}
						value := test.header
						if value == "date" {
							value = time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)
						}
						return reply{status: status, header: http.Header{"Retry-After": {value}}}
					})
					tr.end(t, 1)
					time.Sleep(10 * time.Minute)
					if err := shutdownIn(t, tr, time.Second); err != nil || len(asked) != 2 {
						t.Fatalf("got %d requests and %v, want 2 and nil", len(asked), err)
					}
					if got := asked[1].Sub(asked[0]); got < test.min || got > test.max {
						t.Errorf("waited %v, want %v to %v", got, test.min, test.max)
					}
					tr.balance(t, 1)
				})
			})
		}
	}
}

// Ending a span takes no time, whatever the collector does.
func TestFault_E04_HangingCollectorDoesNotSlowSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		tr.collector.always(reply{hang: true})
		begin := time.Now()
		tr.end(t, 2000)
		if took := time.Since(begin); took != 0 {
			t.Errorf("2000 spans waited %v of virtual time, want none", took)
		}
		time.Sleep(time.Hour)
		tr.end(t, 2000)
		tr.collector.set(nil)
		time.Sleep(time.Minute)
		if err := shutdownIn(t, tr, time.Second); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
		if lost := tr.balance(t, 4000); len(lost) != 0 {
			t.Errorf("lost: got %v, want none", lost)
		}
	})
}

func TestFault_E08_CollectorRestartsEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		begin := time.Now()
		tr.collector.set(func(*http.Request, int) reply {
			if int(time.Since(begin)/(10*time.Second))%2 == 0 {
				return reply{err: errRefused}
			}
			return reply{}
		})
		for range 3000 {
			tr.end(t, 1)
			time.Sleep(100 * time.Millisecond)
		}
		if err := shutdownIn(t, tr, time.Minute); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
		if lost := tr.balance(t, 3000); len(lost) != 0 {
			t.Errorf("lost: got %v, want none", lost)
		}
	})
}

func TestFault_E09_InvalidUTF8CostsNoBatch(t *testing.T) {
	const bad = "a\xffb"
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		tr.end(t, 3)
		_, s := tr.Tracer(bad).Start(t.Context(), bad)
		s.SetAttributes(attribute.String("value", bad), attribute.String(bad, "key"), attribute.StringSlice("list", []string{bad}),
			attribute.Map("map", attribute.String(bad, bad)), attribute.Slice("slice", attribute.StringValue(bad)))
		s.AddEvent(bad)
		s.SetStatus(codes.Error, bad)
		s.End()
		if err := shutdownIn(t, tr, time.Second); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
		if lost := tr.balance(t, 4); len(lost) != 0 {
			t.Errorf("lost: got %v, want none", lost)
		}
		got := tr.collector.spans[3]
		if want := "a\uFFFDb"; got.GetName() != want || got.GetStatus().GetMessage() != want || got.GetEvents()[0].GetName() != want {
			t.Errorf("got name %q, status %q, event %q, want each %q", got.GetName(), got.GetStatus().GetMessage(), got.GetEvents()[0].GetName(), want)
		}
	})
}

func TestFault_E10_HugeAttributeIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracing(t, defaultLimits())
		_, s := tr.Tracer("test").Start(t.Context(), "span")
		s.SetAttributes(attribute.String("huge", strings.Repeat("é", 5<<20)))
		s.End()
		if err := shutdownIn(t, tr, time.Second); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
		if got := len(tr.collector.spans[0].GetAttributes()[0].GetValue().GetStringValue()); got != maxStringBytes {
			t.Errorf("got %d bytes, want %d", got, maxStringBytes)
		}
	})
}

func TestFault_E11_QueueOverflowIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := defaultLimits()
		l.bytes = 100 * (spanCost + len("span"))
		tr := newTracing(t, l)
		tr.collector.always(reply{err: errRefused})
		tr.end(t, 1000)
		time.Sleep(time.Minute)
		tr.end(t, 10)
		tr.collector.set(nil)
		time.Sleep(time.Minute)
		tr.end(t, 100)
		if err := shutdownIn(t, tr, time.Second); err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
		if got := tr.balance(t, 1110)[reasonQueueFull]; got != 910 {
			t.Errorf("queue_full: got %d, want 910", got)
		}
	})
}

func TestFault_E13_PanicsAreSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := newLedger(signalTraces)
		calls := 0
		q := newQueue(defaultLimits(), account, newReporter(func(error) { panic("handler") }), nil, func(context.Context, []int) error {
			if calls++; calls == 1 {
				panic(errors.New("exporter"))
			}
			return nil
		})
		q.add(1, 1)
		if err := q.flush(t.Context()); err != nil {
			t.Errorf("flush: got %v, want nil", err)
		}
		q.add(2, 1)
		if err := q.shutdown(t.Context()); err != nil {
			t.Errorf("shutdown: got %v, want nil", err)
		}
		if account.delivered != 1 || account.reasons()[reasonPanic] != 1 {
			t.Errorf("got %d delivered and %v, want 1 and 1 for panic", account.delivered, account.reasons())
		}
	})
}
