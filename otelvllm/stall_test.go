package otelvllm_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/watchdog"
)

func TestStallIsExportedWhileTheRequestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resume := make(chan struct{})
		engine := fiveWords()
		engine.hangAfter, engine.resume = 3, resume
		var lines bytes.Buffer
		w := newWorld(engine, otelvllm.WithLogger(slog.New(slog.NewTextHandler(&lines, nil))))
		defer w.close()
		dog := &watchdog.Watchdog{Registry: w.registry, StallAfter: 30 * time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = dog.Run(ctx) }()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _, _ = w.post(t, t.Context(), chatPath, streamBody)
		}()

		time.Sleep(30 * time.Second)
		synctest.Wait()
		if f := dog.Findings(); len(f) != 0 {
			t.Fatalf("got findings %v before the threshold, want none", f)
		}
		time.Sleep(350 * time.Millisecond) // the last word came after 300 ms
		synctest.Wait()
		stall := w.span(t, "stall")
		wantAttrs(t, stall, map[string]string{
			"vllm.stall.cause": "no_progress", "vllm.stall.phase": "decode", "vllm.stall.silence": "30",
		})
		for _, name := range []string{"chat tiny", "generation", "POST"} {
			if strings.Contains(w.tree(), name) {
				t.Errorf("span %q has ended though the request still hangs", name)
			}
		}
		f := dog.Findings()
		if len(f) != 1 || f[0].Code != watchdog.NoProgress || len(f[0].Requests) != 1 || f[0].Requests[0] != stall.SpanContext.TraceID().String() {
			t.Fatalf("got findings %+v, want one of no_progress with the request's trace", f)
		}
		if got := w.metrics(t)["vllm.request.stalled"].sum; got != 1 {
			t.Errorf("got %v stalled requests, want 1", got)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		w.span(t, "stall") // still one
		if n := strings.Count(lines.String(), "request stalled"); n < 3 || n > 6 {
			t.Errorf("got %d stall lines in ten minutes, want a few", n)
		}

		close(resume)
		<-done
		synctest.Wait()
		request := w.span(t, "chat tiny")
		if len(request.Events) != 1 || request.Events[0].Name != "stall" {
			t.Errorf("got events %v on the request span, want one stall", request.Events)
		}
		if stall.Parent.SpanID() != w.span(t, "generation").SpanContext.SpanID() {
			t.Error("the stall's parent is not the generation")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if f := dog.Findings(); len(f) != 0 {
			t.Errorf("got findings %v after the request ended, want none", f)
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

func TestHealthyRequestsRaiseNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &scripted{first: 25 * time.Second, gap: 25 * time.Second, words: strings.Fields("a long prefill and a slow decode")}
		w := newWorld(slow)
		defer w.close()
		dog := &watchdog.Watchdog{Registry: w.registry, StallAfter: 30 * time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = dog.Run(ctx) }()
		for _, body := range []string{streamBody, wholeBody} {
			if _, _, err := w.post(t, t.Context(), chatPath, body); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := w.metrics(t)["vllm.request.stalls"].sum; got != 0 {
			t.Errorf("got %v stalls, want 0", got)
		}
	})
}
