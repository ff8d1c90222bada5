package otlp

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
)

// onEmit is a log processor of one function.
type onEmit func(*sdklog.Record)

func (f onEmit) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }
func (f onEmit) OnEmit(_ context.Context, r *sdklog.Record) error       { f(r); return nil }
func (f onEmit) Shutdown(context.Context) error                         { return nil }
func (f onEmit) ForceFlush(context.Context) error                       { return nil }

func TestLogRecordsOutliveAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &collector{}
		exporter, err := otlploghttp.New(t.Context(), otlploghttp.WithRetry(otlploghttp.RetryConfig{}),
			otlploghttp.WithHTTPClient(&http.Client{Transport: noting{c}}))
		if err != nil {
			t.Fatal(err)
		}
		account := newLedger(signalLogs)
		p := newLogProcessor(exporter, defaultLimits(), account, newReporter(func(error) {}))
		logger := sdklog.NewLoggerProvider(sdklog.WithProcessor(p)).Logger("test")
		emit := func(n int) {
			for range n {
				var r log.Record
				r.SetBody(attribute.StringValue("stall"))
				logger.Emit(t.Context(), r)
				time.Sleep(20 * time.Millisecond)
			}
		}
		c.always(reply{err: errRefused})
		emit(15_000)
		c.set(nil)
		time.Sleep(maxBackoff)
		emit(10)
		if err := p.ForceFlush(t.Context()); err != nil {
			t.Errorf("ForceFlush: got %v, want nil", err)
		}
		if _, _, taken := c.counts(); taken != 15_010 || account.delivered != 15_010 {
			t.Errorf("got %d taken and %d delivered, want 15010 each", taken, account.delivered)
		}

		c.always(reply{status: http.StatusUnauthorized})
		emit(3)
		c.always(reply{hang: true})
		emit(4)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: got %v, want a deadline", err)
		}
		var late log.Record
		logger.Emit(t.Context(), late)
		if account.made != 15_018 || account.delivered+account.total() != account.made {
			t.Errorf("made %d, delivered %d, dropped %v", account.made, account.delivered, account.reasons())
		}
	})
}
