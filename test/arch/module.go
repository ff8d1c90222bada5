// Package arch checks rules about the source of a Go module: which package may import which, how long a file may be,
// what a library never calls. A check returns what breaks its rule, so that a test of the module can report it and a
// test of the check can show that it finds something.
package arch

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Finding is one place that breaks a rule.
type Finding struct {
	// Key names the place without a line number, such as "otelvllm/call.go" or "otelvllm/call.go:finish", and is
	// what an exception names.
	Key string
	// Text says where it is and what is wrong.
	Text string
}

// Module is the parsed source of one module, without the modules nested in it.
type Module struct {
	Path     string // the module path
	Packages []*Package
	fset     *token.FileSet
}

// Package is one folder with Go files. An external test package counts as part of the package it tests.
type Package struct {
	Dir   string // below the module's root, with slashes; "." is the root
	Files []*File
}

// File is one parsed Go file, whatever its build constraints.
type File struct {
	Path  string // below the module's root
	Test  bool   // the name ends in _test.go
	Lines int
	AST   *ast.File
}

// Load parses the module whose root is fsys. Folders named testdata or vendor, those whose name starts with a dot or
// an underscore, nested modules, and files with the build constraint "ignore", which are programs beside the package,
// are left out, as the go command leaves them out of "./...".
func Load(fsys fs.FS) (*Module, error) {
	gomod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	m := &Module{Path: modulePath(gomod), fset: token.NewFileSet()}
	if m.Path == "" {
		return nil, fmt.Errorf("go.mod has no module line")
	}
	packages := map[string]*Package{}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipDir(fsys, name)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		file, err := m.parse(fsys, name)
		if err != nil || ignored(file.AST) {
			return err
		}
		dir := path.Dir(name)
		if packages[dir] == nil {
			packages[dir] = &Package{Dir: dir}
			m.Packages = append(m.Packages, packages[dir])
		}
		packages[dir].Files = append(packages[dir].Files, file)
		return nil
	})
	slices.SortFunc(m.Packages, func(a, b *Package) int { return cmp.Compare(a.Dir, b.Dir) })
	return m, err
}

func modulePath(gomod []byte) string {
	for line := range strings.Lines(string(gomod)) {
		if rest, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

func skipDir(fsys fs.FS, dir string) error {
	if dir == "." {
		return nil
	}
	base := path.Base(dir)
	if base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_' {
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, path.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (m *Module) parse(fsys fs.FS, name string) (*File, error) {
	source, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	tree, err := parser.ParseFile(m.fset, name, source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	return &File{Path: name, Test: strings.HasSuffix(name, "_test.go"), Lines: bytes.Count(source, []byte("\n")), AST: tree}, nil
}

// ignored says whether a file's build constraint is "ignore".
func ignored(f *ast.File) bool {
	for _, group := range f.Comments {
		if group.Pos() > f.Package {
			return false
		}
		for _, c := range group.List {
			if strings.TrimSpace(c.Text) == "//go:build ignore" {
				return true
			}
		}
	}
	return false
}

// imports yields the import paths of a file with their places.
func (m *Module) imports(f *File) func(yield func(string, token.Position) bool) {
	return func(yield func(string, token.Position) bool) {
		for _, spec := range f.AST.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err == nil && !yield(p, m.fset.Position(spec.Pos())) {
				return
			}
		}
	}
}

// files yields every file of the module with its package.
func (m *Module) files() func(yield func(*Package, *File) bool) {
	return func(yield func(*Package, *File) bool) {
		for _, p := range m.Packages {
			for _, f := range p.Files {
				if !yield(p, f) {
					return
				}
			}
		}
	}
}

// Except leaves out the findings that exceptions names by key, each with the reason why the rule does not hold there.
// An exception that no finding needs any more, or without a reason, is a finding itself.
func Except(findings []Finding, exceptions map[string]string) []Finding {
	used := map[string]bool{}
	left := slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool {
		_, ok := exceptions[f.Key]
		used[f.Key] = ok
		return ok
	})
	keys := make([]string, 0, len(exceptions))
	for key := range exceptions {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if !used[key] {
			left = append(left, Finding{key, fmt.Sprintf("exception for %q: nothing breaks the rule there any more; remove it", key)})
		} else if exceptions[key] == "" {
			left = append(left, Finding{key, fmt.Sprintf("exception for %q: give a reason", key)})
		}
	}
	return left
}

// within says whether dir is one of roots or lies below one.
func within(dir string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return dir == root || strings.HasPrefix(dir, root+"/")
	})
}
