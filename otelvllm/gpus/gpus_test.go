package gpus

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
	"github.com/otelvllm/otelvllm-go/gpumetrics/fake"
	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

func TestTheHealthDocumentTellsWhatTheDriverTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpus := fake.H100s(2, fake.Serve)
		divided := fake.DividedH100(fake.Serve)
		divided.Index = 2
		view, release := watch(t, append(gpus, divided, fake.H100s(4, nil)[3].FallsOffTheBus(20*time.Second)))
		defer release()
		if got := view.Health(); got != nil {
			t.Errorf("before the driver was asked: got %+v, want nil", got)
		}
		time.Sleep(time.Minute)
		got, err := json.Marshal(view.Health())
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`{"id":"0","uuid":"GPU-`, `"name":"NVIDIA H100 80GB HBM3","state":"ok","memory_used_mb":7`, `"memory_total_mb":81559,`, `"power_limit_watts":700,"throttled":false,"xid":0}`,
			`{"id":"2:1","uuid":"MIG-`, `"gpu_utilization":null`, `"state":"lost"`, `"xid":79}`,
		} {
			if !strings.Contains(string(got), want) {
				t.Errorf("got %s, want it to hold %s", got, want)
			}
		}
	})
}

func TestAMachineWithoutGPUsIsToldFromOneThatCannotBeAsked(t *testing.T) {
	if got := stats(gpumetrics.Snapshot{State: gpumetrics.DriverNoDevices}); got == nil || len(got) != 0 {
		t.Errorf("no GPU: got %v, want an empty list", got)
	}
	if got := stats(gpumetrics.Snapshot{State: gpumetrics.DriverLibraryNotFound}); got != nil {
		t.Errorf("no library: got %v, want nil", got)
	}
}

func TestRequestsThatRunAreToldOfErrorsOfTheirGPUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []inflight.GPUError
		r := &inflight.Registry{}
		r.Begin(inflight.Info{Engine: address, OnGPUError: func(e inflight.GPUError) { got = append(got, e) }})
		r.Begin(inflight.Info{Engine: "10.0.0.9:8000", OnGPUError: func(inflight.GPUError) { t.Error("an engine of another host was told") }})
		gpu := fake.H100s(1, fake.Serve)[0].Reports(10*time.Second, 31)
		view, release := watch(t, []fake.GPU{gpu})
		defer release()
		view.Tell(r, func(engine string) bool { return engine == address })
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if len(got) != 1 || got[0].XID != 31 || got[0].Action != "restart_app" || !strings.HasPrefix(got[0].GPU, "GPU-") {
			t.Errorf("got %+v, want XID 31 once", got)
		}
	})
}

func TestAFatalErrorMattersUntilTheGPUIsSeenAtWorkAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := fake.H100s(1, fake.Serve)[0].Reports(time.Minute, 62).Then(time.Minute, fake.Idle).Then(time.Hour, fake.Serve)
		view, release := watch(t, []fake.GPU{gpu})
		defer release()
		for _, look := range []struct {
			after time.Duration
			want  int
		}{{30 * time.Second, 0}, {2 * time.Minute, 62}, {50 * time.Minute, 62}, {61 * time.Minute, 0}} {
			time.Sleep(look.after - time.Since(start(t)))
			if got := view.Watchdog()[0].XID; got != look.want {
				t.Errorf("after %v: got XID %d, want %d", look.after, got, look.want)
			}
		}
	})
}

// start is when a bubble's time begins.
func start(t *testing.T) time.Time {
	t.Helper()
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
}
