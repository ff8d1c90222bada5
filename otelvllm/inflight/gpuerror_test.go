package inflight

import (
	"testing"
	"time"
)

func TestRunningRequestsAreToldOfAGPUsErrors(t *testing.T) {
	r := &Registry{}
	told := map[string]int{}
	begin := func(name, engine string) *Request {
		return r.Begin(Info{Engine: engine, OnGPUError: func(e GPUError) {
			if e.XID != 79 || e.GPU != "GPU-1" || e.At.IsZero() {
				t.Errorf("%s: got %+v, want XID 79 of GPU-1 with a time", name, e)
			}
			told[name]++
		}})
	}
	begin("here", "127.0.0.1:8000")
	begin("elsewhere", "10.0.0.2:8000")
	begin("over", "127.0.0.1:8000").End("completed", nil, time.Now())
	r.Begin(Info{}) // nobody wants to know
	r.GPUError(GPUError{GPU: "GPU-1", XID: 79}, func(engine string) bool { return engine == "127.0.0.1:8000" })
	if told["here"] != 1 || len(told) != 1 {
		t.Errorf("got %v, want the request on this host, once", told)
	}
	for range 100 {
		r.GPUError(GPUError{GPU: "GPU-1", XID: 79}, nil)
	}
	if told["here"] != maxGPUErrors || told["elsewhere"] != maxGPUErrors || told["over"] != 0 {
		t.Errorf("after 100 more: got %v, want %d for each that runs", told, maxGPUErrors)
	}
	(*Registry)(nil).GPUError(GPUError{}, nil) // nothing happens
}
