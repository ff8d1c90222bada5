package deploy

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// root is the repository's.
var root = sync.OnceValue(func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		return "../.."
	}
	return dir
})

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func report(t *testing.T, findings []string) {
	t.Helper()
	for _, f := range findings {
		t.Error(f)
	}
}

// want fails unless one finding of a bad sample holds the text, and there is no finding about anything else.
func want(t *testing.T, findings []string, text string) {
	t.Helper()
	if len(findings) != 1 || !strings.Contains(findings[0], text) {
		t.Errorf("got %q, want one finding with %q", findings, text)
	}
}

func stages(t *testing.T) Stages {
	t.Helper()
	s, err := Dockerfile([]byte(read(t, "Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shared is one builder for all tests, so that each program is built once.
var shared struct {
	sync.Mutex
	builder *Builder
}

func TestMain(m *testing.M) {
	status := m.Run()
	if shared.builder != nil {
		os.RemoveAll(shared.builder.Temp)
	}
	os.Exit(status)
}

// image builds a stage of the repository's Dockerfile.
func image(t *testing.T, name string) *Image {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.builder == nil {
		sent, err := NewBuildContext(root())
		if err != nil {
			t.Fatal(err)
		}
		temp, err := os.MkdirTemp("", "otelvllm-images-*") //nolint:usetesting // it outlives the test that makes it
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(temp, 0o755); err != nil { // the programs run as a user of their own
			t.Fatal(err)
		}
		shared.builder = &Builder{Stages: stages(t), Context: sent, Temp: temp}
	}
	shared.builder.Out = func(line string) { t.Logf("RUN %s", line) }
	built, err := shared.builder.Build(context.WithoutCancel(t.Context()), name)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

var (
	flagLine = regexp.MustCompile(`(?m)^  -([a-z-]+)`)
	variable = regexp.MustCompile(`\((OTELVLLM_[A-Z_]+)\)`)
)

// settings returns the flags and variables that a program of an image lists for -h.
func settings(t *testing.T, image *Image) (flags, variables map[string]bool) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(image.Root, image.Entrypoint[0]), "-h").CombinedOutput()
	if err != nil {
		t.Fatalf("%s -h: %v\n%s", image.Entrypoint[0], err, out)
	}
	flags, variables = map[string]bool{}, map[string]bool{}
	for _, m := range flagLine.FindAllStringSubmatch(string(out), -1) {
		flags[m[1]] = true
	}
	for _, m := range variable.FindAllStringSubmatch(string(out), -1) {
		variables[m[1]] = true
	}
	if len(flags) == 0 {
		t.Fatalf("%s -h lists no flag:\n%s", image.Entrypoint[0], out)
	}
	return flags, variables
}

// runGateway runs a program of an image outside of it until it ends, and returns what it said.
func runGateway(t *testing.T, image *Image, env []string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(image.Root, image.Entrypoint[0]), args...)
	command.Env = env
	out, err := command.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out)
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
