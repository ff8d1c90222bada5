package deploy

import (
	"debug/elf"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// noEntry are stages that are the images of others, or have nothing to be asked.
var noEntry = map[string]string{
	"collector: ENTRYPOINT":         "the base image's",
	"collector: STOPSIGNAL SIGTERM": "the default",
	"monitor: HEALTHCHECK":          "it is a terminal program",
	"load: HEALTHCHECK":             "it serves nothing",
}

func TestTheDockerfileIsPinnedAndItsImagesAreNotRoots(t *testing.T) {
	s := stages(t)
	report(t, CheckStages(s, "gateway"))
	report(t, CheckFinal(s, noEntry))
}

func TestMistakesInADockerfileAreFound(t *testing.T) {
	const end = "\nFROM scratch AS gateway\nUSER 1\nSTOPSIGNAL SIGTERM\nHEALTHCHECK CMD [\"/probe\"]\nENTRYPOINT [\"/g\"]\n"
	for _, tt := range []struct{ name, text, says string }{
		{"a base without a version", "FROM golang AS build\nFROM scratch AS gateway\nCOPY --from=build /a /a" + strings.TrimPrefix(end, "\nFROM scratch AS gateway"), "no exact version"},
		{"a base that moves", "FROM golang:1.26 AS build\nUSER 1\nSTOPSIGNAL SIGTERM\nHEALTHCHECK CMD [\"/p\"]\nENTRYPOINT [\"/g\"]" + end, ""},
		{"a base at a registry", "FROM gcr.example/static:1.2.3 AS gateway" + strings.TrimPrefix(end, "\nFROM scratch AS gateway"), "names a registry"},
		{"a root", strings.Replace(end, "USER 1", "USER 0", 1), "a numeric user"},
		{"a user by name, which scratch cannot look up", strings.Replace(end, "USER 1", "USER nobody", 1), "a numeric user"},
		{"a shell that scratch does not have", strings.Replace(end, `ENTRYPOINT ["/g"]`, "ENTRYPOINT /g", 1), "ENTRYPOINT"},
		{"a health check by a shell", strings.Replace(end, `CMD ["/probe"]`, "CMD /probe", 1), "HEALTHCHECK"},
		{"a signal that does not drain", strings.Replace(end, "SIGTERM", "SIGKILL", 1), "STOPSIGNAL"},
		{"another default", end + strings.Replace(end, "gateway", "other", 1), "is not gateway"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Dockerfile([]byte(tt.text))
			if err != nil {
				if tt.says == "ENTRYPOINT" || tt.says == "HEALTHCHECK" {
					return // BuildKit's linter has found it
				}
				t.Fatal(err)
			}
			findings := append(CheckStages(s, "gateway"), CheckFinal(s, nil)...)
			if tt.says == "" {
				report(t, findings)
				return
			}
			want(t, findings, tt.says)
		})
	}
	if _, err := Dockerfile([]byte("FROM scratch\nCOPPY a b\n")); err == nil {
		t.Error("a word that is no instruction was not found")
	}
	if _, err := Dockerfile([]byte("FROM scratch as a\n")); err == nil {
		t.Error("what BuildKit warns of was not found")
	}
}

func TestTheBuilderGetsNoMoreThanItNeeds(t *testing.T) {
	sent, err := NewBuildContext(root())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"go.mod": true, "LICENSE": true, "otelvllm/middleware.go": true, "examples/gateway/main.go": true, "test/fakevllm/sim/engine.go": true,
		"otelvllm/middleware_test.go": false, "test/arch/arch.go": false, "test/deploy/compose.go": false, ".git/config": false,
		".env": false, "notes.txt": false, "otelvllm/internal/wire/testdata/x": false, ".build/jaeger": false,
	} {
		if got := sent.Sends(name); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// TestTheDockerfileBuilds runs the commands of the Dockerfile on what .dockerignore lets through.
func TestTheDockerfileBuilds(t *testing.T) {
	for _, s := range stages(t) {
		if isUsed(stages(t), s.Name) {
			continue
		}
		built := image(t, s.Name)
		if len(built.Entrypoint) > 0 {
			if _, err := os.Stat(filepath.Join(built.Root, built.Entrypoint[0])); err != nil {
				t.Errorf("stage %s: its entry point: %v", s.Name, err)
			}
		}
		if len(built.Health) > 0 {
			if _, err := os.Stat(filepath.Join(built.Root, built.Health[0])); err != nil {
				t.Errorf("stage %s: its health check: %v", s.Name, err)
			}
		}
	}
}

func TestProgramsInImagesWithNothingElseAreStatic(t *testing.T) {
	found := 0
	for _, s := range stages(t) {
		if s.BaseName != "scratch" {
			continue
		}
		for _, path := range programs(t, image(t, s.Name).Root) {
			found++
			if interpreter, _ := linking(t, path); interpreter {
				t.Errorf("%s: %s wants a loader, which the image does not have", s.Name, filepath.Base(path))
			}
		}
	}
	if found < 6 {
		t.Errorf("got %d programs, want at least 6", found)
	}
}

// TestTheProgramWithNVMLLeavesFunctionsUnresolved: with the flag BIND_NOW it would not start beside a driver that lacks one
// of the functions it might call, or without a driver.
func TestTheProgramWithNVMLLeavesFunctionsUnresolved(t *testing.T) {
	interpreter, bindNow := linking(t, filepath.Join(image(t, "gateway-nvml").Root, "gateway"))
	if !interpreter || bindNow {
		t.Errorf("got a loader %v and BIND_NOW %v, want true and false", interpreter, bindNow)
	}
}

func programs(t *testing.T, root string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if info, err := entry.Info(); err == nil && info.Mode()&0o111 != 0 {
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// linking tells whether a program needs a loader, and whether that must find every function before the program starts.
func linking(t *testing.T, path string) (interpreter, bindNow bool) {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	interpreter = slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	has := func(tag elf.DynTag, bit uint64) bool {
		values, _ := file.DynValue(tag)
		return slices.ContainsFunc(values, func(v uint64) bool { return v&bit != 0 })
	}
	bindNow = has(elf.DT_FLAGS, uint64(elf.DF_BIND_NOW)) || has(elf.DT_FLAGS_1, uint64(elf.DF_1_NOW))
	if values, _ := file.DynValue(elf.DT_BIND_NOW); len(values) > 0 {
		bindNow = true
	}
	return interpreter, bindNow
}

// TestTheImagesVersionIsThePrograms keeps the label's default like the constant.
func TestTheImagesVersionIsThePrograms(t *testing.T) {
	for _, s := range stages(t) {
		for _, c := range s.Commands {
			c, ok := c.(*instructions.ArgCommand)
			if !ok {
				continue
			}
			for _, a := range c.Args {
				if a.Key == "VERSION" && !strings.Contains(read(t, "otelvllm/attributes.go"), `const Version = "`+*a.Value+`"`) {
					t.Errorf("stage %s: VERSION is %s by default, which is not the library's", s.Name, *a.Value)
				}
			}
		}
	}
}
