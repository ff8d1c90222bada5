//go:build linux && cgo && (amd64 || arm64) && !nonvml

package nvml

import (
	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// adapter is go-nvml behind the interface library. No function is called whose symbol was not found
// when the library was opened last.
type adapter struct {
	nvml nvml.Interface
	has  [numCalls]bool
}

// load prepares the library of that path. It does not open it yet.
func load(path string) (library, error) {
	if path == "" {
		return &adapter{nvml: nvml.New()}, nil
	}
	return &adapter{nvml: nvml.New(nvml.WithLibraryPath(path))}, nil
}

// guard turns a panic of one of go-nvml's wrappers into a return value. They slice and convert what
// the driver tells, and a driver that tells nonsense makes some of them panic.
func guard(r *ret) {
	if recover() != nil {
		*r = retPanic
	}
}

func (a *adapter) open() (r ret) {
	defer guard(&r)
	a.has = [numCalls]bool{}
	// The gate cannot be asked before the library is loaded, which Init does; its own symbol is
	// behind a trampoline like all others.
	if r = ret(a.nvml.Init()); r != retSuccess {
		return r
	}
	for c := range numCalls {
		a.has[c] = a.found(c)
	}
	return retSuccess
}

// found tells whether the library has one of the symbols that go-nvml uses for the call.
func (a *adapter) found(c call) bool {
	for _, symbol := range symbols[c] {
		if a.nvml.Extensions().LookupSymbol(symbol) == nil {
			return true
		}
	}
	return false
}

func (a *adapter) shutdown() (r ret) {
	if !a.has[callShutdown] {
		return retNoFunction
	}
	defer guard(&r)
	return ret(a.nvml.Shutdown())
}

func (a *adapter) number(c call) (n numbers, r ret) {
	if !a.has[c] || libraryNumbers[c] == nil {
		return n, retNoFunction
	}
	defer guard(&r)
	n, got := libraryNumbers[c](a.nvml)
	return n, ret(got)
}

func (a *adapter) text(c call) (s string, r ret) {
	if !a.has[c] || libraryTexts[c] == nil {
		return "", retNoFunction
	}
	defer guard(&r)
	s, got := libraryTexts[c](a.nvml)
	return s, ret(got)
}

func (a *adapter) gpu(index int) (h handle, r ret) {
	if !a.has[callGPU] {
		return nil, retNoFunction
	}
	defer guard(&r)
	d, got := a.nvml.DeviceGetHandleByIndex(index)
	if got != nvml.SUCCESS {
		return nil, ret(got)
	}
	return &adapterHandle{adapter: a, device: d}, retSuccess
}

// adapterHandle is a go-nvml device behind the interface handle.
type adapterHandle struct {
	*adapter
	device nvml.Device
	values []nvml.FieldValue
}

func (h *adapterHandle) number(c call, arg int) (n numbers, r ret) {
	if !h.has[c] || deviceNumbers[c] == nil {
		return n, retNoFunction
	}
	defer guard(&r)
	n, got := deviceNumbers[c](h.device, arg)
	return n, ret(got)
}

func (h *adapterHandle) text(c call) (s string, r ret) {
	if !h.has[c] || deviceTexts[c] == nil {
		return "", retNoFunction
	}
	defer guard(&r)
	s, got := deviceTexts[c](h.device)
	return s, ret(got)
}

func (h *adapterHandle) instance(index int) (i handle, r ret) {
	if !h.has[callMIGDevice] {
		return nil, retNoFunction
	}
	defer guard(&r)
	d, got := h.device.GetMigDeviceHandleByIndex(index)
	if got != nvml.SUCCESS {
		return nil, ret(got)
	}
	return &adapterHandle{adapter: h.adapter, device: d}, retSuccess
}

func (h *adapterHandle) fields(batch []field) (r ret) {
	if !h.has[callFields] {
		return retNoFunction
	}
	defer guard(&r)
	h.values = h.values[:0]
	for i := range batch {
		h.values = append(h.values, nvml.FieldValue{FieldId: batch[i].id, ScopeId: batch[i].scope})
	}
	if r = ret(h.device.GetFieldValues(h.values)); r != retSuccess {
		return r
	}
	for i := range batch {
		v, f := &h.values[i], &batch[i]
		f.ret, f.kind, f.bits = ret(v.NvmlReturn), valueKind(v.ValueType), leUint64(v.Value)
		f.timestamp, f.latency = v.Timestamp, v.LatencyUsec
	}
	return retSuccess
}

// leUint64 reads the bytes of NVML's union; both supported processors are little-endian.
func leUint64(b [8]byte) (n uint64) {
	for i := range b {
		n |= uint64(b[i]) << (8 * i)
	}
	return n
}

func (h *adapterHandle) processes(c call, buf []process) (out []process, r ret) {
	if !h.has[c] {
		return buf, retNoFunction
	}
	defer guard(&r)
	list, got := processLists[c](h.device)
	for i := range list {
		buf = append(buf, process{pid: list[i].Pid, memory: list[i].UsedGpuMemory})
	}
	return buf, ret(got)
}
