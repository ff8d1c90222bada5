package livepage

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/health"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// sampler takes samples of a registry in virtual time.
type sampler struct {
	flow
	src Source
}

func newSampler() *sampler { return &sampler{src: Source{Registry: &inflight.Registry{}}} }

// after waits and takes a sample.
func (s *sampler) after(d time.Duration) sample {
	time.Sleep(d)
	return s.take(time.Now(), &s.src, &health.Stats{})
}

// begin starts a stream.
func (s *sampler) begin(name string) *inflight.Request {
	q := s.src.Registry.Begin(inflight.Info{TraceID: name, SpanID: name, Model: "m", Stream: true})
	q.Enter(inflight.PhaseQueueOrPrefill, time.Now())
	return q
}

func wantValue(t *testing.T, s sample, series int, want float64) {
	t.Helper()
	got := s.values[series]
	if math.IsNaN(want) != math.IsNaN(got) || math.Abs(got-want) > 1e-9 {
		t.Errorf("%s: got %v, want %v", seriesNames[series], got, want)
	}
}

func TestAStreamIsSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSampler()
		nothing := s.after(0)
		for _, series := range []int{hereRate, firstMedian, firstSlowest, gapTypical, silenceLongest, engineRate, cache, gpuBusy} {
			wantValue(t, nothing, series, math.NaN())
		}
		wantValue(t, nothing, inFlight, 0)
		wantValue(t, nothing, failed, 0)

		q := s.begin("a")
		waits := s.after(2 * time.Second)
		wantValue(t, waits, inFlight, 1)
		wantValue(t, waits, hereRate, 0)
		wantValue(t, waits, silenceLongest, 2)
		wantValue(t, waits, firstMedian, math.NaN())

		time.Sleep(time.Second)
		q.Enter(inflight.PhaseDecode, time.Now())
		q.Progress(time.Now(), 10)
		decodes := s.after(time.Second)
		wantValue(t, decodes, firstMedian, 3)
		wantValue(t, decodes, firstSlowest, 3)
		wantValue(t, decodes, hereRate, 5) // 10 in 2 s
		wantValue(t, decodes, gapTypical, 0.1)
		wantValue(t, decodes, silenceLongest, 1)

		q.Progress(time.Now(), 40)
		q.End("completed", nil, time.Now())
		ended := s.after(2 * time.Second)
		wantValue(t, ended, hereRate, 20)
		wantValue(t, ended, completed, 1)
		wantValue(t, ended, inFlight, 0)
		wantValue(t, s.after(11*time.Second), firstMedian, math.NaN())
		wantValue(t, s.after(time.Minute), completed, 0)
	})
}

func TestARequestBetweenTwoSamplesIsCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSampler()
		s.after(0)
		time.Sleep(time.Millisecond)
		start := time.Now()
		q := s.begin("short")
		time.Sleep(100 * time.Millisecond)
		q.Progress(time.Now(), 6)
		first := time.Now()
		time.Sleep(100 * time.Millisecond)
		q.End("failed", []inflight.Span{
			{Name: "chat m", Parent: -1, Start: start, Duration: time.Since(start)},
			{Name: "first_token", Parent: 0, Start: start, Duration: first.Sub(start)},
			{Name: "decode", Parent: 0, Start: first, Duration: time.Since(first)},
		}, time.Now())
		rejected := s.begin("rejected")
		rejected.End("rejected", nil, time.Now())
		v := s.after(2*time.Second - 201*time.Millisecond)
		wantValue(t, v, hereRate, 3)
		wantValue(t, v, failed, 1)
		wantValue(t, v, completed, 0)
		wantValue(t, v, firstMedian, 0.1)
		again := s.after(2 * time.Second)
		wantValue(t, again, hereRate, 0)
		wantValue(t, again, failed, 1)
	})
}

func TestWhatRanBeforeIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSampler()
		q := s.begin("old")
		q.Enter(inflight.PhaseDecode, time.Now())
		q.Progress(time.Now(), 1000)
		time.Sleep(time.Minute)
		wantValue(t, s.after(0), hereRate, math.NaN())
		v := s.after(2 * time.Second)
		wantValue(t, v, hereRate, 0)
		wantValue(t, v, firstMedian, math.NaN())
	})
}

func TestMoreThanTheHistoryKeepsIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSampler()
		s.src.Registry.History = 10
		s.after(0)
		time.Sleep(time.Second)
		for i := range 11 {
			s.begin(strconv.Itoa(i)).End("completed", nil, time.Now())
		}
		v := s.after(time.Second)
		wantValue(t, v, completed, math.NaN())
		wantValue(t, v, hereRate, math.NaN())
		wantValue(t, s.after(2*time.Second), completed, math.NaN())
		wantValue(t, s.after(time.Minute), completed, 0)
	})
}

func TestTheHealthDocumentIsSampled(t *testing.T) {
	p := func(v float64) *float64 { return &v }
	n := int64(3)
	var f flow
	v := f.take(time.Now(), &Source{}, &health.Stats{
		OutputRate: p(120), Running: &n, GPUCachePercent: p(42),
		GPUs: []health.GPUStats{{Utilization: p(50), MemoryPercent: p(80)}, {Utilization: p(100), MemoryPercent: p(70)}, {}},
	})
	wantValue(t, v, engineRate, 120)
	wantValue(t, v, running, 3)
	wantValue(t, v, waiting, math.NaN())
	wantValue(t, v, cache, 42)
	wantValue(t, v, gpuBusy, 75)
	wantValue(t, v, gpuMemory, 80)
	wantValue(t, v, inFlight, math.NaN())
	wantValue(t, v, findings, math.NaN())
}

func TestTheRingKeepsAQuarterOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r ring
		if got := r.last(time.Now()); len(got) != 0 {
			t.Errorf("got %d samples of nothing", len(got))
		}
		for range 1000 {
			time.Sleep(step)
			r.add(sample{at: time.Now()})
		}
		got := r.last(time.Now())
		if len(got) != samples || !got[len(got)-1].at.Equal(time.Now()) || time.Since(got[0].at) != span {
			t.Errorf("got %d samples from %s to %s ago, want %d from %s to now", len(got), time.Since(got[0].at), time.Since(got[len(got)-1].at), samples, span)
		}
		for i := 1; i < len(got); i++ {
			if got[i].at.Sub(got[i-1].at) != step {
				t.Fatalf("sample %d is %s after the one before, want %s", i, got[i].at.Sub(got[i-1].at), step)
			}
		}
		time.Sleep(10 * time.Minute) // nobody took samples
		if got := r.last(time.Now()); len(got) != samples-300 {
			t.Errorf("got %d samples ten minutes later, want %d", len(got), samples-300)
		}
	})
}

func TestTheHistoryHasNullForUnknown(t *testing.T) {
	s := sample{at: time.UnixMilli(1700000000000)}
	for i := range s.values {
		s.values[i] = math.NaN()
	}
	s.values[cache], s.values[running] = 0, math.Inf(1)
	body, err := historyJSON([]sample{s})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Step   float64               `json:"step_seconds"`
		At     []int64               `json:"at_unix_ms"`
		Series map[string][]*float64 `json:"series"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if got.Step != 2 || len(got.At) != 1 || got.At[0] != 1700000000000 || len(got.Series) != seriesCount {
		t.Errorf("got %s", body)
	}
	for name, column := range got.Series {
		if len(column) != 1 || (column[0] != nil) != (name == "gpu_cache_usage_percent") {
			t.Errorf("%s: got %v, want only the KV cache to be known", name, column)
		}
	}
}
