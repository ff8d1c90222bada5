package nvml

import (
	"testing"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// TestAFastSampleMakesFewCalls counts the calls for a GPU that tells all there is to tell: what the driver is asked every
// few seconds takes locks that the launch of kernels needs too. GPM, where there is any, adds two.
func TestAFastSampleMakesFewCalls(t *testing.T) {
	gpu := &fakeGPU{id: "GPU-1", answer: func(c call, _ int) (numbers, ret, bool) {
		if c == callMemoryV2 {
			return numbers{80 << 30, 40 << 30, 39 << 30, 1 << 30}, retSuccess, true
		}
		return numbers{1, 1, 1, 1, 1}, retSuccess, true
	}, values: map[uint32]field{}}
	for i := range fieldRows {
		gpu.values[fieldRows[i].id] = ulong(1)
	}
	_, devices := openFake(t, &fakeLibrary{gpus: []*fakeGPU{gpu}})
	for range 2 { // the first one asks once more, whether there is GPM
		gpu.calls, gpu.batches = nil, nil
		if _, err := take(devices[0], gpumetrics.Fast); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(gpu.calls) + len(gpu.batches); got != 10 {
		t.Errorf("got %d calls, want 10: %v and the fields %v", got, gpu.calls, gpu.batches)
	}
}
