package dashboards

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// promtoolVariable names a promtool that is built already. Without it the test builds the one of ./promtool, which
// takes a minute or two the first time.
const promtoolVariable = "OTELVLLM_PROMTOOL"

func promtool(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(promtoolVariable); path != "" {
		return path
	}
	if testing.Short() {
		t.Skip("building promtool takes a minute or two; set " + promtoolVariable + " or leave -short out")
	}
	path := filepath.Join(t.TempDir(), "promtool")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "remove_all_sd", "-trimpath", "-ldflags=-s -w", "-o", path,
		"github.com/prometheus/prometheus/cmd/promtool")
	build.Dir = "promtool"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build promtool: %v\n%s", err, out)
	}
	return path
}

func ruleTests(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(prometheusDir, "tests", "*.yaml"))
	if err != nil || len(paths) < 4 {
		t.Fatalf("got %v and %v, want the test files of the rules", paths, err)
	}
	return paths
}

// TestPromtoolAgrees runs the tests of the rules, as they are for people: promtool test rules.
func TestPromtoolAgrees(t *testing.T) {
	tool := promtool(t)
	check := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	check("check", "config", filepath.Join(prometheusDir, "prometheus.yaml"))
	check(append([]string{"test", "rules"}, ruleTests(t)...)...)
}

// TestPromtoolSeesAWrongRule shows that the run above can fail.
func TestPromtoolSeesAWrongRule(t *testing.T) {
	tool, dir := promtool(t), t.TempDir()
	rules, err := os.ReadFile(filepath.Join(prometheusDir, "rules", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	recording, err := os.ReadFile(filepath.Join(prometheusDir, "rules", "recording.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	stalls, err := os.ReadFile(filepath.Join(prometheusDir, "tests", "stalls.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Replace(string(rules), `{vllm_stall_cause="engine_wedged"}`, `{vllm_stall_cause="engine_wedge"}`, 1)
	for name, text := range map[string]string{"rules/alerts.yaml": wrong, "rules/recording.yaml": string(recording), "tests/stalls.yaml": string(stalls)} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), tool, "test", "rules", filepath.Join(dir, "tests", "stalls.yaml")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "StalledByEngineWedged") {
		t.Errorf("got %v and\n%s\nwant a failure of StalledByEngineWedged", err, out)
	}
}

// TestEveryRuleHasATest looks for each alert among those that a test expects to fire, and among those of a file in which
// a test expects that none does; and for each recording rule among the expressions that are evaluated.
func TestEveryRuleHasATest(t *testing.T) {
	var fired, quiet, evaluated strings.Builder
	for _, path := range ruleTests(t) {
		var file struct {
			Tests []struct {
				Cases []struct {
					Expr    string
					Samples []struct{ Labels string } `yaml:"exp_samples"`
				} `yaml:"promql_expr_test"`
			}
		}
		if err := ReadYAML(path, &file); err != nil {
			t.Fatal(err)
		}
		for _, test := range file.Tests {
			for _, c := range test.Cases {
				evaluated.WriteString(c.Expr + "\n")
				if len(c.Samples) == 0 {
					quiet.WriteString(c.Expr + "\n")
				}
				for _, s := range c.Samples {
					fired.WriteString(s.Labels + "\n")
				}
			}
		}
	}
	rules, err := ReadRules()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		switch {
		case r.Record != "" && !regexp.MustCompile(`(^|[^\w:])`+regexp.QuoteMeta(r.Record)+`($|[^\w:])`).MatchString(evaluated.String()) && !derived(rules, r.Record, evaluated.String()):
			t.Errorf("no test evaluates the rule %s, or a rule that reads it", r.Record)
		case r.Alert != "" && !strings.Contains(fired.String(), `alertname="`+r.Alert+`"`):
			t.Errorf("no test expects the alert %s to fire", r.Alert)
		case r.Alert != "" && !matched(quiet.String(), r.Alert):
			t.Errorf("no test expects the alert %s not to fire", r.Alert)
		}
	}
}

// derived tells whether a test evaluates a rule that is made of the rule with this name.
func derived(rules []Rule, name, evaluated string) bool {
	for _, r := range rules {
		if r.Record != "" && strings.Contains(r.Expr, name) && strings.Contains(evaluated, r.Record) {
			return true
		}
	}
	return false
}

// matched tells whether one of the expressions selects the alert by its matcher of alertname.
func matched(expressions, alert string) bool {
	for _, m := range regexp.MustCompile(`alertname=~"([^"]+)"`).FindAllStringSubmatch(expressions, -1) {
		if regexp.MustCompile("^(" + m[1] + ")$").MatchString(alert) {
			return true
		}
	}
	return false
}
