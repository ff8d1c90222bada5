package arch

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// CheckTopLevel finds entries of the module's root that allowed does not have. Names that start with a dot are free.
func CheckTopLevel(fsys fs.FS, allowed ...string) (findings []Finding, err error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if name := e.Name(); name[0] != '.' && !slices.Contains(allowed, name) {
			findings = append(findings, Finding{name, fmt.Sprintf("%s: the design has no such entry at the top level", name)})
		}
	}
	return findings, nil
}

// CheckText finds lines that match a pattern; patterns maps each to what is wrong with it. It reads every file but
// those named go.sum, those that are not text, and what lies in .git and .build.
func CheckText(fsys fs.FS, patterns map[string]string) (findings []Finding, err error) {
	compiled := map[*regexp.Regexp]string{}
	for pattern, why := range patterns {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, err
		}
		compiled[re] = why
	}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (name == ".git" || name == ".build") {
			return fs.SkipDir
		}
		if !entry.Type().IsRegular() || path.Base(name) == "go.sum" {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
			return nil
		}
		for re, why := range compiled {
			if at := re.FindIndex(text); at != nil {
				line := 1 + bytes.Count(text[:at[0]], []byte("\n"))
				findings = append(findings, Finding{name, fmt.Sprintf("%s:%d: %q: %s", name, line, text[at[0]:at[1]], why)})
			}
		}
		return nil
	})
	slices.SortFunc(findings, func(a, b Finding) int { return strings.Compare(a.Text, b.Text) })
	return findings, err
}

// CheckChangelog finds releases of a changelog that lack the heading Telemetry, and a changelog without the release
// that is being made.
func CheckChangelog(changelog string) (findings []Finding) {
	releases := strings.Split("\n"+changelog, "\n## ")[1:]
	if len(releases) == 0 || !strings.HasPrefix(releases[0], "[Unreleased]") {
		findings = append(findings, Finding{"CHANGELOG.md", "the changelog does not begin with [Unreleased]"})
	}
	for _, r := range releases {
		if !strings.Contains(r, "\n### Telemetry\n") {
			title, _, _ := strings.Cut(r, "\n")
			findings = append(findings, Finding{"CHANGELOG.md", fmt.Sprintf("release %q has no heading Telemetry", title)})
		}
	}
	return findings
}
