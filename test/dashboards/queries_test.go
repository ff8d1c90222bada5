package dashboards

import (
	"slices"
	"strings"
	"testing"
)

func TestQueriesAreChecked(t *testing.T) {
	q := NewQueries(map[string]Series{
		"a_total":  {Labels: []string{"job", "model"}},
		"b":        {Labels: []string{"instance", "job"}},
		"h_bucket": {Labels: []string{"job", "le"}},
	})
	for name, test := range map[string]struct {
		expr   string
		labels string // of the result, with spaces between
		wrong  string // what the error has; empty for none
	}{
		"a selector has all of its labels":          {expr: `rate(a_total{job="x"}[5m])`, labels: "job model"},
		"an aggregation keeps what it groups by":    {expr: `sum by (job) (rate(a_total[5m]))`, labels: "job"},
		"without takes labels away":                 {expr: `sum without (model) (a_total)`, labels: "job"},
		"topk keeps all":                            {expr: `topk(3, a_total)`, labels: "job model"},
		"a quantile uses the buckets up":            {expr: `histogram_quantile(0.9, sum by (job, le) (h_bucket))`, labels: "job"},
		"on keeps what it matches by":               {expr: `a_total / on (job) b`, labels: "job"},
		"group_left adds labels":                    {expr: `b * on (job) group_left (model) a_total`, labels: "instance job model"},
		"and keeps the left side":                   {expr: `a_total and on (job) b`, labels: "job model"},
		"or has what both sides have":               {expr: `a_total or b`, labels: "job"},
		"a number changes no labels":                {expr: `time() - a_total > 5 * scalar(sum(b))`, labels: "job model"},
		"label_replace adds a label":                {expr: `label_replace(b, "new", "$1", "job", "(.*)")`, labels: "instance job new"},
		"a series that does not exist":              {expr: `sum(c_total)`, wrong: "no series c_total"},
		"a matcher of a label that does not exist":  {expr: `a_total{colour="x"}`, wrong: "no label colour"},
		"a grouping by a label that does not exist": {expr: `sum by (instance) (a_total)`, labels: "instance", wrong: "no label instance"},
		"a label that the inner sum took away":      {expr: `sum by (model) (sum by (job) (a_total))`, wrong: "no label model"},
		"on by a label that one side lacks":         {expr: `a_total / on (instance) b`, wrong: "left of /: there is no label instance"},
		"a group_left of a label that is not there": {expr: `b * on (job) group_left (colour) a_total`, wrong: "no label colour"},
		"sides that never match":                    {expr: `a_total / b`, wrong: "never match"},
		"what PromQL cannot read":                   {expr: `sum by (job (a_total)`, wrong: "parse error"},
	} {
		t.Run(name, func(t *testing.T) {
			labels, err := q.Check(test.expr)
			if test.wrong == "" {
				if err != nil {
					t.Fatal(err)
				}
				if want := strings.Fields(test.labels); !slices.Equal(labels, want) {
					t.Errorf("got the labels %v, want %v", labels, want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("got the error %v, want one with %q", err, test.wrong)
			}
		})
	}
	if !q.Used["a_total"] || q.Used["c_total"] {
		t.Errorf("got %v as used, want a_total and not c_total", q.Used)
	}
}
