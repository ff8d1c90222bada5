package otelvllm_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

func TestStallIsExportedWhileTheRequestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resume := make(chan struct{})
		engine := fiveWords()
		engine.hangAfter, engine.resume = 3, resume
		var lines bytes.Buffer
		w := newWorld(engine, otelvllm.WithLogger(slog.New(slog.NewTextHandler(&lines, nil))))
		defer w.close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _, _ = w.post(t, t.Context(), chatPath, streamBody)
		}()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		requests := w.registry.Requests()
		if len(requests) != 1 {
			t.Fatalf("got %d running requests, want 1", len(requests))
		}
		stall := inflight.Stall{
			Cause: "no_progress", Phase: "decode", Summary: "s", Remedy: "r", Silence: 29700 * time.Millisecond,
			Evidence: map[string]any{"contents": 3},
		}
		requests[0].Stalled(stall)
		stall.Repeat = 1
		requests[0].Stalled(stall)
		synctest.Wait()

		span := w.span(t, "stall") // one, though it was reported twice
		wantAttrs(t, span, map[string]string{
			"vllm.stall.cause": "no_progress", "vllm.stall.phase": "decode", "vllm.stall.silence": "29.7",
			"vllm.stall.summary": "s", "vllm.stall.remedy": "r", "vllm.stall.evidence": `{"contents":3}`,
		})
		if want := (sdktrace.Status{Code: codes.Error, Description: "s; to do: r"}); span.Status != want {
			t.Errorf("got the status %v of the stall, want %v", span.Status, want)
		}
		if got := span.EndTime.Sub(span.StartTime); got != stall.Silence {
			t.Errorf("got a stall span of %s, want the silence of %s", got, stall.Silence)
		}
		if tree := w.tree(); strings.Contains(tree, "chat tiny") || strings.Contains(tree, "generation") {
			t.Errorf("the request's spans have ended though it still hangs:\n%s", tree)
		}
		if got := w.metrics(t)["vllm.request.stalled"].sum; got != 1 {
			t.Errorf("got %v stalled requests, want 1", got)
		}
		if n := strings.Count(lines.String(), "request stalled"); n != 2 {
			t.Errorf("got %d stall lines, want 2", n)
		}

		close(resume)
		<-done
		synctest.Wait()
		request := w.span(t, "chat tiny")
		if len(request.Events) != 1 || request.Events[0].Name != "stall" {
			t.Errorf("got events %v on the request span, want one stall", request.Events)
		}
		if span.Parent.SpanID() != w.span(t, "generation").SpanContext.SpanID() {
			t.Error("the stall's parent is not the generation")
		}
		m := w.metrics(t)
		if m["vllm.request.stalls"].sum != 1 || m["vllm.request.stalled"].sum != 0 {
			t.Errorf("got %v stalls and %v stalled, want 1 and 0", m["vllm.request.stalls"].sum, m["vllm.request.stalled"].sum)
		}
		if call := w.call(t); call.Stalls != 1 || call.Outcome != otelvllm.Completed {
			t.Errorf("got %d stalls, %s; want 1, completed", call.Stalls, call.Outcome)
		}
	})
}
