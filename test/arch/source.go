package arch

import (
	"fmt"
	"go/ast"
	"strings"
)

// CheckPackageComments finds packages whose non-test files have no package comment, or one that does not start as
// "Package name" ("Command" for a program). A folder with test files only needs none.
func (m *Module) CheckPackageComments() (findings []Finding) {
	for _, p := range m.Packages {
		comments, sources := 0, 0
		for _, f := range p.Files {
			if f.Test {
				continue
			}
			sources++
			if f.AST.Doc == nil {
				continue
			}
			comments++
			text := f.AST.Doc.Text()
			isCommand := f.AST.Name.Name == "main" && strings.HasPrefix(text, "Command ")
			if !isCommand && !strings.HasPrefix(text, "Package "+f.AST.Name.Name+" ") {
				findings = append(findings, Finding{f.Path, fmt.Sprintf(
					"%s: the package comment does not start with %q", f.Path, packagePrefix(f.AST.Name.Name))})
			}
		}
		if sources > 0 && comments == 0 {
			findings = append(findings, Finding{p.Dir, fmt.Sprintf("%s: no file has a package comment", p.Dir)})
		}
		if comments > 1 {
			findings = append(findings, Finding{p.Dir, fmt.Sprintf("%s: %d files have a package comment, want one", p.Dir, comments)})
		}
	}
	return findings
}

func packagePrefix(name string) string {
	if name == "main" {
		return "Command "
	}
	return "Package " + name + " "
}

// Limits are the most lines that a file and a function may have. Functions are only counted in files that are not
// tests: a table of cases is not a long function. A limit of zero is no limit.
type Limits struct {
	File, TestFile, Function int
}

// CheckSizes finds files and functions above the limits. Generated files are left out.
func (m *Module) CheckSizes(limits Limits) (findings []Finding) {
	for _, f := range m.files() {
		if ast.IsGenerated(f.AST) {
			continue
		}
		limit := limits.File
		if f.Test {
			limit = limits.TestFile
		}
		if limit > 0 && f.Lines > limit {
			findings = append(findings, Finding{f.Path, fmt.Sprintf("%s: %d lines, want at most %d", f.Path, f.Lines, limit)})
		}
		if f.Test || limits.Function == 0 {
			continue
		}
		for _, decl := range f.AST.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			first, last := m.fset.Position(fn.Pos()), m.fset.Position(fn.End())
			if lines := last.Line - first.Line + 1; lines > limits.Function {
				findings = append(findings, Finding{functionKey(f, fn), fmt.Sprintf(
					"%s: %s has %d lines, want at most %d", first, functionName(fn), lines, limits.Function)})
			}
		}
	}
	return findings
}

func functionKey(f *File, fn *ast.FuncDecl) string { return f.Path + ":" + functionName(fn) }

// functionName returns "F", or "T.F" for a method.
func functionName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	receiver := fn.Recv.List[0].Type
	for {
		switch t := receiver.(type) {
		case *ast.StarExpr:
			receiver = t.X
			continue
		case *ast.IndexExpr:
			receiver = t.X
			continue
		case *ast.IndexListExpr:
			receiver = t.X
			continue
		case *ast.Ident:
			return t.Name + "." + fn.Name.Name
		}
		return fn.Name.Name
	}
}

// Forbidden are things a library does not do, each with the reason.
type Forbidden map[string]string

// CheckForbidden finds, in files that are not tests and packages that are not within free, uses of what forbidden
// names: a built-in function ("panic"), a function, method or variable ("time.Sleep", "http.DefaultServeMux",
// ".RecordError" for a method of any type), or "func init". A finding's key is the file and the function.
func (m *Module) CheckForbidden(forbidden Forbidden, free []string) (findings []Finding) {
	for p, f := range m.files() {
		if f.Test || within(p.Dir, free) {
			continue
		}
		packages := importNames(f)
		for _, decl := range f.AST.Decls {
			key := f.Path
			if fn, ok := decl.(*ast.FuncDecl); ok {
				key = functionKey(f, fn)
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				name := used(n, packages)
				if why, ok := forbidden[name]; ok {
					findings = append(findings, Finding{key, fmt.Sprintf("%s: %s: %s", m.fset.Position(n.Pos()), name, why)})
				}
				return true
			})
		}
	}
	return findings
}

// used returns what a node uses, in the words of Forbidden; empty if it is nothing of the kind.
func used(n ast.Node, packages map[string]string) string {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Recv == nil {
			return "func " + n.Name.Name
		}
	case *ast.CallExpr:
		if id, ok := n.Fun.(*ast.Ident); ok {
			return id.Name
		}
	case *ast.SelectorExpr:
		if id, ok := n.X.(*ast.Ident); ok && packages[id.Name] != "" {
			return packages[id.Name] + "." + n.Sel.Name
		}
		return "." + n.Sel.Name
	}
	return ""
}

// importNames maps the name by which a file uses a package to the last element of its import path.
func importNames(f *File) map[string]string {
	names := map[string]string{}
	for _, spec := range f.AST.Imports {
		path := strings.Trim(spec.Path.Value, "\"`")
		last := path[strings.LastIndex(path, "/")+1:]
		name := last
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = last
	}
	return names
}
