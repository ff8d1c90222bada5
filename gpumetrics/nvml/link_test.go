//go:build linux && cgo && (amd64 || arm64) && !nonvml

package nvml

import (
	"debug/elf"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

//go:generate go test -run TestSymbolHeaderHasEveryFunctionOfGoNVML -update .

var update = flag.Bool("update", false, "write symbols.h anew")

// upstreamSymbols returns the C functions that go-nvml calls.
func upstreamSymbols(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(goNVML(t), "pkg/nvml/*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("go-nvml's sources: got %d files, %v", len(files), err)
	}
	call := regexp.MustCompile(`\bC\.(nvml\w+)\(`)
	var names []string
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range call.FindAllStringSubmatch(string(source), -1) {
			names = append(names, match[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestSymbolHeaderHasEveryFunctionOfGoNVML(t *testing.T) {
	list := regexp.MustCompile(`RunningProcesses(_v\d+)?$`)
	want := "// Code generated from go-nvml's calls by go generate; DO NOT EDIT.\n\n"
	for _, name := range upstreamSymbols(t) {
		switch {
		case name == "nvmlErrorString": // it returns a text, and is in link.go
		case list.MatchString(name):
			want += "LIST(" + name + ")\n"
		default:
			want += "CALL(" + name + ")\n"
		}
	}
	if *update {
		if err := os.WriteFile("symbols.h", []byte(want), 0o644); err != nil { //nolint:gosec // a source file is read by everyone
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("symbols.h")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("symbols.h is not that of this version of go-nvml; run go generate in gpumetrics/nvml")
	}
}

// A step in front of a function passes six arguments on, in registers: a seventh, or a number with a
// point, would be lost.
func TestFunctionsOfNVMLTakeAtMostSixIntegersOrPointers(t *testing.T) {
	header, err := os.ReadFile(filepath.Join(goNVML(t), "pkg/nvml/nvml.h"))
	if err != nil {
		t.Fatal(err)
	}
	declaration := regexp.MustCompile(`DECLDIR\s+(nvml\w+)\(([^)]*)\)`)
	found := map[string]bool{}
	for _, match := range declaration.FindAllStringSubmatch(string(header), -1) {
		found[match[1]] = true
		args := strings.Split(match[2], ",")
		if len(args) > 6 {
			t.Errorf("%s takes %d arguments", match[1], len(args))
		}
		for _, arg := range args {
			if by := strings.Fields(arg); !strings.Contains(arg, "*") && len(by) > 0 && (by[0] == "double" || by[0] == "float") {
				t.Errorf("%s takes %s", match[1], strings.TrimSpace(arg))
			}
		}
	}
	if len(found) < 400 {
		t.Errorf("found %d declarations in nvml.h, want at least 400", len(found))
	}
}

// importedSymbols returns the functions of NVML that the program expects the loader to find.
func importedSymbols(t *testing.T, program string) (names []string) {
	t.Helper()
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	symbols, err := file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, symbol := range symbols {
		if strings.HasPrefix(symbol.Name, "nvml") {
			names = append(names, symbol.Name)
		}
	}
	return names
}

func TestNoFunctionOfNVMLIsLinked(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Neither wanted nor offered: an own one in front of the library's would be found in its place.
	if got := importedSymbols(t, program); len(got) > 0 {
		t.Errorf("the program's dynamic symbols hold %d of NVML, want none: %v …", len(got), got[:min(3, len(got))])
	}
}

func TestProgramsStartHoweverTheyAreLinkedAndLoaded(t *testing.T) {
	library := buildStub(t)
	for name, test := range map[string]struct{ build, env []string }{
		"as usual":                        {nil, nil},
		"with all symbols bound at start": {nil, []string{"LD_BIND_NOW=1"}},
		"position-independent, hardened": {
			[]string{"-buildmode=pie", "-ldflags=-linkmode=external -extldflags=-Wl,-z,now,-z,relro"}, []string{"LD_BIND_NOW=1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "program")
			build := append([]string{"build", "-o", program}, append(test.build, "./testdata/program")...)
			if out, err := exec.CommandContext(t.Context(), "go", build...).CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			if got := importedSymbols(t, program); len(got) > 0 {
				t.Errorf("got %d symbols of NVML, want none", len(got))
			}
			for arg, want := range map[string]string{library: "GPU-00000007", "/nonexistent.so": "library_not_found"} {
				run := exec.CommandContext(t.Context(), program, arg)
				run.Env = append(os.Environ(), test.env...)
				out, err := run.CombinedOutput()
				if err != nil || !strings.Contains(string(out), want) {
					t.Errorf("with %s: got %v, want a line with %s:\n%s", arg, err, want, out)
				}
			}
		})
	}
}
