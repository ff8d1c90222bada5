package nvml

import (
	"sync/atomic"
	"testing"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// fakeLibrary plays NVML behind the source's own interface. Calls without an answer are not supported.
type fakeLibrary struct {
	opened  ret
	texts   map[call]string
	numbers map[call]numbers
	gpus    []*fakeGPU
	sets    func() (events, ret)
	pair    func() (gpm, ret)
	shut    atomic.Int32
}

func (l *fakeLibrary) open() ret     { return l.opened }
func (l *fakeLibrary) shutdown() ret { l.shut.Add(1); return retSuccess }
func (l *fakeLibrary) number(c call) (numbers, ret) {
	if c == callCount {
		return numbers{uint64(len(l.gpus))}, retSuccess
	}
	n, ok := l.numbers[c]
	return n, found(ok)
}

func (l *fakeLibrary) text(c call) (string, ret) {
	s, ok := l.texts[c]
	return s, found(ok)
}
func (l *fakeLibrary) gpu(i int) (handle, ret) { return l.gpus[i], retSuccess }

func (l *fakeLibrary) newEvents() (events, ret) {
	if l.sets == nil {
		return nil, retNotSupported
	}
	return l.sets()
}

func (l *fakeLibrary) newGPM() (gpm, ret) {
	if l.pair == nil {
		return nil, retNotSupported
	}
	return l.pair()
}

func found(ok bool) ret {
	if ok {
		return retSuccess
	}
	return retNotSupported
}

// fakeGPU answers from tables. What answer returns goes before the tables, unless it is not told.
type fakeGPU struct {
	id        string
	numbers   map[call]numbers
	values    map[uint32]field // by the field's number
	answer    func(c call, arg int) (numbers, ret, bool)
	batch     func(batch []field) (ret, bool)
	list      []process
	listed    ret
	instances []*fakeGPU
	calls     []call
	batches   [][]uint32 // the fields of each call
}

func (g *fakeGPU) number(c call, arg int) (numbers, ret) {
	g.calls = append(g.calls, c)
	if g.answer != nil {
		if n, r, ok := g.answer(c, arg); ok {
			return n, r
		}
	}
	n, ok := g.numbers[c]
	return n, found(ok)
}

func (g *fakeGPU) text(c call) (string, ret) { return g.id, found(c == callUUID) }

func (g *fakeGPU) instance(i int) (handle, ret) {
	if i >= len(g.instances) {
		return nil, retNotFound
	}
	return g.instances[i], retSuccess
}

func (g *fakeGPU) fields(batch []field) ret {
	var ids []uint32
	for i := range batch {
		ids = append(ids, batch[i].id)
	}
	g.batches = append(g.batches, ids)
	if g.batch != nil {
		if r, ok := g.batch(batch); ok {
			return r
		}
	}
	for i := range batch {
		f := &batch[i]
		if v, ok := g.values[f.id]; ok {
			f.ret, f.kind, f.bits, f.timestamp, f.latency = v.ret, v.kind, v.bits, 1, 1
			continue
		}
		f.ret = retNotSupported
	}
	return retSuccess
}

func (g *fakeGPU) processes(c call, buf []process) ([]process, ret) {
	if c == callComputeList {
		return append(buf, g.list...), g.listed
	}
	return buf, retNotSupported
}

func ulong(n uint64) field { return field{kind: kindUlonglong, bits: n} }

// openFake opens a source whose library is the fake.
func openFake(t *testing.T, l *fakeLibrary, opts ...Option) (*source, []gpumetrics.Device) {
	t.Helper()
	replace := func(c *config) {
		c.load = func(string) (library, error) { return l, nil }
		c.version = func() string { return "" }
	}
	s := Source(append([]Option{replace}, opts...)...).(*source)
	devices, err := s.Open(t.Context())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s, devices
}
