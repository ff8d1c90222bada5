//go:build unix

package engine

import (
	"bytes"
	"context"
	"syscall"
	"testing"
	"time"
)

// BenchmarkScrape reads the metrics of an engine of two ranks, 90 kB, without the network.
func BenchmarkScrape(b *testing.B) {
	text := testdata(b, "vllm-metrics/metrics_new.txt")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		if _, err := parse(bytes.NewReader(text), DefaultMaxSamples); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N)/1000, "cpu-ms/op")
}

// cpu returns the time that this process has used, on a machine that others use too.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPoll takes a reading: state, totals, history, attributes.
func BenchmarkPoll(b *testing.B) {
	s, err := parse(bytes.NewReader(testdata(b, "vllm-metrics/metrics_new.txt")), DefaultMaxSamples)
	if err != nil {
		b.Fatal(err)
	}
	target := newTarget("h:1", Client{}, DefaultWedgedAfter)
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(DefaultInterval)
		read := *s
		read.Taken = at
		target.machine.next(observation{at: at, inFlight: -1, health: 200, snapshot: &read})
		target.publish(at)
	}
}

// BenchmarkCallback observes all metrics of one engine of two ranks.
func BenchmarkCallback(b *testing.B) {
	s, err := parse(bytes.NewReader(testdata(b, "vllm-metrics/metrics_new.txt")), DefaultMaxSamples)
	if err != nil {
		b.Fatal(err)
	}
	m := NewMonitor([]string{"http://h:1"})
	target := m.targets()[0]
	s.Taken = time.Now()
	target.machine.next(observation{at: s.Taken, inFlight: -1, health: 200, snapshot: s})
	target.publish(s.Taken)
	o := &observer{}
	b.ReportAllocs()
	for b.Loop() {
		_ = m.observe(context.Background(), o)
	}
}
