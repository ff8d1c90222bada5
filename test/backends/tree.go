package backends

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// Tree is one trace as a backend shows it.
type Tree struct {
	TraceID string
	// Roots are the spans without a parent in the trace, by start. A whole trace has one.
	Roots []*Span
}

// Span is one span of a Tree.
type Span struct {
	ID       string
	ParentID string // empty if the span says it has none
	Name     string
	Kind     string // "internal", "server", "client", "producer", "consumer"
	Service  string
	Start    time.Time
	Duration time.Duration
	// Attributes hold strings, bools, int64s and float64s; an array is its text.
	Attributes map[string]any
	// Failed says whether the span's status is Error.
	Failed bool
	// Events are the names of the span's events, by time.
	Events   []string
	Children []*Span // by start
}

// newTree hangs spans below their parents. A span whose parent is not among them becomes a root.
func newTree(id string, spans []*Span) *Tree {
	tree := &Tree{TraceID: id}
	byID := make(map[string]*Span, len(spans))
	for _, s := range spans {
		byID[s.ID] = s
	}
	for _, s := range spans {
		if parent := byID[s.ParentID]; parent != nil && parent != s {
			parent.Children = append(parent.Children, s)
		} else {
			tree.Roots = append(tree.Roots, s)
		}
	}
	byStart := func(a, b *Span) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	}
	slices.SortFunc(tree.Roots, byStart)
	for _, s := range spans {
		slices.SortFunc(s.Children, byStart)
	}
	return tree
}

// All yields every span with its depth, parents before children. A root has depth 0.
func (t *Tree) All() iter.Seq2[int, *Span] {
	return func(yield func(int, *Span) bool) {
		var walk func(depth int, spans []*Span) bool
		walk = func(depth int, spans []*Span) bool {
			for _, s := range spans {
				if !yield(depth, s) || !walk(depth+1, s.Children) {
					return false
				}
			}
			return true
		}
		walk(0, t.Roots)
	}
}

// Find returns the spans with the given name, parents before children.
func (t *Tree) Find(name string) []*Span {
	var found []*Span
	for _, s := range t.All() {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// Path returns the names from a root down to the span with the given ID; nil if there is none.
func (t *Tree) Path(id string) []string {
	var path []string
	for depth, s := range t.All() {
		path = append(path[:depth], s.Name)
		if s.ID == id {
			return path
		}
	}
	return nil
}

// Shape returns one line for each span: two spaces for each level, service, kind and name, and "!" if the span
// failed. Brothers stand in the order of their names, since spans that start together have no order of their own.
func (t *Tree) Shape() string {
	var b strings.Builder
	var walk func(depth int, spans []*Span)
	walk = func(depth int, spans []*Span) {
		spans = slices.Clone(spans)
		slices.SortStableFunc(spans, func(a, b *Span) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), a.Start.Compare(b.Start))
		})
		for _, s := range spans {
			failed := ""
			if s.Failed {
				failed = " !"
			}
			fmt.Fprintf(&b, "%s%s %s %s%s\n", strings.Repeat("  ", depth), s.Service, s.Kind, s.Name, failed)
			walk(depth+1, s.Children)
		}
	}
	walk(0, t.Roots)
	return b.String()
}

// RenderTree draws the trace for people: each span with its kind, when it began after the first one, how long it
// took, and its attributes.
func RenderTree(t *Tree) string {
	var b strings.Builder
	fmt.Fprintf(&b, "trace %s\n", t.TraceID)
	if len(t.Roots) == 0 {
		return b.String()
	}
	zero := t.Roots[0].Start
	for depth, s := range t.All() {
		indent := strings.Repeat("  ", depth)
		failed := ""
		if s.Failed {
			failed = " FAILED"
		}
		fmt.Fprintf(&b, "%s%s [%s %s] +%v %v%s\n", indent, s.Name, s.Service, s.Kind, s.Start.Sub(zero), s.Duration, failed)
		for _, key := range sortedKeys(s.Attributes) {
			fmt.Fprintf(&b, "%s    %s = %v\n", indent, key, s.Attributes[key])
		}
	}
	return b.String()
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
