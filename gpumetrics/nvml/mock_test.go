//go:build linux && cgo && (amd64 || arm64) && !nonvml

package nvml

import (
	"strings"
	"testing"

	upstream "github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxb200"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// openMock opens a source on one of go-nvml's simulated servers, through the adapter. What they do not
// simulate panics, so the guard is tested by each of them.
func openMock(t *testing.T, machine upstream.Interface) []gpumetrics.Device {
	t.Helper()
	replace := func(c *config) {
		c.load = func(string) (library, error) { return &adapter{nvml: machine}, nil }
		c.version = func() string { return "" }
	}
	source := Source(replace)
	devices, err := source.Open(t.Context())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return devices
}

func TestSimulatedServersAreListed(t *testing.T) {
	for name, test := range map[string]struct {
		server                            upstream.Interface
		model, architecture, version, ccc string
	}{
		"DGX H100": {dgxh100.New(), "NVIDIA H100 80GB HBM3", "hopper", "550.54.15", "9.0"},
		"DGX B200": {dgxb200.New(), "NVIDIA B200 180GB HBM3e", "blackwell", "560.28.03", "10.0"},
	} {
		t.Run(name, func(t *testing.T) {
			devices := openMock(t, test.server)
			if len(devices) != 8 {
				t.Fatalf("got %d devices, want 8", len(devices))
			}
			seen := map[string]bool{}
			for i, d := range devices {
				info := d.Info()
				seen[info.ID] = true
				if info.Index != i || info.Architecture != test.architecture || info.DriverVersion != test.version ||
					info.ComputeCapability != test.ccc || !strings.HasPrefix(info.ID, "GPU-") || !strings.Contains(info.Model, test.model[:11]) {
					t.Errorf("GPU %d: got %+v", i, info)
				}
			}
			if len(seen) != 8 {
				t.Errorf("got %d identities, want 8", len(seen))
			}
			s := new(gpumetrics.Sample)
			if err := devices[0].Sample(gpumetrics.Fast, s); err != nil {
				t.Errorf("a server that panics in most calls: got %v, want a sample with what it has", err)
			}
		})
	}
}

func TestMIGInstancesFollowTheirGPU(t *testing.T) {
	machine := dgxh100.New()
	first, r := machine.DeviceGetHandleByIndex(0)
	if r != upstream.SUCCESS {
		t.Fatal(r)
	}
	device := first.(*server.Device)
	device.MigMode = upstream.DEVICE_MIG_ENABLE
	part := func(uuid string, instance int) *mock.Device {
		return &mock.Device{
			GetUUIDFunc:              func() (string, upstream.Return) { return uuid, upstream.SUCCESS },
			GetNameFunc:              func() (string, upstream.Return) { return "NVIDIA H100 80GB HBM3", upstream.SUCCESS },
			GetGpuInstanceIdFunc:     func() (int, upstream.Return) { return instance, upstream.SUCCESS },
			GetComputeInstanceIdFunc: func() (int, upstream.Return) { return 0, upstream.SUCCESS },
			GetAttributesFunc: func() (upstream.DeviceAttributes, upstream.Return) {
				return upstream.DeviceAttributes{GpuInstanceSliceCount: 3, ComputeInstanceSliceCount: 1, MemorySizeMB: 40448}, upstream.SUCCESS
			},
			GetMemoryInfo_v2Func: func() (upstream.Memory_v2, upstream.Return) {
				return upstream.Memory_v2{Total: 40 << 30, Used: 7 << 30, Free: 33 << 30}, upstream.SUCCESS
			},
		}
	}
	parts := map[int]*mock.Device{0: part("MIG-a", 1), 3: part("MIG-b", 2)} // with a gap, as drivers have
	device.GetMaxMigDeviceCountFunc = func() (int, upstream.Return) { return 7, upstream.SUCCESS }
	device.GetMigDeviceHandleByIndexFunc = func(i int) (upstream.Device, upstream.Return) {
		if p, ok := parts[i]; ok {
			return p, upstream.SUCCESS
		}
		return nil, upstream.ERROR_NOT_FOUND
	}
	devices := openMock(t, machine)
	if len(devices) != 10 {
		t.Fatalf("got %d devices, want 8 GPUs and 2 parts", len(devices))
	}
	for i, want := range map[int]string{1: "MIG-a", 2: "MIG-b"} {
		info := devices[i].Info()
		if info.ID != want || info.Parent != devices[0].Info().ID || info.MIGGPUInstance != i || info.MIGProfile != "1c.3g.40gb" {
			t.Errorf("got %+v, want %s of the first GPU, a 1c.3g.40gb", info, want)
		}
		s := new(gpumetrics.Sample)
		if err := devices[i].Sample(gpumetrics.Fast, s); err != nil {
			t.Error(err)
		}
		if got, ok := s.Value(gpumetrics.MemoryUsed); !ok || got != 7<<30 {
			t.Errorf("memory: got %v, %t, want 7 GiB", got, ok)
		}
	}
}
