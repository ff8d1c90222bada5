package sim

import (
	"net/http"
	"strconv"
	"time"
)

// front is what the HTTP server counts.
type front struct {
	load                             int
	rejectedRequests, rejectedTokens float64
	requests                         map[httpKey]float64
	requestOrder                     []httpKey
	handlers                         map[string]*handlerStats
	handlerOrder                     []string
	durations                        map[httpKey]*histogram
	durationOrder                    []httpKey
	duration                         *histogram
	toolParser                       map[toolKey]float64
	sockets                          int // WebSockets that are open
	socketsOpened                    float64
	slept                            map[string]*histogram // how long /sleep and /wake_up took, by name
}

// httpKey are labels; durations have no status.
type httpKey struct{ handler, method, status string }

type handlerStats struct{ count, requestBytes, responseBytes float64 }

// toolKey are the labels of the tool parser's counter.
type toolKey struct{ mode, outcome string }

var (
	boundsHTTPHigh = []float64{.01, .025, .05, .075, .1, .25, .5, .75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60}
	boundsHTTP     = []float64{.1, .5, 1}
	boundsSleep    = []float64{.01, .1, 1, 10, 30, 60, 120, 300, 600}
)

func newFront() front {
	return front{
		requests: map[httpKey]float64{}, handlers: map[string]*handlerStats{}, durations: map[httpKey]*histogram{},
		duration: newHistogram(boundsHTTPHigh), toolParser: map[toolKey]float64{}, slept: map[string]*histogram{},
	}
}

// countHTTP counts a request when its answer has ended. Sizes are those of Content-Length, so 0 for a stream.
func (e *Engine) countHTTP(handler string, r *http.Request, w *countingWriter, took time.Duration) {
	size, _ := strconv.ParseFloat(w.Header().Get("Content-Length"), 64) // absent: 0
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	f := &e.front
	key := httpKey{handler, r.Method, strconv.Itoa(status/100) + "xx"}
	if _, ok := f.requests[key]; !ok {
		f.requestOrder = append(f.requestOrder, key)
	}
	f.requests[key]++
	h := f.handlers[handler]
	if h == nil {
		h = &handlerStats{}
		f.handlers[handler] = h
		f.handlerOrder = append(f.handlerOrder, handler)
	}
	h.count++
	h.requestBytes += float64(max(0, r.ContentLength))
	h.responseBytes += size
	f.duration.seconds(took)
	key.status = ""
	d := f.durations[key]
	if d == nil {
		d = newHistogram(boundsHTTP)
		f.durations[key] = d
		f.durationOrder = append(f.durationOrder, key)
	}
	d.seconds(took)
}
