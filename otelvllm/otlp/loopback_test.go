package otlp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
)

// closedPort returns an address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A collector over TCP that goes away and comes back gets everything, the three signals alike.
func TestFault_E08_CollectorComesBackOnItsPort(t *testing.T) {
	address := closedPort(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+address)
	tel := setup(t, WithErrorHandler(func(error) {}))
	const rounds, each = 3, 700 // more than one batch
	c := &collector{}
	for round := range rounds {
		for range each {
			use(t, tel)
		}
		down, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := tel.ForceFlush(down); err == nil {
			t.Errorf("round %d: ForceFlush without a collector: got nil, want an error", round)
		}
		cancel()
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Skipf("the port was taken by somebody else: %v", err)
		}
		server := &http.Server{Handler: c, ReadHeaderTimeout: time.Second}
		go func() { _ = server.Serve(l) }()
		if err := tel.ForceFlush(t.Context()); err != nil {
			t.Errorf("round %d: ForceFlush with a collector: got %v, want nil", round, err)
		}
		_ = server.Close()
	}
	if _, spans, logs := c.counts(); spans != rounds*each || logs != rounds*each {
		t.Errorf("got %d spans and %d log records, want %d each", spans, logs, rounds*each)
	}
	if got := tel.Lost(); got != (Lost{}) {
		t.Errorf("Lost: got %+v, want none", got)
	}
}

// A collector that accepts connections and never answers does not hold up Shutdown, by HTTP and by gRPC.
func TestFault_J02_ShutdownFromACollectorThatHangs(t *testing.T) {
	for _, protocol := range []string{protocolHTTP, protocolGRPC} {
		t.Run(protocol, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close() // connections wait in the backlog
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
			tel := setup(t, WithErrorHandler(func(error) {}))
			use(t, tel)
			const limit = 300 * time.Millisecond
			begin := time.Now()
			err = stop(tel, limit)
			if took := time.Since(begin); took > limit+300*time.Millisecond { // 50 ms, and room for a busy machine
				t.Errorf("Shutdown took %v, want %v and 50ms at most", took, limit)
			}
			var lost *LostError
			if !errors.As(err, &lost) || lost.Spans != 1 || lost.Logs != 1 || lost.Metrics == 0 {
				t.Errorf("got %v, want one span, one log record and the metrics lost", err)
			}
			if again := stop(tel, limit); again != err { //nolint:errorlint // the same error each time
				t.Errorf("second Shutdown: got %v, want the same error", again)
			}
		})
	}
}

// There is no spool on disk: an outage writes no file, so a full disk is none of its troubles.
func TestFault_E19_NothingIsWrittenToDisk(t *testing.T) {
	directory := t.TempDir()
	t.Setenv("TMPDIR", directory)
	t.Chdir(directory)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+closedPort(t))
	tel := setup(t, WithErrorHandler(func(error) {}), WithQueueBytes(1<<20))
	for range 5000 { // enough to be packed, and to overflow
		use(t, tel)
	}
	_ = stop(tel, 100*time.Millisecond)
	entries, err := os.ReadDir(directory)
	if err != nil || len(entries) != 0 {
		t.Errorf("got %v and %v, want an empty directory", entries, err)
	}
	if tel.Lost().Spans == 0 {
		t.Error("nothing was lost: this test shows nothing")
	}
}

// The name of a logger cannot be cleaned on its way; only its own records are lost.
func TestFault_E09_ABadLoggerNameCostsItsOwnRecords(t *testing.T) {
	c := serve(t)
	tel := setup(t, WithErrorHandler(func(error) {}))
	emit := func(name string) {
		var r log.Record
		r.SetBody(attribute.StringValue("line"))
		tel.LoggerProvider().Logger(name).Emit(t.Context(), r)
	}
	for range 50 {
		emit("good")
	}
	emit("a\xffb")
	for range 50 {
		emit("good")
	}
	if err := tel.ForceFlush(t.Context()); err != nil {
		t.Errorf("ForceFlush: got %v, want nil", err)
	}
	if _, _, logs := c.counts(); logs != 100 || tel.accounts.logs.reasons()[reasonEncoding] != 1 {
		t.Errorf("got %d records and dropped %v, want 100 and 1", logs, tel.accounts.logs.reasons())
	}
}
