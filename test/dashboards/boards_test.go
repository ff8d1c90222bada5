package dashboards

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/prometheus/common/model"
)

var update = flag.Bool("update", false, "write the dashboards to collector-config/grafana")

// notShown are metrics that no dashboard shows, each with the reason.
var notShown = map[string]string{}

func dashboardPath(name string) string { return filepath.Join(grafanaDir, "dashboards", name) }

// TestDashboardsAreGenerated compares the files with the code that makes them, and has Grafana's own types read them
// strictly: an unknown member or one that lacks is an error.
func TestDashboardsAreGenerated(t *testing.T) {
	for name, d := range Boards() {
		want, err := Encode(d)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(dashboardPath(name), want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(dashboardPath(name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is not what the code makes: run go test -run Dashboards -update .", dashboardPath(name))
		}
		if err := grafanaReads(got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	files, err := filepath.Glob(dashboardPath("*"))
	if err != nil || len(files) != len(Boards()) {
		t.Errorf("got the files %v and %v, want those of %d dashboards", files, err, len(Boards()))
	}
}

// grafanaReads reads a dashboard strictly: an unknown member is an error, and one that lacks is, in panels, options and
// queries too.
func grafanaReads(text []byte) error {
	plugins.RegisterDefaultPlugins()
	var read dashboard.Dashboard
	var none cog.BuildErrors
	// Where nothing is wrong the answer may be an empty list, which is not nil.
	if err := read.UnmarshalJSONStrict(text); err != nil && (!errors.As(err, &none) || len(none) > 0) {
		return err
	}
	if err := read.Validate(); err != nil && (!errors.As(err, &none) || len(none) > 0) {
		return err
	}
	return nil
}

// TestAWrongDashboardIsSeen shows that the strict reading can fail.
func TestAWrongDashboardIsSeen(t *testing.T) {
	text, err := os.ReadFile(dashboardPath("requests.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range strings.Fields("schemaVersion gridPos legendFormat expr cellHeight stacking colorMode") {
		wrong := strings.Replace(string(text), `"`+member+`"`, `"x`+member+`"`, 1)
		if err := grafanaReads([]byte(wrong)); err == nil {
			t.Errorf("got no error for x%s instead of %[1]s, want one", member)
		}
	}
}

// panels returns all panels of a dashboard, also those of folded rows.
func panels(d dashboard.Dashboard) (all []dashboard.Panel) {
	for _, p := range d.Panels {
		if p.Panel != nil {
			all = append(all, *p.Panel)
		} else {
			all = append(all, p.RowPanel.Panels...)
		}
	}
	return all
}

// plainQuery puts values in the place of Grafana's variables. Those of the dashboard stand in matchers, where any text
// will do.
func plainQuery(expr string) string {
	return strings.NewReplacer("$__rate_interval", "5m", "$__interval", "1m", "$__range", "1h").Replace(expr)
}

// shownBy checks every query of every dashboard and returns the series that they read.
func shownBy(t *testing.T, q *Queries) map[string]bool {
	t.Helper()
	before := q.Used
	q.Used = make(map[string]bool)
	defer func() { q.Used = before }()
	for name, d := range Boards() {
		for _, p := range panels(d) {
			for _, target := range p.Targets {
				data := target.(prometheus.Dataquery)
				labels, err := q.Check(plainQuery(data.Expr))
				if err != nil {
					t.Errorf("%s, panel %s: %v\nin %s", name, *p.Title, err, data.Expr)
					continue
				}
				checkLegend(t, name+", panel "+*p.Title, data, labels)
			}
			checkColumns(t, q, name, p)
		}
		for _, a := range d.Annotations.List {
			if _, err := q.Check(a.Target.(prometheus.Dataquery).Expr); err != nil {
				t.Errorf("%s, annotation %s: %v", name, a.Name, err)
			}
		}
	}
	return q.Used
}

func checkLegend(t *testing.T, where string, data prometheus.Dataquery, labels []string) {
	t.Helper()
	if data.LegendFormat == nil {
		return
	}
	if *data.LegendFormat == "" {
		t.Errorf("%s: a query without a legend shows all of its labels", where)
	}
	for _, m := range regexp.MustCompile(`\{\{(.*?)\}\}`).FindAllStringSubmatch(*data.LegendFormat, -1) {
		if !slices.Contains(labels, m[1]) {
			t.Errorf("%s: the legend shows %s, and the query has only %v", where, m[1], labels)
		}
	}
}

// checkColumns compares the columns that a table keeps with the labels of its queries.
func checkColumns(t *testing.T, q *Queries, name string, p dashboard.Panel) {
	t.Helper()
	if p.Type != kindTable {
		return
	}
	have := []string{"Value"}
	var first []string
	for i, target := range p.Targets {
		expr := target.(prometheus.Dataquery).Expr
		labels, _ := q.Check(plainQuery(expr))
		if i == 0 {
			first = labels
		}
		// Rows of several queries come together where they agree in all labels that they share, the name included.
		if len(p.Targets) > 1 && (len(both(first, labels)) != len(first) || !strings.Contains(expr[:min(8, len(expr))], " by (")) {
			t.Errorf("%s, panel %s: the rows of %s do not join those of the first query: want an aggregation by %v", name, *p.Title, expr, first)
		}
		have = append(append(have, labels...), "Value #"+string(rune('A'+i)))
	}
	for _, transformation := range p.Transformations {
		if transformation.Id != "organize" {
			continue
		}
		for column := range transformation.Options.(map[string]any)["renameByName"].(map[string]string) {
			if !slices.Contains(have, column) {
				t.Errorf("%s, panel %s: the table has no column %s, only %v", name, *p.Title, column, have)
			}
		}
	}
}

func TestDashboardsReadWhatExists(t *testing.T) { shownBy(t, mustKnow(t)) }

// TestEveryMetricIsShown looks for each metric of the surface in the dashboards, itself or through a recording rule.
func TestEveryMetricIsShown(t *testing.T) {
	q := mustKnow(t)
	shown := shownBy(t, q)
	rules, err := ReadRules()
	if err != nil {
		t.Fatal(err)
	}
	for range rules { // a rule may read a rule
		for _, r := range rules {
			if r.Record == "" || !shown[r.Record] {
				continue
			}
			q.Used = shown
			if _, err := q.Check(r.Expr); err != nil {
				t.Fatal(err)
			}
		}
	}
	translation := mustTranslation(t)
	for _, m := range mustSurface(t) {
		series, err := translation.Series(m)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for name := range series {
			found = found || shown[name]
		}
		switch reason, excepted := notShown[m.Name]; {
		case found && excepted:
			t.Errorf("notShown has %s, which a dashboard shows", m.Name)
		case !found && !excepted:
			t.Errorf("no dashboard shows %s (%v)", m.Name, series)
		case excepted && reason == "":
			t.Errorf("notShown does not say why %s is not shown", m.Name)
		}
	}
}

// TestVariablesReadWhatExists checks the queries of variables, and that every variable in use is declared and every
// declared one is used.
func TestVariablesReadWhatExists(t *testing.T) {
	q := mustKnow(t)
	for name, d := range Boards() {
		text, err := Encode(d)
		if err != nil {
			t.Fatal(err)
		}
		declared := map[string]bool{}
		for _, v := range d.Templating.List {
			declared[v.Name] = true
			used := regexp.MustCompile(`\$` + v.Name + `\b|\$\{` + v.Name + `\b`)
			if !used.Match(text) {
				t.Errorf("%s: nothing uses the variable %s", name, v.Name)
			}
			if v.Definition == nil {
				continue
			}
			m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(*v.Definition)
			if m == nil {
				t.Errorf("%s: the variable %s is made by %s, want label_values(series, label)", name, v.Name, *v.Definition)
				continue
			}
			checkVariable(t, q, name, m[1], m[2])
		}
		for _, m := range regexp.MustCompile(`\$\{?([a-z]\w*)`).FindAllStringSubmatch(string(text), -1) {
			if !declared[m[1]] {
				t.Errorf("%s uses the variable %s, which it does not have", name, m[1])
			}
		}
	}
}

// checkVariable checks label_values(selector, label), where the selector may match several names.
func checkVariable(t *testing.T, q *Queries, name, selector, label string) {
	t.Helper()
	pattern := regexp.MustCompile(`__name__=~"([^"]+)",? ?`).FindStringSubmatch(selector)
	names := []string{""}
	if pattern != nil {
		names = nil
		for known := range q.Known {
			if regexp.MustCompile("^(" + pattern[1] + ")$").MatchString(known) {
				names = append(names, known)
			}
		}
		selector = strings.Replace(selector, pattern[0], "", 1)
	}
	if len(names) == 0 {
		t.Errorf("%s: no series matches %s", name, pattern[1])
	}
	for _, known := range names {
		if !model.UTF8Validation.IsValidLabelName(label) {
			t.Errorf("%s: %q is no label", name, label)
		}
		labels, err := q.Check(known + selector)
		if err != nil || !slices.Contains(labels, label) {
			t.Errorf("%s: label_values(%s, %s): got %v and %v, want labels with %s", name, known+selector, label, labels, err, label)
		}
	}
}

// TestProvisioningFits compares the uids in provisioning with those that the dashboards and the data sources name.
func TestProvisioningFits(t *testing.T) {
	var sources struct {
		Datasources []struct {
			UID, Type string
			JSONData  struct {
				Exemplars []struct{ DatasourceUID string } `yaml:"exemplarTraceIdDestinations"`
				Metrics   struct {
					DatasourceUID string `yaml:"datasourceUid"`
					Queries       []struct{ Query string }
				} `yaml:"tracesToMetrics"`
			} `yaml:"jsonData"`
		}
	}
	if err := ReadYAML(filepath.Join(grafanaDir, "provisioning", "datasources", "otelvllm.yaml"), &sources); err != nil {
		t.Fatal(err)
	}
	types := make(map[string]string)
	q := mustKnow(t)
	for _, s := range sources.Datasources {
		types[s.UID] = s.Type
		for _, query := range s.JSONData.Metrics.Queries {
			if _, err := q.Check(strings.Replace(query.Query, "$$__tags", `gen_ai_request_model="m"`, 1)); err != nil {
				t.Errorf("data source %s: %v", s.UID, err)
			}
		}
	}
	if types[uidPrometheus] != "prometheus" || types[uidJaeger] != "jaeger" || len(types) != 2 {
		t.Errorf("got the data sources %v, want %s and %s", types, uidPrometheus, uidJaeger)
	}
	text, err := os.ReadFile(filepath.Join(grafanaDir, "provisioning", "datasources", "otelvllm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)datasourceUid: (.*)$`).FindAllStringSubmatch(string(text), -1) {
		if types[m[1]] == "" {
			t.Errorf("there is no data source %s", m[1])
		}
	}
	seen := make(map[string]string)
	for name, d := range Boards() {
		if other := seen[*d.Uid]; other != "" || *d.Uid+".json" != "otelvllm-"+name {
			t.Errorf("%s has the uid %s, which %q has too, or which does not fit its name", name, *d.Uid, other)
		}
		seen[*d.Uid] = name
		body, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"datasource":\{"type":"(\w+)","uid":"([^"]+)"`).FindAllStringSubmatch(string(body), -1) {
			if types[m[2]] != m[1] {
				t.Errorf("%s reads %s of the type %s, want a data source that is provisioned", name, m[2], m[1])
			}
		}
	}
}

// TestEveryCauseIsExplained compares the table of causes on the dashboard with the watchdog's codes.
func TestEveryCauseIsExplained(t *testing.T) {
	codes, _ := watchdogCodes(t)
	sections := anchors(t)
	explained := make(map[string]bool)
	for _, c := range causes {
		explained[c.code] = true
		if !strings.Contains(sections[c.section], "`"+c.code+"`") {
			t.Errorf("the section #%s of the guide does not have %s", c.section, c.code)
		}
	}
	for _, code := range codes {
		if !explained[code] {
			t.Errorf("the dashboard of requests does not explain %s", code)
		}
		delete(explained, code)
	}
	for code := range explained {
		t.Errorf("the dashboard of requests explains %s, which the watchdog does not know", code)
	}
}
