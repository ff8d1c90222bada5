//go:build linux && cgo && (amd64 || arm64) && !nonvml

package nvml

import "github.com/NVIDIA/go-nvml/pkg/nvml"

// adapterEvents is a go-nvml event set behind the interface events.
type adapterEvents struct {
	*adapter
	set nvml.EventSet
}

func (a *adapter) newEvents() (e events, r ret) {
	if !a.has[callEventCreate] || !a.has[callEventFree] || !a.has[callEventWait] || !a.has[callEventRegister] {
		return nil, retNoFunction // all or none: a set that cannot be freed is not made
	}
	defer guard(&r)
	set, got := a.nvml.EventSetCreate()
	if got != nvml.SUCCESS {
		return nil, ret(got)
	}
	return &adapterEvents{a, set}, retSuccess
}

func (e *adapterEvents) register(h handle, types uint64) (r ret) {
	device, ok := h.(*adapterHandle)
	if !ok || !e.has[callEventRegister] {
		return retNoFunction
	}
	defer guard(&r)
	return ret(device.device.RegisterEvents(types, e.set))
}

func (e *adapterEvents) wait(ms uint32) (got event, r ret) {
	if !e.has[callEventWait] {
		return event{}, retNoFunction
	}
	defer guard(&r)
	data, status := e.set.Wait(ms)
	is := func(h handle) bool {
		device, ok := h.(*adapterHandle)
		return ok && device.device == data.Device
	}
	return event{types: data.EventType, data: data.EventData, is: is}, ret(status)
}

func (e *adapterEvents) free() (r ret) {
	if !e.has[callEventFree] {
		return retNoFunction
	}
	defer guard(&r)
	return ret(e.set.Free())
}

// adapterGPM is two of go-nvml's GPM samples behind the interface gpm.
type adapterGPM struct {
	*adapter
	older, newer nvml.GpmSample
	// request is kept, since it has 19 kB.
	request nvml.GpmMetricsGetType
}

func (a *adapter) newGPM() (g gpm, r ret) {
	if !a.has[callGPMAlloc] || !a.has[callGPMFree] || !a.has[callGPMMetrics] {
		return nil, retNoFunction
	}
	defer guard(&r)
	older, got := a.nvml.GpmSampleAlloc()
	if got != nvml.SUCCESS {
		return nil, ret(got)
	}
	newer, got := a.nvml.GpmSampleAlloc()
	if got != nvml.SUCCESS {
		_ = older.Free() // it was made; that the second was not is the error to tell
		return nil, ret(got)
	}
	return &adapterGPM{adapter: a, older: older, newer: newer}, retSuccess
}

func (g *adapterGPM) take(h handle, instance int) (r ret) {
	device, ok := h.(*adapterHandle)
	if !ok || !g.has[callGPMTake] || instance >= 0 && !g.has[callGPMTakeMIG] {
		return retNoFunction
	}
	defer guard(&r)
	if instance >= 0 {
		r = ret(device.device.GpmMigSampleGet(instance, g.older))
	} else {
		r = ret(device.device.GpmSampleGet(g.older))
	}
	if r == retSuccess {
		g.older, g.newer = g.newer, g.older
	}
	return r
}

func (g *adapterGPM) metrics(m []gpmMetric) (r ret) {
	if !g.has[callGPMMetrics] {
		return retNoFunction
	}
	defer guard(&r)
	g.request.Sample1, g.request.Sample2 = g.older, g.newer
	g.request.NumMetrics = uint32(len(m))
	for i := range m {
		g.request.Metrics[i] = nvml.GpmMetric{MetricId: m[i].id}
	}
	if r = ret(g.nvml.GpmMetricsGet(&g.request)); r != retSuccess {
		return r
	}
	for i := range m {
		m[i].ret, m[i].value = ret(g.request.Metrics[i].NvmlReturn), g.request.Metrics[i].Value
	}
	return retSuccess
}

func (g *adapterGPM) free() (r ret) {
	if !g.has[callGPMFree] {
		return retNoFunction
	}
	defer guard(&r)
	r = ret(g.older.Free())
	if second := ret(g.newer.Free()); r == retSuccess {
		r = second
	}
	return r
}
