package inflight_test

import (
	"math/rand/v2"
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

// BenchmarkProgress moves its clock on, which takes some 4 ns of what it shows: a time that does not
// move would be no news.
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

// tenThousand returns a registry of 10,000 running requests whose inner order is mixed up, as after
// a long time of use.
func tenThousand() *inflight.Registry {
	random := rand.New(rand.NewPCG(1, 2))
	r := new(inflight.Registry)
	var running []*inflight.Request
	for range 20_000 {
		running = append(running, r.Begin(info))
	}
	for range 10_000 {
		i := random.IntN(len(running))
		running[i].End("completed", nil, time.Now())
		running[i] = running[len(running)-1]
		running = running[:len(running)-1]
	}
	return r
}

func BenchmarkRunning10000(b *testing.B) {
	r := tenThousand()
	b.ReportAllocs()
	for b.Loop() {
		if n := len(r.Running()); n != 10_000 {
			b.Fatalf("got %d running, want 10000", n)
		}
	}
}

func BenchmarkRequests10000(b *testing.B) {
	r := tenThousand()
	b.ReportAllocs()
	for b.Loop() {
		if n := len(r.Requests()); n != 10_000 {
			b.Fatalf("got %d running, want 10000", n)
		}
	}
}

// BenchmarkBeginEndBesideReaders shows what a reader of 10,000 requests costs those who begin and
// end: the time for which the registry is locked.
func BenchmarkBeginEndBesideReaders(b *testing.B) {
	r := tenThousand()
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			default:
				r.Running()
			}
		}
	}()
	for b.Loop() {
		r.Begin(info).End("completed", nil, time.Now())
	}
	close(done)
	<-stopped
}
