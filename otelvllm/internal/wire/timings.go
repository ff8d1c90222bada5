package wire

import "math"

// timings are the times of a metrics object.
type timings struct {
	queue, prefill, decode reading
}

// reading is a time in seconds as told: unknown, from 0 to maxSeconds, or not one.
type reading struct {
	Float
	invalid bool
}

// maxSeconds is the longest time that is believed, about 31 years; it fits a time.Duration.
const maxSeconds = 1e9

// readMilliseconds takes a time. Null is how vLLM says that it did not measure.
func (r *reading) readMilliseconds(v *visit) {
	if v.closing {
		return
	}
	f := v.float()
	f.Value /= 1000
	if math.Signbit(f.Value) || f.Value > maxSeconds {
		f = Float{}
	}
	*r = reading{Float: f, invalid: !f.Known && v.kind != kindNull}
}

// metricsNode is the timing of one request that vLLM sends with --enable-per-request-metrics, in milliseconds. Its
// time to the first token counts from when the request was scheduled, so it is the prefill alone; its generation time
// is the decode. It is null for a request with several prompts or choices.
var metricsNode = &node[answer]{
	on: func(a *answer, v *visit) {
		if !v.closing {
			a.timings = timings{}
		}
	},
	members: []member[answer]{
		{"queue_time_ms", timeNode(func(t *timings) *reading { return &t.queue })},
		{"time_to_first_token_ms", timeNode(func(t *timings) *reading { return &t.prefill })},
		{"generation_time_ms", timeNode(func(t *timings) *reading { return &t.decode })},
	},
}

func timeNode(of func(*timings) *reading) *node[answer] {
	return &node[answer]{on: func(a *answer, v *visit) { of(&a.timings).readMilliseconds(v) }}
}

// addTo puts the times into t, each where it is known, and returns how many were invalid.
func (ts *timings) addTo(t *Timings) (invalid int64) {
	for _, r := range [...]struct {
		from *reading
		to   *Float
	}{{&ts.queue, &t.Queue}, {&ts.prefill, &t.Prefill}, {&ts.decode, &t.Decode}} {
		if r.from.Known {
			*r.to = r.from.Float
		}
		if r.from.invalid {
			invalid++
		}
	}
	return invalid
}
