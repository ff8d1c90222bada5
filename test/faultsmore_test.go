//go:build live

package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/otelvllm/otelvllm-go/examples/gateway/sidecar"
	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

// TestLiveFaultsWithoutAHang are the faults in which a request waits for an engine that is not there yet, or ends.
func TestLiveFaultsWithoutAHang(t *testing.T) {
	kit, err := filepath.Abs(os.Getenv("OTELVLLM_VLLM_KIT"))
	if err != nil || os.Getenv("OTELVLLM_VLLM_KIT") == "" {
		t.Skip("OTELVLLM_VLLM_KIT is not set to a folder with the commands start, stop and fault for a vLLM")
	}
	stop := func() { _, _ = exec.Command(filepath.Join(kit, "stop"), "--port", faultPort).CombinedOutput() }
	t.Cleanup(stop)
	calls := make(chan otelvllm.Call, 64)
	target, _ := url.Parse(faultEngine)
	spans := tracetest.NewInMemoryExporter()
	gateway := sidecar.New(sidecar.Config{Engine: target, StallAfter: faultStall, ScrapeInterval: 500 * time.Millisecond, UsageInjection: true, WaitReady: 3 * time.Minute},
		otelvllm.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))),
		otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) { calls <- c }))
	front := httptest.NewServer(gateway.Handler)
	ctx, cancel := context.WithCancel(t.Context())
	b := &bench{t: t, kit: kit, gateway: gateway, front: front, spans: spans, ctx: ctx, leave: cancel}
	defer b.close()
	b.streams.Go(func() { _ = gateway.Monitor.Run(ctx) })
	b.streams.Go(func() { _ = gateway.Watchdog.Run(ctx) })

	cmd := exec.Command(filepath.Join(kit, "start"), "--port", faultPort, "--max-num-queued-reqs", "12")
	cmd.Env = append(os.Environ(), "NO_WAIT=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("start the engine: %v\n%s", err, out)
	}
	b.streams.Go(func() { b.run("early", `"max_tokens":4`) })
	got, took := b.cause(watchdog.EngineUnreachable)
	exported := b.stallExported(watchdog.EngineUnreachable)
	t.Logf("| loading | engine_unreachable | %s | %.1f s | %v |", got, took.Seconds(), exported)
	if got != watchdog.EngineUnreachable || !exported {
		t.Errorf("loading: got %q, stall exported %v; want engine_unreachable, true", got, exported)
	}
	early := <-calls // it is answered once the engine is there
	if early.Outcome != otelvllm.Completed || early.EngineInit < faultStall || early.Stalls != 1 {
		t.Errorf("the request that waited: got %s after %s of waiting, %d stalls; want completed, with one stall", early.Outcome, early.EngineInit, early.Stalls)
	}
	settle(t, b)

	leaving, leave := context.WithCancel(ctx)
	for i := range 13 { // the limit is 12
		b.streams.Go(func() { streamUntil(leaving, front.URL, i) })
		<-time.After(50 * time.Millisecond)
	}
	refused := <-calls
	t.Logf("| admission limit | outcome failed, 503 | outcome %s, %s | %.2f s | - |", refused.Outcome, refused.ErrorType, refused.Duration.Seconds())
	if refused.Outcome != otelvllm.Failed || refused.ErrorType != "503" {
		t.Errorf("admission limit: got %s, %q; want failed, 503", refused.Outcome, refused.ErrorType)
	}

	leave()
	start := time.Now()
	for range 12 {
		if c := <-calls; c.Outcome != otelvllm.CallerLeft {
			t.Errorf("a caller who left: got %s, want caller_left", c.Outcome)
		}
	}
	for running := 1.0; running > 0; {
		s, err := (&engine.Client{URL: faultEngine}).Scrape(ctx)
		if err != nil || time.Since(start) > 10*time.Second {
			t.Fatalf("the engine still runs %v requests of callers who left: %v", running, err)
		}
		running = s.Sum(func(r *engine.Rank) engine.Value { return r.Running }).V
		<-time.After(100 * time.Millisecond)
	}
	t.Logf("| caller gone | outcome caller_left, 12 times; the engine runs none | so it was | %.1f s | - |", time.Since(start).Seconds())
}

// streamUntil reads a long stream until ctx ends.
func streamUntil(ctx context.Context, base string, number int) {
	body := fmt.Sprintf(`{"model":"tiny","prompt":"number %d","stream":true,"max_tokens":1900,"ignore_eos":true}`, number)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/completions", strings.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
