package dashboards

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

const watchdogDir = "../../otelvllm/watchdog/"

// watchdogCodes returns the causes that the watchdog knows, by the name of their constant, and what each means, from
// its comment.
func watchdogCodes(t *testing.T) (codes, meanings map[string]string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), watchdogDir+"code.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	codes, meanings = make(map[string]string), make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		codes[spec.Names[0].Name] = literal(t, spec.Values[0])
		_, meaning, _ := strings.Cut(strings.Join(strings.Fields(spec.Doc.Text()), " "), ": ")
		meanings[codes[spec.Names[0].Name]] = meaning
		return true
	})
	if len(codes) < 20 {
		t.Fatalf("got %d causes from code.go, want 20 at least", len(codes))
	}
	return codes, meanings
}

// watchdogRemedies returns the remedy of each cause, from the table of rules.
func watchdogRemedies(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), watchdogDir+"rules.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes, _ := watchdogCodes(t)
	remedies := make(map[string]string)
	ast.Inspect(file, func(n ast.Node) bool {
		row, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		var code, remedy string
		for _, e := range row.Elts {
			member, ok := e.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			switch key, _ := member.Key.(*ast.Ident); {
			case key == nil:
			case key.Name == "code":
				if name, ok := member.Value.(*ast.Ident); ok {
					code = codes[name.Name]
				}
			case key.Name == "remedy":
				remedy = literal(t, member.Value)
			}
		}
		if code != "" && remedy != "" {
			remedies[code] = remedy
		}
		return true
	})
	if len(remedies) != len(codes) {
		t.Fatalf("got %d remedies from rules.go, want one for each of %d causes", len(remedies), len(codes))
	}
	return remedies
}

// literal is the value of a string literal, or of several with + between them.
func literal(t *testing.T, e ast.Expr) string {
	t.Helper()
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		return s
	case *ast.BinaryExpr:
		return literal(t, e.X) + literal(t, e.Y)
	}
	t.Fatalf("got %T, want a string", e)
	return ""
}
