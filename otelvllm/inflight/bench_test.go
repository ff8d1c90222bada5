package inflight_test

import (
	"testing"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

var info = inflight.Info{
	TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", SpanID: "00f067aa0ba902b7",
	Operation: "chat", Model: "meta-llama/Llama-3.1-8B-Instruct", Route: "/v1/chat/completions", Stream: true,
}

func BenchmarkBeginEnd(b *testing.B) {
	var r inflight.Registry
	spans := []inflight.Span{{Name: "chat", Parent: -1}, {Name: "generation"}}
	b.ReportAllocs()
	for b.Loop() {
		r.Begin(info).End("completed", spans, time.Now())
	}
}

func BenchmarkProgress(b *testing.B) {
	var r inflight.Registry
	q := r.Begin(info)
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(1)
		q.Progress(at, 1)
	}
}

func BenchmarkProgressWithoutContent(b *testing.B) {
	var r inflight.Registry
	q := r.Begin(info)
	at := time.Now()
	for b.Loop() {
		at = at.Add(1)
		q.Progress(at, 0)
	}
}

func BenchmarkRunning10000(b *testing.B) {
	var r inflight.Registry
	for range 10_000 {
		r.Begin(info)
	}
	b.ReportAllocs()
	for b.Loop() {
		if n := len(r.Running()); n != 10_000 {
			b.Fatalf("got %d running, want 10000", n)
		}
	}
}
