package gpumetrics

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/semconv/v1.43.0/hwconv"
)

// talkative is a GPU that tells all there is to tell, and lists processes.
type talkative struct {
	*card
	counts bitset
}

func newTalkative(info Info) *talkative {
	t := &talkative{card: newCard(info.ID, nil)}
	t.info = info
	for _, r := range rows() {
		if r.check.counts() {
			t.counts.add(r.reading)
		}
	}
	t.sample = t.all
	return t
}

// all tells every reading in the tier that its row names.
func (t *talkative) all(tier Tier, s *Sample) error {
	for _, r := range rows() {
		switch {
		case r.tier != tier || !s.Wants(r.reading) || r.reading == MemoryUtilization:
		case t.counts.has(r.reading):
			s.SetCount(r.reading, uint64(time.Now().Unix()), 64)
		default:
			s.Set(r.reading, 1)
		}
	}
	if tier != Slow {
		return nil
	}
	s.Miss(TemperatureMemory, Denied, "NVML_ERROR_NO_PERMISSION")
	link := s.Part(Link, 0)
	link.Set(LinkUp, 1)
	link.Set(LinkBandwidthLimit, 25e9)
	if s.WantsLinkBytes() {
		link.SetCount(LinkBytesTransmit, 1, 64)
		link.SetCount(LinkBytesReceive, 1, 64)
	}
	fan := s.Part(Fan, 0)
	fan.Set(FanSpeedRatio, 0.3)
	fan.Set(FanSpeed, 1500)
	return nil
}

func (t *talkative) Processes(buf []Process) ([]Process, error) {
	return append(buf, Process{PID: 4242, Memory: 1 << 30, KnownMemory: true}), nil
}

// everything is a machine with a divided GPU that tells all.
type everything struct {
	gpu, part *talkative
	xid       chan int
}

func newEverything() *everything {
	return &everything{
		gpu: newTalkative(Info{
			ID: "GPU-a", Index: 0, Vendor: "NVIDIA", Model: "Test GPU", Architecture: "hopper", Serial: "123", DriverVersion: "1",
			LibraryVersion: "2", RuntimeVersion: "3", Firmware: "4", GSPFirmware: "5", PCIBusID: "6", NUMANode: 0,
			ComputeCapability: "9.0", ECC: "enabled",
		}),
		part: newTalkative(Info{
			ID: "MIG-a", Parent: "GPU-a", Model: "Test GPU", MIGProfile: "1g.10gb", MIGGPUInstance: 1, MIGComputeInstance: 0,
		}),
		xid: make(chan int, 1),
	}
}

func (e *everything) Open(context.Context) ([]Device, error) {
	return []Device{e.gpu, e.part}, nil
}
func (e *everything) Close(context.Context) error { return nil }

func (e *everything) NextEvent(ctx context.Context) (Event, error) {
	select {
	case code := <-e.xid:
		return Event{Device: "GPU-a", XID: code}, nil
	case <-time.After(time.Second):
		return Event{}, ErrNoEvent
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
}

// procDir makes a process file system with one process of vLLM's in it.
func procDir(t *testing.T, pid, title, nspid string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		pid + "/cmdline": title + "\x00--api-key\x00secret\x00",
		pid + "/status":  "Name:\tx\nNSpid:\t" + nspid + "\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "self/ns"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(firstNamespace, filepath.Join(dir, "self/ns/pid")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// emitted is what a reader sees of one metric, without values.
type emitted struct {
	unit, description string
	kind              Kind
	whole             bool
	keys              map[string]bool // "key string" or "key int64"
	values            map[string]map[string]bool
}

func (e *emitted) add(set attribute.Set) {
	for _, kv := range set.ToSlice() {
		e.keys[string(kv.Key)+" "+strings.ToLower(kv.Value.Type().String())] = true
		if e.values[string(kv.Key)] == nil {
			e.values[string(kv.Key)] = map[string]bool{}
		}
		e.values[string(kv.Key)][kv.Value.String()] = true
	}
}

func emission(t *testing.T, reader sdkmetric.Reader) map[string]*emitted {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	all := map[string]*emitted{}
	for _, sm := range rm.ScopeMetrics {
		if sm.Scope.Name != ScopeName {
			t.Errorf("scope: got %q, want %q", sm.Scope.Name, ScopeName)
		}
		for _, m := range sm.Metrics {
			e := &emitted{unit: m.Unit, description: m.Description, keys: map[string]bool{}, values: map[string]map[string]bool{}}
			all[m.Name] = e
			switch d := m.Data.(type) {
			case metricdata.Gauge[float64]:
				e.kind = Gauge
				sets(e, d.DataPoints)
			case metricdata.Gauge[int64]:
				e.kind, e.whole = Gauge, true
				sets(e, d.DataPoints)
			case metricdata.Sum[float64]:
				e.kind = sumKind(d.IsMonotonic)
				sets(e, d.DataPoints)
			case metricdata.Sum[int64]:
				e.kind, e.whole = sumKind(d.IsMonotonic), true
				sets(e, d.DataPoints)
			case metricdata.Histogram[float64]:
				e.kind = Histogram
				for _, dp := range d.DataPoints {
					e.add(dp.Attributes)
				}
			}
		}
	}
	return all
}

func sets[N int64 | float64](e *emitted, dps []metricdata.DataPoint[N]) {
	for _, dp := range dps {
		e.add(dp.Attributes)
	}
}

func sumKind(monotonic bool) Kind {
	if monotonic {
		return Counter
	}
	return UpDownCounter
}

// TestTheSurfaceIsWhatIsEmitted compares the description of this package with what a reader gets of
// a GPU that tells everything.
func TestTheSurfaceIsWhatIsEmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEverything()
		p := start(t, e, WithProcesses(), WithLinks(), WithSerialNumber(), WithPCIeThroughput(),
			func(c *config) { c.proc = procDir(t, "4242", "VLLM::Worker_TP0", "4242\t7") })
		defer p.stop()
		l := p.m.NewLedger()
		e.xid <- 63
		time.Sleep(61 * time.Second)
		var u Use
		l.Begin(&u)
		time.Sleep(time.Second)
		l.End(t.Context(), &u, Outcome{OutputTokens: 1})
		time.Sleep(21 * time.Second)
		got := emission(t, p.reader)
		for _, i := range Surface() {
			compare(t, i, got[i.Metric])
			delete(got, i.Metric)
		}
		for name := range got {
			t.Errorf("%s is emitted and not described", name)
		}
	})
}

