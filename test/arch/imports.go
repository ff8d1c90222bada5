package arch

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Arrows says which packages of the module each package may import: folders by folder. A package without imports of
// its own module has an empty entry.
type Arrows map[string][]string

// CheckArrows finds imports between packages of the module that allowed does not have, and packages that it does not
// know. Packages within free may import anything. Test files may import what their package leads to, the package
// itself, what is within free, and packages called fake, which stand for what a machine may lack.
func (m *Module) CheckArrows(allowed Arrows, free []string) (findings []Finding) {
	for _, p := range m.Packages {
		if within(p.Dir, free) {
			continue
		}
		targets, known := allowed[p.Dir]
		if !known {
			findings = append(findings, Finding{p.Dir, fmt.Sprintf("%s: this package is not in the table of arrows", p.Dir)})
			continue
		}
		for _, f := range p.Files {
			for imported, at := range m.imports(f) {
				dir, ours := m.dir(imported)
				if !ours || slices.Contains(targets, dir) || f.Test && (dir == p.Dir || within(dir, free) || path.Base(dir) == "fake" || allowed.leads(p.Dir, dir)) {
					continue
				}
				findings = append(findings, Finding{f.Path, fmt.Sprintf("%s: %s must not import %s", at, p.Dir, dir)})
			}
		}
	}
	return findings
}

// leads says whether there is a way from one package to another along the arrows.
func (a Arrows) leads(from, to string) bool {
	return slices.ContainsFunc(a[from], func(next string) bool { return next == to || a.leads(next, to) })
}

// dir returns the folder of an import path of this module.
func (m *Module) dir(imported string) (string, bool) {
	if imported == m.Path {
		return ".", true
	}
	return strings.CutPrefix(imported, m.Path+"/")
}

// CheckAcyclic finds a cycle among the arrows themselves.
func (a Arrows) CheckAcyclic() (findings []Finding) {
	const walking, done = 1, 2
	state := map[string]int{}
	var walk func(path []string, dir string)
	walk = func(path []string, dir string) {
		path = append(path, dir)
		switch state[dir] {
		case walking:
			findings = append(findings, Finding{dir, "the arrows go round: " + strings.Join(path, " → ")})
			return
		case done:
			return
		}
		state[dir] = walking
		for _, next := range a[dir] {
			walk(path, next)
		}
		state[dir] = done
	}
	for _, dir := range slices.Sorted(maps.Keys(a)) {
		walk(nil, dir)
	}
	return findings
}

// CheckStandardOnly finds imports from outside the standard library and the module in the packages dirs. Test files
// are free.
func (m *Module) CheckStandardOnly(dirs ...string) (findings []Finding) {
	for p, f := range m.files() {
		if !slices.Contains(dirs, p.Dir) || f.Test {
			continue
		}
		for imported, at := range m.imports(f) {
			first, _, _ := strings.Cut(imported, "/")
			if _, ours := m.dir(imported); !ours && strings.Contains(first, ".") {
				findings = append(findings, Finding{
					f.Path,
					fmt.Sprintf("%s: %s uses the standard library only, not %s", at, p.Dir, imported),
				})
			}
		}
	}
	return findings
}

// Restriction keeps some import paths to some packages.
type Restriction struct {
	Imports []string // import paths; "p/..." is p and everything below it
	Dirs    []string // the packages that may have them, and those below; none: no package may
	Tests   bool     // test files outside Dirs may have them too
	Why     string
}

// CheckRestrictions finds imports outside the packages that may have them.
func (m *Module) CheckRestrictions(restrictions ...Restriction) (findings []Finding) {
	for p, f := range m.files() {
		for _, r := range restrictions {
			if within(p.Dir, r.Dirs) || f.Test && r.Tests {
				continue
			}
			for imported, at := range m.imports(f) {
				if matches(imported, r.Imports) {
					findings = append(findings, Finding{
						f.Path,
						fmt.Sprintf("%s: %s must not import %s: %s", at, p.Dir, imported, r.Why),
					})
				}
			}
		}
	}
	return findings
}

func matches(imported string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if above, ok := strings.CutSuffix(pattern, "/..."); ok {
			return within(imported, []string{above})
		}
		return imported == pattern
	})
}
