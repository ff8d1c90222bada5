package dashboards

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Queries checks PromQL expressions against what exists.
type Queries struct {
	// Known are the series that exist, by name.
	Known map[string][]string
	// Metrics are the metrics that were used, by the name of a series. Check adds to it.
	Used map[string]bool
	p    parser.Parser
}

// NewQueries returns a checker for the given series.
func NewQueries(table map[string]Series) *Queries {
	q := &Queries{Known: make(map[string][]string), Used: make(map[string]bool), p: parser.NewParser(parser.Options{})}
	for name, s := range table {
		q.Known[name] = s.Labels
	}
	// What Prometheus makes itself.
	q.Known["up"] = []string{"job", "instance"}
	q.Known["ALERTS"] = []string{"alertname", "alertstate", "severity", "job", "instance"}
	return q
}

// Check parses an expression and returns the labels that its result may have. The error names every series and every
// label in it that does not exist.
func (q *Queries) Check(text string) ([]string, error) {
	e, err := q.p.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	w := walk{q: q}
	result := w.labels(e)
	slices.Sort(result)
	return slices.Compact(result), errors.Join(w.errs...)
}

// walk follows one expression from the inside out.
type walk struct {
	q    *Queries
	errs []error
}

func (w *walk) complain(format string, args ...any) {
	w.errs = append(w.errs, fmt.Errorf(format, args...))
}

// require complains about labels that are not in have.
func (w *walk) require(what string, want, have []string) {
	for _, label := range want {
		if !slices.Contains(have, label) {
			w.complain("%s: there is no label %s, only %v", what, label, have)
		}
	}
}

// labels returns the labels that the result of e may have.
func (w *walk) labels(e parser.Expr) []string {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return w.labels(e.Expr)
	case *parser.UnaryExpr:
		return w.labels(e.Expr)
	case *parser.StepInvariantExpr:
		return w.labels(e.Expr)
	case *parser.SubqueryExpr:
		return w.labels(e.Expr)
	case *parser.MatrixSelector:
		return w.labels(e.VectorSelector)
	case *parser.VectorSelector:
		return w.selector(e)
	case *parser.AggregateExpr:
		return w.aggregate(e)
	case *parser.BinaryExpr:
		return w.binary(e)
	case *parser.Call:
		return w.call(e)
	}
	return nil // a number or a string
}

func (w *walk) selector(e *parser.VectorSelector) []string {
	name := e.Name
	var used []string
	for _, m := range e.LabelMatchers {
		if m.Name == model.MetricNameLabel {
			if m.Type == labels.MatchEqual {
				name = m.Value
			}
			continue
		}
		used = append(used, m.Name)
	}
	have, ok := w.q.Known[name]
	if !ok {
		w.complain("there is no series %s", name)
		return used
	}
	w.q.Used[name] = true
	w.require(name, used, have)
	return slices.Clone(have)
}

func (w *walk) aggregate(e *parser.AggregateExpr) []string {
	have := w.labels(e.Expr)
	w.labels(e.Param)
	w.require(e.Op.String(), e.Grouping, have)
	switch {
	case e.Op == parser.TOPK || e.Op == parser.BOTTOMK:
		return have
	case e.Without:
		return slices.DeleteFunc(have, func(l string) bool { return slices.Contains(e.Grouping, l) })
	}
	return slices.Clone(e.Grouping)
}

func (w *walk) binary(e *parser.BinaryExpr) []string {
	left, right := w.labels(e.LHS), w.labels(e.RHS)
	if e.LHS.Type() == parser.ValueTypeScalar {
		return right
	}
	if e.RHS.Type() == parser.ValueTypeScalar || e.VectorMatching == nil {
		return left
	}
	m := e.VectorMatching
	w.require("left of "+e.Op.String(), m.MatchingLabels, left)
	w.require("right of "+e.Op.String(), m.MatchingLabels, right)
	switch {
	case e.Op == parser.LOR:
		return both(left, right)
	case e.Op == parser.LAND || e.Op == parser.LUNLESS:
		return left
	case m.Card == parser.CardManyToOne:
		w.require("group_left", m.Include, right)
		return append(left, m.Include...)
	case m.Card == parser.CardOneToMany:
		w.require("group_right", m.Include, left)
		return append(right, m.Include...)
	case m.On:
		return slices.Clone(m.MatchingLabels)
	}
	if !slices.Equal(sorted(without(left, m.MatchingLabels)), sorted(without(right, m.MatchingLabels))) {
		w.complain("%s: the sides never match: %v and %v", e.Op, left, right)
	}
	return without(left, m.MatchingLabels)
}

func (w *walk) call(e *parser.Call) []string {
	var have []string
	for _, arg := range e.Args {
		have = append(have, w.labels(arg)...)
	}
	switch e.Func.Name {
	case "label_replace", "label_join":
		if to, ok := e.Args[1].(*parser.StringLiteral); ok {
			have = append(have, to.Val)
		}
	case "histogram_quantile":
		return without(have, []string{"le"})
	case "scalar", "vector", "time":
		return nil
	}
	return have
}

// both returns what is in both lists: a label that only one side of an "or" has cannot be relied on.
func both(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(l string) bool { return !slices.Contains(b, l) })
}

func without(list, gone []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(l string) bool { return slices.Contains(gone, l) })
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}
