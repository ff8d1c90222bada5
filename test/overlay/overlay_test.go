package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEditFailsWhereTheTextIsNotThereOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.go")
	e := edit{old: "call()", new: "hook()", end: "// end\n"}
	for text, want := range map[string]string{"a\ncall()\n": "", "a\n": "0 times", "call()\ncall()\n": "2 times"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := e.apply(path)
		if want == "" {
			if err != nil || got != "a\nhook()\n// end\n" {
				t.Errorf("%q: got %q, %v", text, got, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error that says %q", text, err, want)
		}
	}
}

func TestEditsFitThisGo(t *testing.T) {
	bare, ours, err := write(t.TempDir(), "../../otelvllm/internal/httpwrap", true)
	if err != nil {
		t.Fatal(err)
	}
	for overlay, want := range map[string]bool{bare: false, ours: true} {
		b, err := os.ReadFile(overlay)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(b), "zzhttpwrap"); got != want {
			t.Errorf("%s names httpwrap: got %v, want %v", overlay, got, want)
		}
	}
}

func TestParseTakesATestWithoutEndForFailed(t *testing.T) {
	got, other, err := parse(strings.NewReader(`{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"build-output","Output":"does not build"}
not JSON
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got["p TestA"] != "pass" || got["p TestB"] != "fail" {
		t.Errorf("got %v", got)
	}
	if want := "does not buildnot JSON\n"; other != want {
		t.Errorf("other output: got %q, want %q", other, want)
	}
}

func TestJudge(t *testing.T) {
	const known = "net/http TestWriteHeaderNoCodeCheck"
	bare := outcomes{"p A": "pass", "p B": "pass", "p B/x": "pass", "p C": "fail", "p D": "pass", "p E": "pass", known: "pass"}
	ours := outcomes{"p A": "pass", "p B": "fail", "p B/x": "fail", "p C": "fail", "p D": "fail", known: "fail"}
	var asked []string
	r, err := judge(bare, ours, func(top string) (bool, error) {
		asked = append(asked, top)
		return top == "p D", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r.print(&out)
	if want := "overlay: 2 of 7 as bare, 1 known exceptions, 1 passed alone, 3 others\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("got %s, want it to end with %s", out.String(), want)
	}
	if !strings.Contains(out.String(), "OTHER: p E: pass bare, absent with httpwrap") {
		t.Errorf("a test that is missing is not named: %s", out.String())
	}
	if len(asked) != 3 {
		t.Errorf("asked again about %v, want each of B, D and E once", asked)
	}
	failed := errors.New("broken")
	if _, err := judge(bare, ours, func(string) (bool, error) { return false, failed }); !errors.Is(err, failed) {
		t.Errorf("got %v, want the error of the second try", err)
	}
}
