package test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/test/readme"
	"github.com/otelvllm/otelvllm-go/test/surface"
)

// document reads a document at the repository's root.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeProgramsCompile builds and vets each program of README as a reader would who pastes it into a new module.
// It needs no network: the new module has the requirements of this one.
func TestReadmeProgramsCompile(t *testing.T) {
	programs := readme.Programs(readme.Blocks(document(t, "README.md")))
	if len(programs) == 0 {
		t.Fatal("README.md has no program: no block of Go with `package main`")
	}
	for _, program := range programs {
		if out, err := compile(t, program.Code); err != nil {
			t.Errorf("README.md:%d: %v\n%s", program.Line, err, out)
		}
	}
}

// TestAProgramThatDoesNotCompileIsSeen shows that compile can fail, for the three reasons a README program breaks.
func TestAProgramThatDoesNotCompileIsSeen(t *testing.T) {
	for name, c := range map[string]struct{ code, want string }{
		"a name that is gone":         {"package main\n\nimport \"net/http\"\n\nfunc main() { http.Gone() }\n", "undefined: http.Gone"},
		"a package that is not there": {"package main\n\nimport _ \"" + load(t).Path + "/gone\"\n\nfunc main() {}\n", "gone"},
		"an internal package":         {"package main\n\nimport _ \"" + load(t).Path + "/otelvllm/internal/wire\"\n\nfunc main() {}\n", "use of internal package"},
	} {
		out, err := compile(t, c.code)
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: got error %v with %q, want one with %q", name, err, out, c.want)
		}
	}
	if out, err := compile(t, "package main\n\nfunc main() {}\n"); err != nil {
		t.Errorf("a program that compiles: got %v\n%s", err, out)
	}
}

// compile vets a program in a module of its own, which type-checks it, and returns what the go command printed.
func compile(t *testing.T, code string) (string, error) {
	t.Helper()
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	gosum, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	module := load(t).Path
	mod := strings.Replace(string(gomod), "module "+module, "module reader.example/program", 1) +
		"\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + here + "\n"
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": mod, "go.sum": string(gosum), "main.go": code} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vet := exec.Command("go", "vet", ".")
	vet.Dir = dir
	vet.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	out, err := vet.CombinedOutput()
	return string(out), err
}

func TestReadmeNamesWhatExists(t *testing.T) {
	for _, name := range []string{"README.md", "TELEMETRY.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		t.Run(name, func(t *testing.T) {
			text := document(t, name)
			checker := readme.Checker{Root: root, Module: load(t).Path}
			for _, command := range readme.Commands(readme.Blocks(text)) {
				for _, problem := range checker.CheckCommand(command.Code) {
					t.Errorf("%s:%d: %s: %s", name, command.Line, command.Code, problem)
				}
			}
			for _, problem := range checker.CheckLinks(text) {
				t.Errorf("%s: %s", name, problem)
			}
		})
	}
}

func TestTheTablesNameTheWholeTelemetry(t *testing.T) {
	text := document(t, "TELEMETRY.md") + document(t, "gpumetrics/README.md")
	golden, err := os.ReadFile("testdata/telemetry.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range surface.CheckTables(text, string(golden)) {
		t.Errorf("TELEMETRY.md and gpumetrics/README.md: %s", problem)
	}
}
