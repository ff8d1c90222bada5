package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/otelvllm/otelvllm-go/test/readme"
)

const guide = "examples/TROUBLESHOOTING.md"

// guideWords are the words of the guide that look like a code and are none.
var guideWords = strings.Fields(`queue_or_prefill first_token wake_up llm_request
	reset_gpu restart_machine restart_app restart_vm check_link follow_workflow look_up`)

// guideFlags are flags of vLLM that no remedy names, as they change what is recorded and not how the engine works.
var guideFlags = strings.Fields("--otlp-traces-endpoint --enable-per-request-metrics")

// guideVariables are those that neither vLLM nor OpenTelemetry reads.
var guideVariables = strings.Fields(`NCCL_DEBUG CUDA_LAUNCH_BLOCKING
	GPU_MEMORY_UTILIZATION MAX_MODEL_LEN MAX_NUM_SEQS TENSOR_PARALLEL_SIZE ENABLE_CHUNKED_PREFILL`)

// constants returns the string constants of a file, and of which type each is declared to be.
func constants(t *testing.T, name string) (values, types map[string]string) {
	t.Helper()
	text, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	values, types = make(map[string]string), make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			value, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			values[spec.Names[0].Name] = value
			if typ, ok := spec.Type.(*ast.Ident); ok {
				types[spec.Names[0].Name] = typ.Name
			}
		}
		return true
	})
	return values, types
}

// codes returns every cause that the watchdog knows.
func codes(t *testing.T) (list []string) {
	t.Helper()
	values, types := constants(t, "otelvllm/watchdog/code.go")
	for name, typ := range types {
		if typ == "Code" {
			list = append(list, values[name])
		}
	}
	if len(list) < 20 {
		t.Fatalf("got %d codes of the watchdog, want at least the 20 of the design", len(list))
	}
	return list
}

// strange returns the words of a text that match a pattern and are not in a list, each once.
func strange(text, pattern string, known ...string) (words []string) {
	for _, word := range regexp.MustCompile(pattern).FindAllString(text, -1) {
		if !slices.Contains(known, word) && !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return words
}

const (
	codePattern     = `\b[a-z]+(_[a-z]+)+\b`
	flagPattern     = `--[a-z][a-z0-9-]*`
	variablePattern = `\b[A-Z]+(_[A-Z]+)+\b`
)

// guideProse is the guide without the names of metrics, of attributes and of what nvidia-smi shows, which have
// underscores too.
func guideProse(t *testing.T) string {
	t.Helper()
	return regexp.MustCompile("vllm[:.][a-z_.]+|nvidia-smi -q -d [A-Z_,]+").ReplaceAllString(document(t, guide), "")
}

func TestTheGuideHasEveryCodeAndNoOther(t *testing.T) {
	text, known := guideProse(t), codes(t)
	for _, code := range known {
		if !strings.Contains(text, "`"+code+"`") {
			t.Errorf("%s lacks %s", guide, code)
		}
	}
	for _, word := range strange(text, codePattern, append(known, guideWords...)...) {
		t.Errorf("%s: %s is no code of the watchdog", guide, word)
	}
	for _, word := range guideWords {
		if !strings.Contains(text, word) {
			t.Errorf("guideWords has %s, which the guide does not", word)
		}
	}
}

func TestTheGuideNamesOnlySettingsThatExist(t *testing.T) {
	text := guideProse(t)
	lists, _ := constants(t, "otelvllm/watchdog/rules_test.go")
	known := strings.Fields(lists["flags"] + lists["variables"])
	if len(known) < 40 {
		t.Fatalf("got %d settings in otelvllm/watchdog/rules_test.go, want its lists flags and variables", len(known))
	}
	for _, flag := range strange(text, flagPattern, append(known, guideFlags...)...) {
		t.Errorf("%s: vLLM has no flag %s", guide, flag)
	}
	for _, variable := range strange(text, variablePattern, append(known, guideVariables...)...) {
		if !strings.HasPrefix(variable, "OTEL_") {
			t.Errorf("%s: nobody reads a variable %s", guide, variable)
		}
	}
	for _, variable := range append(strings.Fields("VLLM_LOGGING_LEVEL VLLM_LOG_STATS_INTERVAL VLLM_TRACE_FUNCTION"), guideVariables...) {
		if !strings.Contains(text, "\n| `"+variable+"` | ") {
			t.Errorf("%s does not say who reads %s", guide, variable)
		}
	}
}

// TestTheGuideNamesWhatWeHave looks for our own flags, attributes and metrics, vLLM's metrics, commands and links.
func TestTheGuideNamesWhatWeHave(t *testing.T) {
	text := document(t, guide)
	source := document(t, "examples/gateway/config.go") + document(t, "examples/monitor/main.go")
	for _, m := range regexp.MustCompile("`-([a-z][a-z-]*)").FindAllStringSubmatch(text, -1) {
		if !strings.Contains(source, `"`+m[1]+`"`) {
			t.Errorf("%s: neither the gateway nor the monitor has a flag -%s", guide, m[1])
		}
	}
	telemetry := document(t, "TELEMETRY.md")
	for _, m := range regexp.MustCompile("`(vllm\\.[a-z_.]+)`").FindAllStringSubmatch(text, -1) {
		if !strings.Contains(telemetry, "`"+m[1]+"`") {
			t.Errorf("%s: TELEMETRY.md knows no %s", guide, m[1])
		}
	}
	names := document(t, "otelvllm/engine/names.go")
	for _, name := range strange(text, "vllm:[a-z_]+") {
		if !strings.Contains(names, `"`+name+`"`) {
			t.Errorf("%s: the engine package reads no %s", guide, name)
		}
	}
	checker := readme.Checker{Root: root, Module: load(t).Path}
	for _, m := range regexp.MustCompile("`(go run [^`]+)`").FindAllStringSubmatch(text, -1) {
		for _, problem := range checker.CheckCommand(m[1]) {
			t.Errorf("%s: %s: %s", guide, m[1], problem)
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#:\s]+)\)`).FindAllStringSubmatch(text, -1) {
		if _, err := fs.Stat(root, path.Join("examples", m[1])); err != nil {
			t.Errorf("%s: link to %s: it does not exist", guide, m[1])
		}
	}
}

// TestAWrongWordIsSeen shows that the tests of the guide can fail.
func TestAWrongWordIsSeen(t *testing.T) {
	text := "`engine_gone` after `--max-seqs`, `VLLM_NOPE` or `MAX_LEN`; engine_dead"
	for pattern, want := range map[string]string{codePattern: "engine_gone", flagPattern: "--max-seqs", variablePattern: "VLLM_NOPE MAX_LEN"} {
		if got := strings.Join(strange(text, pattern, codes(t)...), " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
