package surface

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files with what the tests got")

// Golden compares got with the file at path, and fails the test with the lines that differ. With the flag -update it
// writes got to the file instead. A missing file is an error that says how to make it.
func Golden(t testing.TB, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s does not exist; run the test with -update to write it", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := Diff(string(want), got); diff != "" {
		t.Errorf("%s is not what we got; if the change is wanted, run the test with -update\n%s", path, diff)
	}
}

// Diff returns the entries that are not the same in two surfaces: lines only in want with "-", lines only in got with
// "+", below the name of their entry. It is empty if the texts are equal.
func Diff(want, got string) string {
	if want == got {
		return ""
	}
	before, after := entries(want), entries(got)
	var b strings.Builder
	for _, name := range union(before, after) {
		removed, added := missing(before.lines[name], after.lines[name]), missing(after.lines[name], before.lines[name])
		if len(removed)+len(added) == 0 {
			continue
		}
		fmt.Fprintf(&b, "  %s\n", name)
		for _, line := range removed {
			fmt.Fprintf(&b, "- %s\n", line)
		}
		for _, line := range added {
			fmt.Fprintf(&b, "+ %s\n", line)
		}
	}
	if b.Len() == 0 {
		return "the lines are the same, their order is not\n"
	}
	return b.String()
}

// blocks are the entries of a surface's text. The first of an entry's lines is its name.
type blocks struct {
	names []string
	lines map[string][]string
}

func entries(text string) blocks {
	b := blocks{lines: map[string][]string{}}
	name := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line == "" {
			continue
		}
		if line[0] != ' ' {
			name = line
			b.names = append(b.names, name)
		}
		b.lines[name] = append(b.lines[name], line)
	}
	return b
}

func union(a, b blocks) []string {
	names := a.names
	for _, name := range b.names {
		if _, ok := a.lines[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// missing returns the lines of a that b does not have.
func missing(a, b []string) (lines []string) {
	has := map[string]bool{}
	for _, line := range b {
		has[line] = true
	}
	for _, line := range a {
		if !has[line] {
			lines = append(lines, line)
		}
	}
	return lines
}
