//go:build linux && cgo && (amd64 || arm64) && !nonvml

package nvml

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// upstreamCalls returns, for each method of go-nvml, the functions that it calls with a name that
// begins as those of NVML do. go-nvml names its wrapper of a C function as the function.
func upstreamCalls(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(goNVML(t), "pkg/nvml/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string][]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv != nil && f.Body != nil {
				ast.Inspect(f.Body, func(n ast.Node) bool {
					if call, ok := n.(*ast.CallExpr); ok {
						if id, ok := call.Fun.(*ast.Ident); ok {
							calls[f.Name.Name] = append(calls[f.Name.Name], id.Name)
						}
					}
					return true
				})
			}
		}
	}
	return calls
}

// upstreamMethods returns the methods of go-nvml's that an expression of the adapter calls.
func upstreamMethods(n ast.Node) (names []string) {
	first := regexp.MustCompile(`^[A-Z]`)
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if method, ok := call.Fun.(*ast.SelectorExpr); ok && first.MatchString(method.Sel.Name) {
				if x, ok := method.X.(*ast.Ident); !ok || x.Name != "nvml" { // nvml.X(v) converts
					names = append(names, method.Sel.Name)
				}
			}
		}
		return true
	})
	return names
}

// aliases are methods of go-nvml whose C function has another name than the wrapper that they call.
var aliases = map[string]string{
	"Init": "nvmlInit_v2", "Shutdown": "nvmlShutdown",
	"GetComputeRunningProcesses":    "nvmlDeviceGetComputeRunningProcesses",
	"GetMPSComputeRunningProcesses": "nvmlDeviceGetMPSComputeRunningProcesses",
	"GetGpuFabricInfoV":             "nvmlDeviceGetGpuFabricInfoV", "V2": "nvmlDeviceGetGpuFabricInfoV", "V3": "nvmlDeviceGetGpuFabricInfoV",
	"GpmQueryDeviceSupport": "nvmlGpmQueryDeviceSupport", "GpmMetricsGet": "nvmlGpmMetricsGet",
	"GpmSampleGet": "nvmlGpmSampleGet", "GpmMigSampleGet": "nvmlGpmMigSampleGet",
}

// symbolsOf returns what the C function behind a method may be called.
func symbolsOf(method string, calls map[string][]string) []string {
	if alias, ok := aliases[method]; ok {
		return []string{alias}
	}
	var names []string
	for _, name := range calls[method] {
		if strings.HasPrefix(name, "nvml") {
			names = append(names, name)
		}
	}
	return names
}

// TestEveryCallIsBehindTheGateOfItsOwnSymbol reads the adapter: a row of its tables, or a method that
// checks has[call…], may only call the function that this call's row of symbols names.
func TestEveryCallIsBehindTheGateOfItsOwnSymbol(t *testing.T) {
	calls := upstreamCalls(t)
	version := regexp.MustCompile(`_v\d+$`)
	rows := symbolRows(t)
	checked := 0
	check := func(where string, gates []string, n ast.Node) {
		for _, method := range upstreamMethods(n) {
			if method == "Extensions" || method == "LookupSymbol" { // go-nvml's own
				continue
			}
			names := symbolsOf(method, calls)
			if len(names) == 0 {
				t.Errorf("%s calls %s, and which function of NVML that calls is not known", where, method)
			}
			// Types share names of methods, so one of what the name may call must be behind its gate.
			checked++
			if !slices.ContainsFunc(names, func(name string) bool { return gated(rows, gates, version.ReplaceAllString(name, "")) }) {
				t.Errorf("%s calls %s, which is one of %v and is not behind its gate (%v)", where, method, names, gates)
			}
		}
	}
	for _, file := range adapterFiles(t) {
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Name.Name == "open" { // the gate cannot be asked before nvmlInit
					continue
				}
				check(decl.Name.Name, gatesIn(decl), decl)
			case *ast.GenDecl:
				ast.Inspect(decl, func(n ast.Node) bool {
					row, ok := n.(*ast.KeyValueExpr)
					if !ok {
						return true
					}
					if key, ok := row.Key.(*ast.Ident); ok {
						check(key.Name, []string{key.Name}, row.Value)
					}
					return false
				})
			}
		}
	}
	if checked < 60 {
		t.Errorf("checked %d calls, want at least 60", checked)
	}
}

func adapterFiles(t *testing.T) []*ast.File {
	t.Helper()
	names, err := filepath.Glob("adapter*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// symbolRows reads the table of symbols as it is written, without the endings of versions.
func symbolRows(t *testing.T) map[string]string {
	t.Helper()
	version := regexp.MustCompile(`_v\d+"$`)
	rows := map[string]string{}
	for _, file := range adapterFiles(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || spec.Names[0].Name != "symbols" {
				return true
			}
			for _, element := range spec.Values[0].(*ast.CompositeLit).Elts {
				row := element.(*ast.KeyValueExpr)
				for _, name := range row.Value.(*ast.CompositeLit).Elts {
					base := strings.Trim(version.ReplaceAllString(name.(*ast.BasicLit).Value, ""), "\"")
					key := row.Key.(*ast.Ident).Name
					if old, ok := rows[key]; ok && old != base {
						t.Errorf("%s names two functions: %s and %s", key, old, base)
					}
					rows[key] = base
				}
			}
			return false
		})
	}
	if len(rows) != int(numCalls) {
		t.Errorf("the table of symbols has %d rows, want %d", len(rows), numCalls)
	}
	return rows
}

// gatesIn returns the calls that a function checks with has[…].
func gatesIn(n ast.Node) (gates []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if index, ok := n.(*ast.IndexExpr); ok {
			if x, ok := index.X.(*ast.SelectorExpr); ok && x.Sel.Name == "has" {
				if id, ok := index.Index.(*ast.Ident); ok {
					gates = append(gates, id.Name)
				}
			}
		}
		return true
	})
	return gates
}

func gated(rows map[string]string, gates []string, name string) bool {
	for _, gate := range gates {
		if rows[gate] == name {
			return true
		}
	}
	return false
}

func TestNothingThatChangesAGPUIsReferenced(t *testing.T) {
	changes := regexp.MustCompile(`(Set|Clear|Reset|Destroy|Create|Remove|Modify|Freeze|Discover|Activate|Apply|Attach|Detach|Validate)[A-Z_]|Set$|Enable$`)
	allowed := regexp.MustCompile(`^(nvml)?EventSet(Create|Wait|Free)(_v\d)?$|^(nvml)?(Device)?RegisterEvents$`)
	for _, file := range adapterFiles(t) {
		for _, method := range upstreamMethods(file) {
			if changes.MatchString(method) && !allowed.MatchString(method) {
				t.Errorf("%s may change a GPU", method)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && strings.HasPrefix(text.Value, "\"nvml") {
				if name := strings.Trim(text.Value, "\""); changes.MatchString(name) && !allowed.MatchString(name) {
					t.Errorf("%s may change a GPU", name)
				}
			}
			return true
		})
	}
}
