package test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/otelvllm/otelvllm-go/test/arch"
)

// arrows says which package may import which. The graph has no cycle, and there is no other package.
var arrows = arch.Arrows{
	"otelvllm":                   {"otelvllm/sse", "otelvllm/internal/httpwrap", "otelvllm/internal/wire", "otelvllm/inflight"},
	"otelvllm/sse":               {},
	"otelvllm/internal/httpwrap": {},
	"otelvllm/internal/wire":     {"otelvllm/sse"},
	"otelvllm/inflight":          {},
	"otelvllm/engine":            {},
	"otelvllm/watchdog":          {"otelvllm/inflight", "otelvllm/engine"},
	"otelvllm/health":            {"otelvllm/inflight", "otelvllm/engine", "otelvllm/watchdog"},
	"otelvllm/livepage":          {"otelvllm/health", "otelvllm/inflight", "otelvllm/watchdog"},
	"otelvllm/otlp":              {},
	"otelvllm/gpus":              {"gpumetrics", "otelvllm/inflight", "otelvllm/engine", "otelvllm/health", "otelvllm/watchdog"},
	"gpumetrics":                 {},
	"gpumetrics/nvml":            {"gpumetrics"},
	"gpumetrics/fake":            {"gpumetrics"},
}

// programs may import anything and do what programs do. Everything else is a library.
var programs = []string{"examples", "test"}

var restrictions = []arch.Restriction{
	{
		Imports: []string{
			"go.opentelemetry.io/otel/sdk/...", "go.opentelemetry.io/otel/exporters/...",
			"go.opentelemetry.io/contrib/exporters/...", "go.opentelemetry.io/contrib/otelconf/...",
		},
		Dirs: append([]string{"otelvllm/otlp"}, programs...), Tests: true,
		Why: "a library takes the providers its user configured; only otlp makes them",
	},
	{
		Imports: []string{"github.com/NVIDIA/go-nvml/..."}, Dirs: []string{"gpumetrics/nvml"},
		Why: "an old driver or a hardened link can end a process that links it, so only programs that ask for it do",
	},
	{
		Imports: []string{"net/http/pprof", "expvar"},
		Why:     "importing it opens pages on http.DefaultServeMux",
	},
	{
		Imports: []string{"github.com/stretchr/testify/...", "github.com/onsi/gomega/..."},
		Why:     "tests compare with plain Go and say got and want",
	},
}

// forbidden is what libraries leave to programs.
var forbidden = arch.Forbidden{
	"func init":              "importing a package changes nothing",
	"panic":                  "a library cannot fail what it observes",
	"recover":                "a panic is seen and passes; see it with a deferred function that checks whether the call returned",
	"time.Sleep":             "wait with a timer and the context",
	"os.Exit":                "only a program ends itself",
	"log.Print":              "a library returns errors or logs to the slog.Logger it was given",
	"log.Printf":             "a library returns errors or logs to the slog.Logger it was given",
	"log.Println":            "a library returns errors or logs to the slog.Logger it was given",
	"slog.Default":           "a library logs to the slog.Logger it was given",
	"fmt.Print":              "a library does not print",
	"fmt.Printf":             "a library does not print",
	"fmt.Println":            "a library does not print",
	"print":                  "a library does not print",
	"println":                "a library does not print",
	"http.DefaultServeMux":   "it belongs to the program",
	"http.Handle":            "it registers on http.DefaultServeMux, which belongs to the program",
	"http.HandleFunc":        "it registers on http.DefaultServeMux, which belongs to the program",
	".RecordError":           "an error's text may hold a prompt; set error.type and the status",
	"otel.SetTracerProvider": "only otlp sets what is global",
	"otel.SetMeterProvider":  "only otlp sets what is global",
}

// topLevel are the entries of the repository's root.
var topLevel = []string{
	"go.mod", "go.sum", "go.work", "go.work.sum", "otelvllm", "gpumetrics", "examples", "collector-config", "test",
	"docker-compose.yml", "Dockerfile", "Makefile", "README.md", "TELEMETRY.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
}

// privateText are patterns of what only means something where it was written.
var privateText = map[string]string{
	`(proxy|sum)\.golang\.org|registry\.npmjs|pypi\.org|deb\.debian`: "name no package registry: it is the reader's choice",
	`(^|[\s"'(=:])/(work|home|Users)/[a-z]`:                          "a path of somebody's machine",
}

