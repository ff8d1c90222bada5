package arch

import (
	"fmt"
	"go/ast"
	"go/token"
)

// CheckPackageState finds package variables that functions change, and package variables of types made to be changed
// (those of sync and sync/atomic), in files that are not tests and packages that are not within free. Errors, tables
// and compiled expressions that are set once where they are declared are no state.
func (m *Module) CheckPackageState(free []string) (findings []Finding) {
	for _, p := range m.Packages {
		if within(p.Dir, free) {
			continue
		}
		names, declared := packageVars(p)
		for _, f := range p.Files {
			if f.Test {
				continue
			}
			report := func(id *ast.Ident, what string) {
				findings = append(findings, Finding{
					f.Path + ":" + id.Name,
					fmt.Sprintf("%s: package variable %s %s", m.fset.Position(id.Pos()), id.Name, what),
				})
			}
			for _, spec := range varSpecs(f) {
				if madeToChange(spec) {
					report(spec.Names[0], "is state shared by the whole process")
				}
			}
			ast.Inspect(f.AST, func(n ast.Node) bool {
				for _, target := range assigned(n) {
					id := root(target)
					if id == nil || !names[id.Name] || id.Obj != nil && !declared[id.Obj.Decl] {
						continue // not a variable of the package, or a local one of the same name
					}
					report(id, "is changed by a function")
				}
				return true
			})
		}
	}
	return findings
}

func varSpecs(f *File) (specs []*ast.ValueSpec) {
	for _, decl := range f.AST.Decls {
		if gen, ok := decl.(*ast.GenDecl); ok && gen.Tok == token.VAR {
			for _, spec := range gen.Specs {
				specs = append(specs, spec.(*ast.ValueSpec))
			}
		}
	}
	return specs
}

// madeToChange says whether a variable's declared type, or that of the literal it starts with, comes from sync or
// sync/atomic.
func madeToChange(spec *ast.ValueSpec) bool {
	types := []ast.Expr{spec.Type}
	for _, value := range spec.Values {
		if unary, ok := value.(*ast.UnaryExpr); ok {
			value = unary.X
		}
		if literal, ok := value.(*ast.CompositeLit); ok {
			types = append(types, literal.Type)
		}
	}
	for _, t := range types {
		if index, ok := t.(*ast.IndexExpr); ok {
			t = index.X
		}
		if sel, ok := t.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && (id.Name == "sync" || id.Name == "atomic") {
				return true
			}
		}
	}
	return false
}

// assigned returns the expressions that a statement assigns to.
func assigned(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.CallExpr:
		if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 {
			return n.Args[:1]
		}
	}
	return nil
}

// root returns the variable of an expression such as v, v[i], v.f or *v.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// packageVars returns the names of a package's variables and their declarations.
func packageVars(p *Package) (names map[string]bool, declared map[any]bool) {
	names, declared = map[string]bool{}, map[any]bool{}
	for _, f := range p.Files {
		if f.Test {
			continue
		}
		for _, spec := range varSpecs(f) {
			declared[spec] = true
			for _, name := range spec.Names {
				names[name.Name] = name.Name != "_"
			}
		}
	}
	return names, declared
}
