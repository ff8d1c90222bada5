package livepage

import (
	"encoding/json"
	"math"
	"sync"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/health"
)

// The history: a quarter of an hour in steps of two seconds, in a ring of fixed size.
const (
	step    = 2 * time.Second
	span    = 15 * time.Minute
	samples = int(span/step) + 1
)

// The series of the history, in the order of values.
const (
	engineRate     = iota // tokens per second, all that the engines generate
	hereRate              // events with content per second, of the requests that run through here
	firstMedian           // s, of the first tokens of the last ten seconds
	firstSlowest          // s
	gapTypical            // s, median over the streams
	silenceLongest        // s, of any stream now
	running               // requests in the engines
	waiting               // requests in the engines
	inFlight              // requests through here
	cache                 // percent
	gpuBusy               // percent, mean of the GPUs
	gpuMemory             // percent, of the fullest GPU
	completed             // requests of the last minute
	failed                // requests of the last minute
	findings              // how many there are
	seriesCount
)

// seriesNames are the names of the series in the JSON form.
var seriesNames = [seriesCount]string{
	"engine_output_tokens_per_second", "contents_per_second", "time_to_first_token_median_seconds",
	"time_to_first_token_slowest_seconds", "token_gap_median_seconds", "silence_longest_seconds",
	"num_running_requests", "num_waiting_requests", "pending_tasks", "gpu_cache_usage_percent",
	"gpu_utilization_percent", "gpu_memory_percent", "completed_per_minute", "failed_per_minute", "findings",
}

// values is one sample of every series. NaN is unknown.
type values [seriesCount]float64

// sample is the values at one time.
type sample struct {
	at time.Time
	values
}

// known returns a value, or NaN if it is no finite number.
func (s *sample) known(series int) float64 {
	if v := s.values[series]; !math.IsInf(v, 0) {
		return v
	}
	return math.NaN()
}

// ring keeps the last samples. The zero value is ready.
type ring struct {
	mu   sync.Mutex // held while samples are copied
	kept [samples]sample
	next int
	full bool
}

func (r *ring) add(s sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept[r.next] = s
	r.next = (r.next + 1) % samples
	r.full = r.full || r.next == 0
}

// last returns the samples of the quarter of an hour before now, oldest first.
func (r *ring) last(now time.Time) []sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]sample, 0, samples)
	if r.full {
		list = append(list, r.kept[r.next:]...)
	}
	list = append(list, r.kept[:r.next]...)
	for len(list) > 0 && now.Sub(list[0].at) > span {
		list = list[1:]
	}
	return list
}

// take makes one sample.
func (f *flow) take(now time.Time, src *Source, stats *health.Stats) sample {
	s := sample{at: now}
	for i := range s.values {
		s.values[i] = math.NaN()
	}
	f.look(src.Registry, now, &s.values)
	s.values[engineRate] = orNaN(stats.OutputRate)
	s.values[running], s.values[waiting] = countOrNaN(stats.Running), countOrNaN(stats.Waiting)
	s.values[cache] = orNaN(stats.GPUCachePercent)
	s.values[gpuBusy], s.values[gpuMemory] = gpuLoad(stats.GPUs)
	if stats.Findings != nil {
		s.values[findings] = float64(len(stats.Findings))
	}
	return s
}

// gpuLoad returns the mean utilization and the fullest memory of the GPUs, in percent.
func gpuLoad(gpus []health.GPUStats) (busy, memory float64) {
	busy, memory = math.NaN(), math.NaN()
	sum, known := 0.0, 0
	for i := range gpus {
		if u := gpus[i].Utilization; u != nil {
			sum += *u
			known++
		}
		if m := gpus[i].MemoryPercent; m != nil {
			memory = fmax(memory, *m)
		}
	}
	if known > 0 {
		busy = sum / float64(known)
	}
	return busy, memory
}

func orNaN(p *float64) float64 {
	if p == nil {
		return math.NaN()
	}
	return *p
}

func countOrNaN(p *int64) float64 {
	if p == nil {
		return math.NaN()
	}
	return float64(*p)
}

// historyJSON is the JSON form of the history: one list of times, and one list of the same length
// for each series, in which null is unknown.
func historyJSON(list []sample) ([]byte, error) {
	document := struct {
		Step   float64               `json:"step_seconds"`
		At     []int64               `json:"at_unix_ms"`
		Series map[string][]*float64 `json:"series"`
	}{step.Seconds(), make([]int64, len(list)), make(map[string][]*float64, seriesCount)}
	for i := range list {
		document.At[i] = list[i].at.UnixMilli()
	}
	for k, name := range seriesNames {
		column := make([]*float64, len(list))
		for i := range list {
			if v := list[i].known(k); !math.IsNaN(v) {
				column[i] = &v
			}
		}
		document.Series[name] = column
	}
	return json.Marshal(document)
}
