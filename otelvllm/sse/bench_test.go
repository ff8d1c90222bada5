package sse_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/otelvllm/sse"
)

// tokenEvent is an event of the size in which vLLM streams a token: 225 bytes of JSON.
var tokenEvent = []byte("data: " + `{"id":"chatcmpl-` + strings.Repeat("0", 207) + `"}` + "\n\n")

// write is a sink for the benchmarks that keeps the compiler from removing the call.
var delivered int

func benchmarkWrites(b *testing.B, events int, writes ...[]byte) {
	p := sse.Parser{OnEvent: func(e sse.Event) { delivered += len(e.Data) }}
	var size int
	for _, w := range writes {
		size += len(w)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, w := range writes {
			p.Write(w)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}

func BenchmarkWholeEvent(b *testing.B) { benchmarkWrites(b, 1, tokenEvent) }

func BenchmarkWholeEventCRLF(b *testing.B) {
	benchmarkWrites(b, 1, bytes.ReplaceAll(tokenEvent, []byte("\n"), []byte("\r\n")))
}

func BenchmarkNamedEvent(b *testing.B) {
	benchmarkWrites(b, 1, append([]byte("event: response.output_text.delta\n"), tokenEvent...))
}

func BenchmarkTenThousandEventsInOneWrite(b *testing.B) {
	benchmarkWrites(b, 10_000, bytes.Repeat(tokenEvent, 10_000))
}

func BenchmarkSplitEvent(b *testing.B) {
	benchmarkWrites(b, 1, tokenEvent[:100], tokenEvent[100:])
}

func BenchmarkBytewise(b *testing.B) { benchmarkWrites(b, 1, bytewise(tokenEvent)...) }

func BenchmarkOversizedEvent(b *testing.B) {
	benchmarkWrites(b, 1, []byte("data: "), bytes.Repeat([]byte("x"), 1<<20), []byte("\n\n"))
}