func compare(t *testing.T, i Instrument, got *emitted) {
	t.Helper()
	if got == nil {
		t.Errorf("%s is described and not emitted", i.Metric)
		return
	}
	if got.unit != i.Unit || got.description != i.Description || got.kind != i.Kind || got.whole != i.Whole && i.Kind != Histogram {
		t.Errorf("%s: got %s %v in %q, %q, want %s %v in %q, %q", i.Metric, got.kind, got.whole, got.unit, got.description,
			i.Kind, i.Whole, i.Unit, i.Description)
	}
	keys := map[string]bool{}
	for _, a := range i.Attributes {
		text := a.Key + " string"
		if a.Whole {
			text = a.Key + " int64"
		}
		keys[text] = true
		for value := range got.values[a.Key] {
			if len(a.Values) > 0 && !slices.Contains(a.Values, value) {
				t.Errorf("%s: got %s=%s, want one of %v", i.Metric, a.Key, value, a.Values)
			}
		}
	}
	if !maps.Equal(keys, got.keys) {
		t.Errorf("%s: got attributes %v, want %v", i.Metric, slices.Sorted(maps.Keys(got.keys)), slices.Sorted(maps.Keys(keys)))
	}
}

func TestEveryReadingHasOneRow(t *testing.T) {
	seen := map[Reading]int{}
	for _, r := range rows() {
		seen[r.reading]++
		if r.call == "" || r.absent == "" {
			t.Errorf("reading %d of %s: got no call or no word on its absence", r.reading, r.metric)
		}
		if !slices.ContainsFunc(definitions, func(d definition) bool { return d.name == r.metric }) && r.reading != UnrepairableMemory {
			t.Errorf("reading %d: got metric %q, which is not defined", r.reading, r.metric)
		}
	}
	for i := range numReadings {
		if seen[i] != 1 {
			t.Errorf("reading %d: got %d rows, want 1", i, seen[i])
		}
	}
	if len(partRows) != int(numPartReadings) {
		t.Errorf("got %d rows of parts, want %d", len(partRows), numPartReadings)
	}
	for i, r := range partRows {
		if int(r.reading) != i {
			t.Errorf("row %d of parts: got reading %d, want the same", i, r.reading)
		}
	}
}

// TestCountsAreOfCounters finds a reading that is summed up in a metric that is no counter, or a
// gauge's in one that is.
func TestCountsAreOfCounters(t *testing.T) {
	for _, r := range rows() {
		for _, d := range definitions {
			if d.name == r.metric && (d.kind == Counter) != r.check.counts() {
				t.Errorf("%s: got a %s of a reading with check %d", d.name, d.kind, r.check)
			}
		}
	}
}

// TestHardwareNamesAreTheConventions compares every name hw.* with the package that OpenTelemetry
// generates from the conventions. Whole numbers and the kind of a sum are ours where the package
// would round.
func TestHardwareNamesAreTheConventions(t *testing.T) {
	type named interface {
		Name() string
		Unit() string
	}
	conventions := map[string]string{}
	for _, n := range []named{
		hwconv.GpuUtilization{},
		hwconv.GpuMemoryLimit{},
		hwconv.GpuMemoryUsage{},
		hwconv.GpuMemoryUtilization{},
		hwconv.GpuIO{},
		hwconv.Temperature{},
		hwconv.TemperatureLimit{},
		hwconv.Power{},
		hwconv.Energy{},
		hwconv.Errors{},
		hwconv.Status{},
		hwconv.NetworkUp{},
		hwconv.NetworkBandwidthLimit{},
		hwconv.NetworkIO{},
		hwconv.FanSpeed{},
		hwconv.FanSpeedRatio{},
	} {
		conventions[n.Name()] = n.Unit()
	}
	for _, i := range Surface() {
		unit, ok := conventions[i.Metric]
		switch {
		case ok && unit != i.Unit:
			t.Errorf("%s: got unit %q, want the conventions' %q", i.Metric, i.Unit, unit)
		case !ok && strings.HasPrefix(i.Metric, "hw."):
			t.Errorf("%s is no name of the conventions", i.Metric)
		}
	}
	for key, values := range map[string]string{
		keyTask:      fmt.Sprint(hwconv.GpuTaskGeneral, hwconv.GpuTaskEncoder, hwconv.GpuTaskDecoder),
		keyLimit:     fmt.Sprint(hwconv.LimitTypeCritical, hwconv.LimitTypeThrottled, hwconv.LimitTypeMax),
		keyDirection: fmt.Sprint(hwconv.NetworkIODirectionTransmit, hwconv.NetworkIODirectionReceive),
	} {
		for _, r := range rows() {
			for _, kv := range r.attrs {
				ours := kv.Value.AsString() == "jpeg" || kv.Value.AsString() == "ofa" // the conventions leave the set open
				if string(kv.Key) == key && !ours && !strings.Contains(values, kv.Value.AsString()) {
					t.Errorf("%s: got %s=%s, want one of %s", r.metric, key, kv.Value.AsString(), values)
				}
			}
		}
	}
}
