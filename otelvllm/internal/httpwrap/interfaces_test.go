package httpwrap

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
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