// Exceptions to the rules, by place, each with its reason. One that is not needed any more fails the test.
var (
	sizeExceptions      = map[string]string{}
	forbiddenExceptions = map[string]string{
		"gpumetrics/guard.go:protect":                      "wrappers of driver libraries have been seen to panic; that costs a reading, not the process that serves requests",
		"otelvllm/hook.go:safely":                          "the function is the user's and runs as the request ends; its panic must not become the request's",
		"otelvllm/capture.go:Capture.redact":               "the redaction is the user's; where it panics, the text must not leave and the request must not fail",
		"otelvllm/otlp/deliver.go:attempt":                 "an exporter that panics must not end the process, and what it held is counted",
		"otelvllm/otlp/report.go:reporter.report":          "the error handler is the user's and runs on the exporting goroutine",
		"gpumetrics/nvml/adapter.go:guard":                 "go-nvml's wrappers slice what the driver tells, and some panic where it tells nonsense",
		"otelvllm/otlp/setup.go:Telemetry.install":         "it is the one place that sets what is global",
		"otelvllm/middleware.go:Middleware":                "a nil handler is http.DefaultServeMux, as for http.Server",
		"otelvllm/internal/httpwrap/serve.go:ServeContext": "a nil handler is http.DefaultServeMux, as for http.Server",
	}
	stateExceptions  = map[string]string{}
	importExceptions = map[string]string{}
	textExceptions   = map[string]string{}
)

// sizes are the most lines that a file and a function may have.
var sizes = arch.Limits{File: 300, TestFile: 500, Function: 50}

var (
	root   = os.DirFS("..")
	module = sync.OnceValues(func() (*arch.Module, error) { return arch.Load(root) })
)

func load(t *testing.T) *arch.Module {
	t.Helper()
	m, err := module()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func report(t *testing.T, findings []arch.Finding, exceptions map[string]string) {
	t.Helper()
	for _, f := range arch.Except(findings, exceptions) {
		t.Error(f.Text)
	}
}

func TestPackagesImportEachOtherAsDesigned(t *testing.T) {
	report(t, load(t).CheckArrows(arrows, programs), nil)
	report(t, arrows.CheckAcyclic(), nil)
}

func TestSmallPackagesUseTheStandardLibraryOnly(t *testing.T) {
	report(t, load(t).CheckStandardOnly(
		"otelvllm/sse", "otelvllm/internal/httpwrap", "otelvllm/internal/wire", "otelvllm/inflight"), nil)
}

func TestImportsStayWhereTheyMayBe(t *testing.T) {
	report(t, load(t).CheckRestrictions(restrictions...), importExceptions)
}

// TestOnlyOtlpBringsTheSDK sees what TestImportsStayWhereTheyMayBe does not: a dependency that brings the SDK along.
func TestOnlyOtlpBringsTheSDK(t *testing.T) {
	for _, p := range load(t).Packages {
		if p.Dir == "otelvllm/otlp" || strings.HasPrefix(p.Dir, "examples") || strings.HasPrefix(p.Dir, "test") {
			continue
		}
		for _, dep := range dependencies(t, "./"+p.Dir) {
			if dep == "go.opentelemetry.io/otel/sdk" || strings.HasPrefix(dep, "go.opentelemetry.io/otel/sdk/") {
				t.Errorf("a program that imports %s links %s", p.Dir, dep)
			}
		}
	}
}

// dependencies returns the import paths of everything that a package links.
func dependencies(t *testing.T, pkg string) []string {
	t.Helper()
	list := exec.Command("go", "list", "-deps", pkg)
	list.Dir = ".."
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v\n%s", pkg, err, stderr.String())
	}
	return strings.Fields(string(out))
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	report(t, load(t).CheckPackageComments(), nil)
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	report(t, load(t).CheckSizes(sizes), sizeExceptions)
}

func TestLibrariesDoNotDoWhatProgramsDo(t *testing.T) {
	report(t, load(t).CheckForbidden(forbidden, programs), forbiddenExceptions)
}

func TestLibrariesHaveNoPackageState(t *testing.T) {
	report(t, load(t).CheckPackageState(programs), stateExceptions)
}

func TestTheTopLevelHoldsWhatTheDesignNames(t *testing.T) {
	findings, err := arch.CheckTopLevel(root, topLevel...)
	if err != nil {
		t.Fatal(err)
	}
	report(t, findings, nil)
}

func TestFilesNameNoPrivatePlaces(t *testing.T) {
	findings, err := arch.CheckText(root, privateText)
	if err != nil {
		t.Fatal(err)
	}
	report(t, findings, textExceptions)
}

func TestTheChangelogTellsTelemetryChanges(t *testing.T) {
	changelog, err := fs.ReadFile(root, "CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	report(t, arch.CheckChangelog(string(changelog)), nil)
}

// TestEveryArrowIsInContributing keeps the table people read like the one the test reads.
func TestEveryArrowIsInContributing(t *testing.T) {
	text, err := fs.ReadFile(root, "CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	short := func(dir string) string { return strings.TrimPrefix(strings.TrimPrefix(dir, "otelvllm/"), "/") }
	plain := strings.Join(strings.Fields(string(text)), " ")
	for from, to := range arrows {
		if len(to) == 0 {
			continue
		}
		names := make([]string, len(to))
		for i, dir := range to {
			names[i] = short(dir)
		}
		if line := fmt.Sprintf("%s → %s", short(from), strings.Join(names, ", ")); !strings.Contains(plain, line) {
			t.Errorf("CONTRIBUTING.md lacks %q", line)
		}
	}
}
