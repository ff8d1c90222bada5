package dashboards

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	_ "github.com/prometheus/prometheus/discovery/file" // scrape jobs that are files
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func TestPrometheusReadsItsConfiguration(t *testing.T) {
	c, err := config.LoadFile(filepath.Join(prometheusDir, "prometheus.yaml"), false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"service.name", "service.instance.id", "process.pid"} {
		if slices.Contains(c.OTLPConfig.PromoteResourceAttributes, a) {
			t.Errorf("%s is promoted: it is job or instance already, or changes", a)
		}
	}
	if c.StorageConfig.TSDBConfig.OutOfOrderTimeWindow == 0 || c.StorageConfig.ExemplarsConfig.MaxExemplars == 0 {
		t.Error("late points are refused or exemplars thrown away, want both kept")
	}
}

func TestRulesAreRules(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(prometheusDir, "rules", "*.yaml"))
	if err != nil || len(paths) != 2 {
		t.Fatalf("got %v and %v, want recording.yaml and alerts.yaml", paths, err)
	}
	for _, path := range paths {
		_, errs := rulefmt.ParseFile(path, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
		for _, err := range errs {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestRulesReadWhatExists(t *testing.T) {
	q := mustKnow(t) // it has checked the recording rules
	rules, err := ReadRules()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if r.Alert == "" {
			continue
		}
		labels, err := q.Check(r.Expr)
		if err != nil {
			t.Errorf("the alert %s: %v", r.Alert, err)
		}
		for name, text := range r.Annotations {
			for _, label := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(text, -1) {
				if !slices.Contains(labels, label[1]) {
					t.Errorf("the alert %s: its %s shows the label %s, and the result has only %v", r.Alert, name, label[1], labels)
				}
			}
		}
	}
	// A rule that nobody reads costs for nothing.
	for name := range shownBy(t, q) {
		q.Used[name] = true
	}
	for _, r := range rules {
		if r.Record != "" && !q.Used[r.Record] {
			t.Errorf("no alert, rule or panel reads the rule %s", r.Record)
		}
	}
}

func TestAlertsTellWhatToDo(t *testing.T) {
	sections := anchors(t)
	rules, err := ReadRules()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if r.Alert == "" {
			continue
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("the alert %s has the severity %q, want critical, warning or info", r.Alert, r.Labels["severity"])
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("the alert %s lacks a summary or a description", r.Alert)
		}
		section, ok := strings.CutPrefix(r.Annotations["runbook_url"], guideURL+"#")
		if text, there := sections[section]; !ok || !there {
			t.Errorf("the alert %s has the runbook %q, want a section of %s", r.Alert, r.Annotations["runbook_url"], guidePath)
		} else if code := r.Labels["cause"]; code != "" && !strings.Contains(text, "`"+code+"`") {
			t.Errorf("the alert %s links to #%s, which does not have %s", r.Alert, section, code)
		} else if strings.HasPrefix(r.Alert, "GPU") && !strings.Contains(text, "`"+r.Alert+"`") {
			t.Errorf("the alert %s links to #%s, which does not name it", r.Alert, section)
		}
	}
}

// anchors returns the sections of the guide by the name that GitHub gives their headings in links.
func anchors(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(guidePath)
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string)
	name := ""
	for line := range strings.Lines(string(text)) {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			name = regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			name = strings.ReplaceAll(name, " ", "-")
			sections[name] = line
		}
		sections[name] += line
	}
	return sections
}

// TestLinksToTheGuideHaveATarget looks for the section of each link to the guide, in the alerts and on the dashboards.
func TestLinksToTheGuideHaveATarget(t *testing.T) {
	sections := anchors(t)
	paths, err := filepath.Glob(filepath.Join(prometheusDir, "rules", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	boards, err := filepath.Glob(filepath.Join(grafanaDir, "dashboards", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, path := range append(paths, boards...) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// What begins with a colon is a text to look for in the page: the code of a cause.
		for _, link := range regexp.MustCompile(regexp.QuoteMeta(guideURL)+`#([^:"\s)][^"\s)]*)`).FindAllStringSubmatch(string(text), -1) {
			seen++
			if sections[link[1]] == "" {
				t.Errorf("%s links to #%s, which %s does not have", path, link[1], guidePath)
			}
		}
	}
	if seen < 60 {
		t.Errorf("got %d links to sections of the guide, want at least one for each alert", seen)
	}
}

// TestEveryCauseHasAnAlert compares the alerts with the watchdog's table of rules: its codes, and its remedies word by
// word.
func TestEveryCauseHasAnAlert(t *testing.T) {
	remedies := watchdogRemedies(t)
	rules, err := ReadRules()
	if err != nil {
		t.Fatal(err)
	}
	described := make(map[string]string)
	for _, r := range rules {
		if code := r.Labels["cause"]; code != "" {
			described[code] = r.Annotations["description"]
			if !strings.Contains(r.Expr, `vllm_stall_cause="`+code+`"`) {
				t.Errorf("the alert %s has the cause %s, and its expression %s does not", r.Alert, code, r.Expr)
			}
		}
	}
	for code, remedy := range remedies {
		got, ok := described[code]
		if !ok {
			t.Errorf("no alert has the label cause: %s", code)
		} else if plain(got) != plain(remedy) {
			t.Errorf("the remedy of %s\ngot  %s\nwant %s", code, got, remedy)
		}
	}
	for code := range described {
		if remedies[code] == "" {
			t.Errorf("an alert has the cause %s, which the watchdog does not know", code)
		}
	}
}

// plain makes a sentence of an alert and a remedy of the watchdog alike.
func plain(s string) string {
	s = strings.TrimSuffix(strings.Join(strings.Fields(s), " "), ".")
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
