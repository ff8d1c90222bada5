package surface

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The comments between which a document's tables of telemetry stand.
const (
	TablesBegin = "<!-- telemetry:begin -->"
	TablesEnd   = "<!-- telemetry:end -->"
)

var (
	code = regexp.MustCompile("`([^`]+)`")
	// telemetryName is what the name of a metric or an attribute looks like: words with dots between.
	telemetryName = regexp.MustCompile(`^\.?[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$|^\.[a-z][a-z0-9_]*$`)
)

// CheckTables compares the tables of a document with a surface, both ways, and returns what is in one only.
//
// Every metric, span, attribute and event of the surface must be between TablesBegin and TablesEnd, set as code.
// Everything set as code in the first cell of a table row there, and everything that looks like the name of a metric
// or attribute anywhere there, must be in the surface. There may be more than one pair of comments.
func CheckTables(document, surface string) (problems []string) {
	tables, err := between(document)
	if err != nil {
		return []string{err.Error()}
	}
	told := map[string]bool{}    // every text set as code
	claimed := map[string]bool{} // those that must be in the surface
	for line := range strings.Lines(tables) {
		first := firstCell(line)
		for _, m := range code.FindAllStringSubmatch(line, -1) {
			told[m[1]] = true
			if telemetryName.MatchString(m[1]) {
				claimed[m[1]] = true
			}
		}
		for _, m := range code.FindAllStringSubmatch(first, -1) {
			claimed[m[1]] = true
		}
	}
	has := names(surface)
	for name, what := range has {
		if !told[name] {
			problems = append(problems, fmt.Sprintf("the tables lack the %s `%s`", what, name))
		}
	}
	for name := range claimed {
		if has[name] == "" {
			problems = append(problems, fmt.Sprintf("the tables have `%s`, which is not emitted (write names in full)", name))
		}
	}
	slices.Sort(problems)
	return problems
}

func between(document string) (string, error) {
	var b strings.Builder
	for rest := document; ; {
		_, after, found := strings.Cut(rest, TablesBegin)
		if !found {
			break
		}
		tables, after, found := strings.Cut(after, TablesEnd)
		if !found {
			return "", fmt.Errorf("%s has no %s after it", TablesBegin, TablesEnd)
		}
		b.WriteString(tables)
		b.WriteByte('\n')
		rest = after
	}
	if b.Len() == 0 {
		return "", fmt.Errorf("the document has no %s", TablesBegin)
	}
	return b.String(), nil
}

// firstCell returns the first cell of a table row; it is empty for other lines.
func firstCell(line string) string {
	row, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
	if !ok {
		return ""
	}
	cell, _, _ := strings.Cut(row, "|")
	return cell
}

// names returns what a surface's text names, with what it is.
func names(surface string) map[string]string {
	has := map[string]string{}
	inResource := false
	for line := range strings.Lines(surface) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			continue
		}
		if line[0] != ' ' {
			inResource = line == "resource"
			if what, name, ok := strings.Cut(line, " "); ok {
				has[name] = what
			}
			continue
		}
		what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		switch {
		case what == "attribute" && !inResource:
			key, _, _ := strings.Cut(rest, " ")
			has[key] = what
		case what == "event":
			name, keys, _ := strings.Cut(rest, " {")
			has[name] = what
			for key := range strings.SplitSeq(keys, "{") {
				if key, _, ok := strings.Cut(key, " "); ok {
					has[key] = "attribute"
				}
			}
		}
	}
	return has
}
