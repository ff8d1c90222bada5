package test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/gpumetrics"
)

// xidRow is a row of the guide's table of XIDs: an action and the codes that ask for it.
var xidRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([0-9, ]+) \\| ")

// TestTheGuideSaysOfEachXIDWhatTheAttributeDoes compares the guide's table with gpumetrics' own, code by code.
func TestTheGuideSaysOfEachXIDWhatTheAttributeDoes(t *testing.T) {
	told := make(map[int]string)
	for _, row := range xidRow.FindAllStringSubmatch(document(t, guide), -1) {
		for code := range strings.SplitSeq(row[2], ", ") {
			n, err := strconv.Atoi(code)
			if err != nil {
				t.Fatal(err)
			}
			if told[n] != "" {
				t.Errorf("%s has XID %d twice", guide, n)
			}
			told[n] = row[1]
		}
	}
	for code := range 1000 {
		want := gpumetrics.XID(code).Action
		if want == "look_up" {
			want = ""
		}
		if told[code] != want {
			t.Errorf("%s: got the action %q for XID %d, want %q", guide, told[code], code, want)
		}
	}
}

// displays are what nvidia-smi -q -d takes.
var displays = strings.Fields(`MEMORY UTILIZATION ECC TEMPERATURE POWER CLOCK COMPUTE PIDS PERFORMANCE SUPPORTED_CLOCKS
	PAGE_RETIREMENT ACCOUNTING ENCODER_STATS VOLTAGE ROW_REMAPPER RESET_STATUS GSP_FIRMWARE_VERSION`)

func TestTheGuideAsksNvidiaSmiForWhatItShows(t *testing.T) {
	asked := regexp.MustCompile("nvidia-smi -q -d ([A-Z_,]+)").FindAllStringSubmatch(document(t, guide), -1)
	if len(asked) < 5 {
		t.Fatalf("got %d displays of nvidia-smi, want those of errors, heat, memory and processes", len(asked))
	}
	for _, m := range asked {
		for name := range strings.SplitSeq(m[1], ",") {
			if !slices.Contains(displays, name) {
				t.Errorf("%s: nvidia-smi -q -d does not know %s", guide, name)
			}
		}
	}
}
