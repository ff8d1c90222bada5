package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"
)

// packages are those whose tests are run.
var packages = []string{"net/http", "net/http/httputil"}

// A suite says how the tests are run.
type suite struct {
	race    bool
	pattern string        // "" means all
	timeout time.Duration // of one run
}

// outcomes has "pass", "fail" or "skip" for each test, by package and name.
type outcomes map[string]string

// run runs the tests with an overlay.
func (s suite) run(ctx context.Context, label, overlay string) (outcomes, error) {
	started := time.Now()
	args := []string{"test", "-json", "-count=1", "-vet=off", "-overlay", overlay, "-timeout", s.timeout.String()}
	if s.race {
		args = append(args, "-race")
	}
	if s.pattern != "" {
		args = append(args, "-run", s.pattern)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, packages...)...)
	// The tests of the standard library are no module of ours: its flags and work file do not apply.
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	got, other, parseErr := parse(stdout)
	err = cmd.Wait() // a failed test is an error here too, so what was printed counts
	if parseErr != nil {
		return nil, parseErr
	}
	if len(got) == 0 {
		return nil, fmt.Errorf("%s: no test ran (go test: %w)\n%s%s", label, errors.Join(err, ctx.Err()), stderr.Bytes(), other)
	}
	fmt.Printf("overlay: %s: %d passed, %d failed, %d skipped in %.0f s\n",
		label, got.count("pass"), got.count("fail"), got.count("skip"), time.Since(started).Seconds())
	return got, nil
}

func (o outcomes) count(outcome string) (n int) {
	for _, got := range o {
		if got == outcome {
			n++
		}
	}
	return n
}

// parse reads the events of go test -json. A test that began and has no end, because the run broke off or was too slow,
// failed. The output of failed builds is returned beside.
func parse(r io.Reader) (got outcomes, other string, err error) {
	got = outcomes{}
	var build strings.Builder
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Package, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(&build, lines.Text())
			continue
		}
		key := e.Package + " " + e.Test
		switch {
		case e.Action == "build-output":
			build.WriteString(e.Output)
		case e.Test == "":
		case e.Action == "run":
			got[key] = "fail"
		case e.Action == "pass" || e.Action == "fail" || e.Action == "skip":
			got[key] = e.Action
		}
	}
	return got, build.String(), lines.Err()
}

// steady reports whether a test that ended otherwise with httpwrap passes five times when it runs alone, so that it
// was the machine's load that made it fail.
func (s suite) steady(ctx context.Context, overlay, test string) (bool, error) {
	pkg, name, _ := strings.Cut(test, " ")
	args := []string{"test", "-count=5", "-vet=off", "-timeout", "2m", "-overlay", overlay, "-run", "^" + regexp.QuoteMeta(name) + "$"}
	if s.race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return false, err
	}
	return err == nil, ctx.Err()
}

// A report says how the two runs compare.
type report struct {
	all, same            int
	known, flaky, others []string
}

// mostAgain bounds the tests that are asked again: where more differ, it is not the machine.
const mostAgain = 8

// judge compares each test's outcomes in the two runs. It asks again about tests that did not end as without httpwrap,
// once for a test and its subtests.
func judge(bare, ours outcomes, again func(top string) (steady bool, err error)) (report, error) {
	var r report
	tests := maps.Clone(bare)
	maps.Copy(tests, ours)
	r.all = len(tests)
	differ := map[string][]string{} // by test, without subtests
	for test := range tests {
		line := fmt.Sprintf("%s: %s bare, %s with httpwrap", test, orAbsent(bare[test]), orAbsent(ours[test]))
		switch {
		case bare[test] == ours[test]:
			r.same++
		case exceptions[test]:
			r.known = append(r.known, line)
		default:
			top, _, _ := strings.Cut(test, "/")
			differ[top] = append(differ[top], line)
		}
	}
	for top, lines := range differ {
		steady := false
		if len(differ) <= mostAgain {
			var err error
			if steady, err = again(top); err != nil {
				return r, err
			}
		}
		if steady {
			r.flaky = append(r.flaky, lines...)
		} else {
			r.others = append(r.others, lines...)
		}
	}
	return r, nil
}

func orAbsent(outcome string) string {
	if outcome == "" {
		return "absent"
	}
	return outcome
}

// print ends with the line that sums it up.
func (r report) print(w io.Writer) {
	for _, part := range []struct {
		title string
		tests []string
	}{{"known exception", r.known}, {"passed alone", r.flaky}, {"OTHER", r.others}} {
		slices.Sort(part.tests)
		for _, test := range part.tests {
			fmt.Fprintf(w, "overlay: %s: %s\n", part.title, test)
		}
	}
	alone := ""
	if len(r.flaky) > 0 {
		alone = fmt.Sprintf(", %d passed alone", len(r.flaky))
	}
	fmt.Fprintf(w, "overlay: %d of %d as bare, %d known exceptions%s, %d others\n", r.same, r.all, len(r.known), alone, len(r.others))
}
