package sim

import (
	"sort"
	"time"
)

// stats are what one rank counts. Their names are those of vLLM's series.
type stats struct {
	created time.Time
	gauges  gauges

	prefixQueries, prefixHits         float64
	preemptions                       float64
	promptTokens, generationTokens    float64
	promptComputed, promptCached      float64
	success                           map[string]float64
	promptLen, generationLen          *histogram
	iteration                         *histogram
	maxGeneration, paramsN, paramsMax *histogram
	firstToken, interToken, perToken  *histogram
	endToEnd, queueTime, inference    *histogram
	prefillTime, decodeTime           *histogram
	preemptionsPerRequest, kvComputed *histogram
}

// gauges are set when a step has ended, and stay until the next one has.
type gauges struct {
	running, capacity, deferred int
	usage                       float64
}

// finishReasons are the values of finished_reason, in the order in which vLLM lists them.
var finishReasons = []string{"stop", "length", "abort", "error", "repetition"}

var (
	boundsFirstToken = []float64{
		.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
		160, 640, 2560,
	}
	boundsInterToken = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	boundsLatency    = []float64{
		.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920,
		7680,
	}
	boundsIteration   = []float64{1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384}
	boundsN           = []float64{1, 2, 5, 10, 20}
	boundsPreemptions = []float64{1, 2, 3, 4, 5, 10, 20}
)

// boundsLength is 1, 2, 5, 10, … as far as limit.
func boundsLength(limit int) (bounds []float64) {
	for decade := 1; decade <= limit; decade *= 10 {
		for _, m := range []int{1, 2, 5} {
			if m*decade <= limit {
				bounds = append(bounds, float64(m*decade))
			}
		}
	}
	return bounds
}

func newStats(maxModelLen int) stats {
	length := boundsLength(maxModelLen)
	return stats{
		created: time.Now(), success: map[string]float64{},
		promptLen: newHistogram(length), generationLen: newHistogram(length), iteration: newHistogram(boundsIteration),
		maxGeneration: newHistogram(length), paramsN: newHistogram(boundsN), paramsMax: newHistogram(length),
		firstToken: newHistogram(boundsFirstToken), interToken: newHistogram(boundsInterToken),
		perToken: newHistogram(boundsInterToken), endToEnd: newHistogram(boundsLatency),
		queueTime: newHistogram(boundsLatency), inference: newHistogram(boundsLatency),
		prefillTime: newHistogram(boundsLatency), decodeTime: newHistogram(boundsLatency),
		preemptionsPerRequest: newHistogram(boundsPreemptions), kvComputed: newHistogram(length),
	}
}

// histogram counts values by upper bound. The last count is that of values above every bound.
type histogram struct {
	bounds []float64
	counts []float64
	sum    float64
}

func newHistogram(bounds []float64) *histogram {
	return &histogram{bounds: bounds, counts: make([]float64, len(bounds)+1)}
}

func (h *histogram) observe(v float64) {
	h.counts[sort.SearchFloat64s(h.bounds, v)]++
	h.sum += v
}

func (h *histogram) seconds(d time.Duration) { h.observe(d.Seconds()) }
