package httpwrap

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
)

var scripts = flag.Int("scripts", 5000, "number of generated handlers whose answers are compared with and without Serve")

func testFile(t *testing.T) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content(40000), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestGeneratedHandlersAreNotDisturbed compares all that a server writes, write by write, what its handler met and what it
// logged, with and without Serve. Its generator is seeded, so a failure comes again: a run with -scripts=1000000 begins
// with the same scripts.
func TestGeneratedHandlersAreNotDisturbed(t *testing.T) {
	file := testFile(t)
	const batch = 500 // in one bubble
	for first := 0; first < *scripts && !t.Failed(); first += batch {
		synctest.Test(t, func(t *testing.T) {
			for i := first; i < min(first+batch, *scripts); i++ {
				random := rand.New(rand.NewPCG(uint64(i), 0))
				if !compare(t, makeScript(random.IntN), file) {
					t.Errorf("script %d", i)
					return
				}
			}
		})
	}
}

// TestBareHandlersAreNotDisturbed shows that a difference is no chance: two bare runs have none.
func TestBareHandlersAreNotDisturbed(t *testing.T) {
	file := testFile(t)
	synctest.Test(t, func(t *testing.T) {
		for i := range min(*scripts/5, 1000) {
			s := makeScript(rand.New(rand.NewPCG(uint64(i), 0)).IntN)
			one, _ := play(t, s, file, nil)
			two, _ := play(t, s, file, nil)
			if !one.equal(two) {
				t.Fatalf("script %d: %v\ngives once\n%v\nand once\n%v", i, s, one, two)
			}
		}
	})
}

func FuzzGeneratedHandlers(f *testing.F) {
	for i := range 50 {
		random := rand.New(rand.NewPCG(uint64(i), 1))
		seed := make([]byte, 40)
		for j := range seed {
			seed[j] = byte(random.Uint32())
		}
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "file")
	if err := os.WriteFile(path, content(40000), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		s := makeScript(func(n int) int {
			if len(choices) == 0 {
				return 0
			}
			c := int(choices[0])
			choices = choices[1:]
			return c % n
		})
		synctest.Test(t, func(t *testing.T) { compare(t, s, file) })
	})
}

// compare runs a script bare and with an observer, and looks at both the difference and at what the observer saw.
func compare(t *testing.T, s script, file *os.File) bool {
	t.Helper()
	bare, _ := play(t, s, file, nil)
	o := &seen{ignore: s.ignore}
	ours, run := play(t, s, file, o)
	if !bare.equal(ours) {
		t.Errorf("%v\ngives bare\n%v\nand with Serve\n%v", s, bare, ours)
		return false
	}
	if why := o.wrong(s, run, ours); why != "" {
		t.Errorf("%v\ngives\n%v\nand the observer, who saw status %v, %d bytes of %d written, %d bytes of %d read, ends %v, write errors %v: %s",
			s, ours, o.status, len(o.response), len(run.sent), len(o.request), len(run.read), o.ends, o.writeErrs, why)
		return false
	}
	return true
}

// wrong says what an observer saw otherwise than it was.
func (s *seen) wrong(sc script, run *runner, t transcript) string {
	status := 0
	if len(s.status) == 1 {
		status = s.status[0]
	}
	hijacked := false
	for _, o := range sc.ops {
		hijacked = hijacked || o.kind == opHijack
	}
	switch {
	case len(s.done) != 1 || s.late > 0:
		return "was not told the end once and last"
	case s.empty > 0:
		return "was told nothing by a call"
	case len(s.status) > 1 || len(s.ends) > 1:
		return "was told a thing twice"
	case !hijacked && status != 0 && t.status() != 0 && status != t.status():
		return "was told another status"
	case !hijacked && s.done[0] && status == 0:
		return "was told no status"
	case (sc.ignore || sc.method == "HEAD" || status == 204 || status == 304 || status == 101) && len(s.response) > 0:
		return "saw bytes that are of no interest"
	case sc.ignore || sc.method == "HEAD" || status == 204 || status == 304 || status == 101 || run.torn:
	case !bytes.Equal(s.response, run.sent):
		return "saw other bytes than were written"
	}
	if run.end == errParsed || len(s.ends) == 0 { //nolint:errorlint // the very same
		return ""
	}
	want := run.end
	switch {
	case !bytes.Equal(s.request, run.read):
		return "saw other bytes than were read"
	case want == nil:
		want = ErrClosed
	case errors.Is(want, io.EOF):
		want = nil
	}
	if got := s.ends[0]; got != want { //nolint:errorlint // the very same
		return "was told another end of the request"
	}
	return ""
}
