package gpumetrics

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the tables of README.md")

// tables are what README.md shows between comments.
var tables = []struct {
	name   string
	render func() string
}{
	{"telemetry", renderSurface},
	{"completeness", renderCompleteness},
}

// TestTheReadmesTablesAreThoseOfTheCode compares README.md with the tables that instruments are made
// from. With -update it writes them.
func TestTheReadmesTablesAreThoseOfTheCode(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, table := range tables {
		begin, end := "<!-- "+table.name+":begin -->\n", "<!-- "+table.name+":end -->"
		before, rest, ok := strings.Cut(text, begin)
		got, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Fatalf("README.md has no %s and %s", begin, end)
		}
		want := "\n" + table.render() + "\n"
		if got != want && !*update {
			t.Errorf("README.md's table %s is not the code's; run go test ./gpumetrics -run Readme -update", table.name)
		}
		text = before + begin + want + end + after
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func renderSurface() string {
	var b strings.Builder
	b.WriteString("| metric | unit | instrument | attributes beside `hw.id`, `hw.name`, `hw.parent` | read | from | absent |\n|---|---|---|---|---|---|---|\n")
	for _, i := range Surface() {
		kind := string(i.Kind)
		if i.Whole {
			kind += ", whole"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n",
			i.Metric, i.Unit, kind, attributeCell(i.Attributes), tierCell(i.Tiers), shorter(i.Calls), strings.Join(i.Absent, "; "))
	}
	return b.String()
}

func attributeCell(as []Attribute) string {
	var cells []string
	for _, a := range as {
		switch {
		case a.Key == string(keyID) || a.Key == string(keyName) || a.Key == string(keyParent):
		case len(a.Values) > 0:
			cells = append(cells, "`"+a.Key+"`: "+strings.Join(a.Values, ", "))
		default:
			cells = append(cells, "`"+a.Key+"`")
		}
	}
	return strings.Join(cells, "; ")
}

func tierCell(tiers []Tier) string {
	var cells []string
	for _, tier := range tiers {
		cells = append(cells, tier.String())
	}
	return strings.Join(cells, ", ")
}

// shorter names the call of field values once, with the fields after it.
func shorter(calls []string) string {
	const fields = "nvmlDeviceGetFieldValues "
	var cells []string
	last := false
	for _, call := range calls {
		rest, ok := strings.CutPrefix(call, fields)
		if ok && last {
			cells[len(cells)-1] += ", " + rest
			continue
		}
		cells, last = append(cells, call), ok
	}
	return strings.Join(cells, "; ")
}

// theirs is one thing that another exporter shows, and where it is here: a metric, or why not.
type theirs struct {
	name   string
	metric string
	why    string
}

// dcgm are the counters that dcgm-exporter collects by default, and those that its default file
// names and leaves switched off.
var dcgm = []theirs{
	{"DCGM_FI_DEV_SM_CLOCK, MEM_CLOCK", "nvidia.gpu.clock.frequency", ""},
	{"DCGM_FI_DEV_GPU_TEMP, MEMORY_TEMP", "hw.temperature", ""},
	{"DCGM_FI_DEV_POWER_USAGE", "hw.power", ""},
	{"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "hw.energy", ""},
	{"DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "hw.errors", ""},
	{"DCGM_FI_DEV_GPU_UTIL, ENC_UTIL, DEC_UTIL", "hw.gpu.utilization", ""},
	{"DCGM_FI_DEV_MEM_COPY_UTIL", "nvidia.gpu.memory.controller.utilization", ""},
	{"DCGM_FI_DEV_XID_ERRORS", "nvidia.gpu.xid.errors", ""},
	{"DCGM_FI_DEV_FB_USED", "hw.gpu.memory.usage", ""},
	{"DCGM_FI_DEV_FB_FREE, FB_RESERVED", "nvidia.gpu.memory.state.usage", ""},
	{"DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "hw.network.io", ""},
	{"DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS, UNCORRECTABLE_REMAPPED_ROWS", "nvidia.gpu.memory.remapped_rows", ""},
	{"DCGM_FI_DEV_ROW_REMAP_FAILURE", "nvidia.gpu.memory.remap.failure", ""},
	{"DCGM_FI_DEV_VGPU_LICENSE_STATUS", "", "a matter of desktops and not of engines; the licence shows in what is absent"},
	{"DCGM_FI_PROF_GR_ENGINE_ACTIVE", "nvidia.gpu.graphics.utilization", ""},
	{"DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "nvidia.gpu.tensor.utilization", ""},
	{"DCGM_FI_PROF_DRAM_ACTIVE", "nvidia.gpu.dram.bandwidth.utilization", ""},
	{"DCGM_FI_PROF_PCIE_TX_BYTES, RX_BYTES", "hw.gpu.io", ""},
	{"off: DCGM_FI_PROF_SM_ACTIVE", "nvidia.gpu.sm.utilization", ""},
	{"off: DCGM_FI_PROF_SM_OCCUPANCY", "nvidia.gpu.sm.occupancy", ""},
	{"off: DCGM_FI_PROF_PIPE_FP64_ACTIVE, FP32, FP16", "nvidia.gpu.fp.utilization", ""},
	{"off: profiling before Hopper", "", "NVML has no performance counters there; only DCGM's own module reads them"},
	{"off: DCGM_FI_DEV_POWER_VIOLATION, THERMAL_VIOLATION and the other violations", "nvidia.gpu.clock.event.duration", ""},
	{"off: DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "nvidia.gpu.clock.event.active", ""},
	{"off: DCGM_FI_DEV_ECC_SBE_VOL_TOTAL, DBE_VOL_TOTAL", "hw.errors", ""},
	{"off: DCGM_FI_DEV_ECC_SBE_AGG_TOTAL, DBE_AGG_TOTAL", "nvidia.gpu.ecc.lifetime", ""},
	{"off: DCGM_FI_DEV_RETIRED_SBE, RETIRED_DBE", "nvidia.gpu.memory.retired_pages", ""},
	{"off: DCGM_FI_DEV_RETIRED_PENDING", "nvidia.gpu.memory.retired_pages.pending", ""},
	{"off: DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL and the other link errors", "hw.errors", ""},
	{"off: DCGM_EXP_XID_ERRORS_COUNT", "nvidia.gpu.xid.errors", ""},
	{"off: DCGM_EXP_CLOCK_EVENTS_COUNT", "nvidia.gpu.clock.event.duration", ""},
	{"off: DCGM_EXP_GPU_HEALTH_STATUS", "hw.status", "one state of the whole GPU; DCGM's tests of subsystems are its own"},
	{"off: DCGM_EXP_P2P_STATUS", "", "it takes a call for each pair of GPUs; hw.network.up tells of links"},
	{"labels: driver version, PCI bus, MIG profile", "nvidia.gpu.info", ""},
	{"labels: pod, namespace, container", "", "hw.id is what the kubelet calls the device, so a backend can join them"},
}

// exporter is what nvidia_gpu_exporter's NVML backend shows, by group.
var exporter = []theirs{
	{"utilization of GPU, memory controller, encoder, decoder, JPEG, OFA", "hw.gpu.utilization", ""},
	{"profiling (GPM)", "nvidia.gpu.sm.utilization", ""},
	{"memory used, free, reserved, total", "hw.gpu.memory.usage", ""},
	{"BAR1", "nvidia.gpu.bar1.usage", ""},
	{"temperature of core and memory", "hw.temperature", ""},
	{"margin to the limit", "nvidia.gpu.temperature.margin", ""},
	{"power: draw, average, limits, module", "nvidia.gpu.power.limit", ""},
	{"energy", "hw.energy", ""},
	{"clocks of graphics, SM, memory, video, and their limits", "nvidia.gpu.clock.frequency", ""},
	{"application clocks", "", "drivers from 590 on do not tell them any more"},
	{"throttle reasons", "nvidia.gpu.clock.event.active", ""},
	{"throttle durations", "nvidia.gpu.clock.event.duration", ""},
	{"PCIe generation and width", "nvidia.gpu.pcie.link.width", ""},
	{"PCIe throughput, on request", "nvidia.gpu.pcie.throughput", ""},
	{"PCIe replay counter", "hw.errors", ""},
	{"NVLink by link: state, bytes, errors", "hw.network.io", "errors of all links of a GPU together: 18 links of 8 GPUs by kind are more series than a metric may have"},
	{"ECC by place, since loading and for life", "nvidia.gpu.ecc.errors", ""},
	{"retired pages, remapped rows, banks", "nvidia.gpu.memory.remap.banks", ""},
	{"XID by code, time of the last", "nvidia.gpu.xid.last.timestamp", ""},
	{"memory of each process, on request", "nvidia.gpu.process.memory.usage", "without command lines, which hold keys"},
	{"memory of each MIG instance", "hw.gpu.memory.usage", ""},
	{"recovery action", "nvidia.gpu.recovery.action", ""},
	{"fabric state", "nvidia.gpu.fabric.state", ""},
	{"fan speed", "hw.fan.speed_ratio", ""},
	{"performance state", "nvidia.gpu.performance_state", ""},
	{"duration and failed calls of a collection", "nvidia.gpu.sampler.duration", ""},
}

func renderCompleteness() string {
	var b strings.Builder
	for _, list := range []struct {
		title string
		rows  []theirs
	}{{"dcgm-exporter", dcgm}, {"nvidia_gpu_exporter", exporter}} {
		fmt.Fprintf(&b, "| %s | here |\n|---|---|\n", list.title)
		for _, row := range list.rows {
			here := row.why
			if row.metric != "" {
				here = strings.TrimSuffix("`"+row.metric+"`: "+row.why, ": ")
			}
			fmt.Fprintf(&b, "| %s | %s |\n", row.name, here)
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestWhatOthersShowIsHereOrItIsSaidWhyNot(t *testing.T) {
	has := map[string]bool{}
	for _, i := range Surface() {
		has[i.Metric] = true
	}
	for _, row := range append(append([]theirs(nil), dcgm...), exporter...) {
		if row.metric == "" && row.why == "" {
			t.Errorf("%s: got neither a metric nor a reason", row.name)
		}
		if row.metric != "" && !has[row.metric] {
			t.Errorf("%s: got %s, which is no metric of this package", row.name, row.metric)
		}
	}
}
