package httpwrap

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestWriterHasExactlyTheInterfacesOfTheRealOne(t *testing.T) {
	if len(writers) != 128 {
		t.Fatalf("got %d writers, want 128", len(writers))
	}
	for set, wrap := range writers {
		// A writer made for set is itself a real writer with just these interfaces.
		inner := wrap(&exchange{w: &fullWriter{}, o: &seen{}})
		if got := abilities(inner); got != set {
			t.Errorf("writer %07b has the interfaces %07b", set, got)
		}
		outer := writers[abilities(inner)](&exchange{w: inner, o: &seen{}})
		if got := abilities(outer); got != set {
			t.Errorf("writer over one with %07b has the interfaces %07b", set, got)
		}
		if got := outer.(interface{ Unwrap() http.ResponseWriter }).Unwrap(); got != inner {
			t.Errorf("writer %07b unwraps to %T, want the real writer", set, got)
		}
	}
}

func TestEachMethodReachesTheSameMethodOfTheRealWriter(t *testing.T) {
	for set, wrap := range writers {
		full := &fullWriter{}
		w := wrap(&exchange{w: full, o: &seen{}, outer: getRequest()})
		want := []string{"Write a"}
		w.Write([]byte("a")) //nolint:errcheck // see writes
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
			want = append(want, "Flush")
		}
		if f, ok := w.(flushErrorer); ok {
			f.FlushError() //nolint:errcheck // see writes
			want = append(want, "FlushError")
		}
		if s, ok := w.(io.StringWriter); ok {
			s.WriteString("b") //nolint:errcheck // see writes
			want = append(want, "WriteString b")
		}
		if f, ok := w.(io.ReaderFrom); ok {
			f.ReadFrom(strings.NewReader("c")) //nolint:errcheck // see writes
			want = append(want, "ReadFrom c")
		}
		if n, ok := w.(http.CloseNotifier); ok { //nolint:staticcheck // deprecated, and still looked for
			n.CloseNotify()
			want = append(want, "CloseNotify")
		}
		if p, ok := w.(http.Pusher); ok {
			p.Push("/d", nil) //nolint:errcheck // see writes
			want = append(want, "Push /d")
		}
		if h, ok := w.(http.Hijacker); ok {
			h.Hijack() //nolint:errcheck // see writes
			want = append(want, "Hijack")
		}
		if !slices.Equal(full.writes, want) {
			t.Errorf("writer %07b: real writer got %q, want %q", set, full.writes, want)
		}
	}
}

func TestMakingAWriterTakesNoAllocation(t *testing.T) {
	x := &exchange{w: &fullWriter{}}
	var sink http.ResponseWriter
	if got := testing.AllocsPerRun(100, func() { sink = writers[abilities(x.w)](x) }); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
	_ = sink
}

func TestGeneratedFileIsWhatItsGeneratorWrites(t *testing.T) {
	want, err := os.ReadFile("interfaces_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	gen, err := os.ReadFile("gen.go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/gen.go", gen, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", "gen.go")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GO111MODULE=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go run gen.go: %v\n%s", err, out)
	}
	got, err := os.ReadFile(dir + "/interfaces_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("interfaces_gen.go is not what gen.go writes: run go generate")
	}
}
