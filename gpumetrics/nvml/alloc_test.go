package nvml

import (
	"math"
	"testing"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// plainGPU answers everything and keeps nothing.
type plainGPU struct{}

func (plainGPU) number(call, int) (numbers, ret) { return numbers{1, 1, 1, 1, 1}, retSuccess }
func (plainGPU) text(c call) (string, ret)       { return "GPU-1", found(c == callUUID) }
func (plainGPU) instance(int) (handle, ret)      { return nil, retNotFound }
func (plainGPU) processes(_ call, buf []process) ([]process, ret) {
	return append(buf, process{pid: 1}), retSuccess
}

func (plainGPU) fields(batch []field) ret {
	for i := range batch {
		batch[i].ret, batch[i].kind, batch[i].bits, batch[i].timestamp = retSuccess, kindUlonglong, 1, 1
	}
	return retSuccess
}

// plainGPM tells the same of everything.
type plainGPM struct{}

func (plainGPM) take(handle, int) ret { return retSuccess }
func (plainGPM) free() ret            { return retSuccess }
func (plainGPM) metrics(m []gpmMetric) ret {
	for i := range m {
		m[i].value = 50
	}
	return retSuccess
}

type plainLibrary struct{ fakeLibrary }

func (*plainLibrary) number(call) (numbers, ret) { return numbers{1}, retSuccess }
func (*plainLibrary) gpu(int) (handle, ret)      { return plainGPU{}, retSuccess }
func (*plainLibrary) newGPM() (gpm, ret)         { return plainGPM{}, retSuccess }
func (*plainLibrary) newEvents() (events, ret)   { return nil, retNotSupported }

func TestSamplesDoNotAllocate(t *testing.T) {
	replace := func(c *config) {
		c.load = func(string) (library, error) { return &plainLibrary{}, nil }
		c.version = func() string { return "" }
	}
	devices, err := Source(replace).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := new(gpumetrics.Sample)
	var list []gpumetrics.Process
	for name, test := range map[string]struct {
		most float64
		run  func() error
	}{
		"fast": {0, func() error { return devices[0].Sample(gpumetrics.Fast, s) }},
		"processes": {0, func() (err error) {
			list, err = devices[0].(gpumetrics.ProcessLister).Processes(list[:0])
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := testing.AllocsPerRun(100, func() {
				s.Reset()
				if err := test.run(); err != nil {
					t.Fatal(err)
				}
			})
			if got > test.most {
				t.Errorf("got %v allocations, want at most %v", got, test.most)
			}
		})
	}
	s.Reset()
	if err := devices[0].Sample(gpumetrics.Fast, s); err != nil {
		t.Fatal(err)
	}
	if v, ok := s.Value(gpumetrics.UtilizationGeneral); !ok || v != 0.01 {
		t.Errorf("got %v, %t, want a sample that was filled", v, ok)
	}
}

// FuzzField reads a field of any type and bits: what gets into a sample is finite, within what can be,
// and no count that wraps outside its width.
func FuzzField(f *testing.F) {
	f.Add(uint32(0), math.Float64bits(math.Inf(1)), int64(1))
	f.Add(uint32(1), uint64(math.MaxUint32), int64(1))
	f.Add(uint32(3), uint64(math.MaxUint64), int64(0))
	f.Add(uint32(5), uint64(1<<32-8), int64(1))
	f.Fuzz(func(t *testing.T, kind uint32, bits uint64, timestamp int64) {
		d := &device{session: newSession(config{}, nil), h: plainGPU{}}
		s := new(gpumetrics.Sample)
		for i, row := range fieldRows {
			row.row = i
			d.putField(row, &field{id: row.id, kind: valueKind(kind), bits: bits, timestamp: timestamp}, s)
			if row.id == fieldRecovery {
				continue // it gives eight states
			}
			if v, ok := s.Value(row.reading); ok && row.bits == 0 && !(v >= row.min*row.scale-1e-6 && v <= row.max*row.scale+1e-6) {
				t.Errorf("field %d: got %v, want %v to %v", row.id, v, row.min*row.scale, row.max*row.scale)
			}
			if n, ok := s.Count(row.reading); ok && row.bits > 0 && n == math.MaxUint64 {
				t.Errorf("field %d: all ones were counted", row.id)
			}
		}
	})
}
