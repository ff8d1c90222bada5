package gpumetrics

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheRoleIsReadFromVLLMsTitlesOnly(t *testing.T) {
	for name, c := range map[string]struct{ title, role, rank string }{
		"the engine":                       {"VLLM::EngineCore", "engine_core", ""},
		"an engine with a rank":            {"VLLM::EngineCore_DP3", "engine_core", "DP3"},
		"a worker":                         {"VLLM::Worker_TP0", "worker", "TP0"},
		"a worker with several ranks":      {"VLLM::Worker_DP0_PP0_TP1_EP1", "worker", "DP0_PP0_TP1_EP1"},
		"a worker without":                 {"VLLM::Worker", "worker", ""},
		"the front end":                    {"VLLM::APIServer", "api_server", ""},
		"the coordinator":                  {"VLLM::DPCoordinator", "dp_coordinator", ""},
		"a name that is not known":         {"VLLM::Something", "other", ""},
		"a rank that is none":              {"VLLM::Worker_secret", "worker", ""},
		"many ranks":                       {"VLLM::Worker_" + strings.Repeat("TP1_", 30) + "TP1", "worker", ""},
		"another program":                  {"python3", "", ""},
		"the title inside another":         {"xVLLM::Worker", "", ""},
		"a prefix of somebody's own":       {"me_VLLM::Worker", "", ""},
		"a title with arguments behind it": {"VLLM::Worker_TP1 --api-key=x", "worker", "TP1"},
	} {
		dir := procDir(t, "7", c.title, "7")
		role, rank := vllmRole(title(filepath.Join(dir, "7")))
		if role != c.role || rank != c.rank {
			t.Errorf("%s: got %q, %q, want %q, %q", name, role, rank, c.role, c.rank)
		}
	}
}

func TestProcessesAreToldWithTheirMemory(t *testing.T) {
	dir := procDir(t, "7", "VLLM::Worker_TP0", "7\t1")
	info := &Info{ID: "GPU-a"}
	list := []Process{
		{PID: 7, Memory: 100, KnownMemory: true},
		{PID: 7, Memory: 100, KnownMemory: true},
		{PID: 8, Memory: 50, KnownMemory: true},
		{PID: 9},
		{PID: 0, Memory: 1, KnownMemory: true},
		{PID: 10, Memory: 1<<64 - 1, KnownMemory: true},
	}
	got := processRecords(dir, info, list)
	if len(got) != 2 || got[0].bytes != 100 || got[1].bytes != 50 {
		t.Fatalf("got %v, want 100 and 50 bytes of two processes", got)
	}
	for i := range 200 {
		list = append(list, Process{PID: 100 + i, Memory: 1, KnownMemory: true})
	}
	if got := processRecords(dir, info, list); len(got) != maxProcesses {
		t.Errorf("got %d processes, want %d", len(got), maxProcesses)
	}

	// In a container the driver's numbers are not ours.
	if err := os.Remove(filepath.Join(dir, "self/ns/pid")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("pid:[4026532000]", filepath.Join(dir, "self/ns/pid")); err != nil {
		t.Fatal(err)
	}
	got = processRecords(dir, info, list[:3])
	if len(got) != 1 || got[0].bytes != 150 {
		t.Errorf("in a container: got %v, want one sum of 150", got)
	}
	if got := processRecords(dir, info, []Process{{PID: 9}}); got != nil {
		t.Errorf("memory that is not known: got %v, want none", got)
	}
	if got := processRecords(dir, info, nil); len(got) != 1 || got[0].bytes != 0 {
		t.Errorf("no process: got %v, want a sum of 0", got)
	}
}

func FuzzARoleHoldsNothingButARole(f *testing.F) {
	f.Add("VLLM::Worker_TP0")
	f.Add("VLLM::Worker_TP0 --key=secret")
	f.Add("VLLM::secret")
	roles := map[string]bool{"": true, "engine_core": true, "worker": true, "api_server": true, "dp_coordinator": true, "other": true}
	f.Fuzz(func(t *testing.T, title string) {
		role, rank := vllmRole(title)
		if !roles[role] || len(rank) > 60 || strings.Trim(rank, "DPTECX_0123456789") != "" {
			t.Errorf("%q: got %q, %q", title, role, rank)
		}
	})
}
