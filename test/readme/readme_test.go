package readme

import (
	"reflect"
	"testing"
	"testing/fstest"
)

const document = "# T\n\n```go\npackage main\n\nfunc main() {}\n```\n\n" +
	"```go\nmux.Handle(x)\n```\n\n" +
	"```sh\n# a comment\nmake test   # why\nFOO=1 go run ./a \\\n  -x\n```\n\n" +
	"````text\n```\nnot a block of its own\n```\n````\n\n" +
	"```console\n$ make up\nmake is running\n```\n"

func TestBlocksProgramsAndCommands(t *testing.T) {
	blocks := Blocks(document)
	if len(blocks) != 5 {
		t.Fatalf("got %d blocks %+v, want 5", len(blocks), blocks)
	}
	programs := Programs(blocks)
	if want := []Block{{"go", 4, "package main\n\nfunc main() {}\n"}}; !reflect.DeepEqual(programs, want) {
		t.Errorf("programs: got %+v, want %+v", programs, want)
	}
	want := []Block{{"sh", 15, "make test   # why"}, {"sh", 16, "FOO=1 go run ./a -x"}, {"console", 27, "make up"}}
	if got := Commands(blocks); !reflect.DeepEqual(got, want) {
		t.Errorf("commands: got %+v, want %+v", got, want)
	}
}

func TestCommandsNameWhatExists(t *testing.T) {
	c := Checker{Module: "example.com/m", Root: fstest.MapFS{
		"Makefile":           {Data: []byte("test: a\ntest-live:\n")},
		"examples/a/main.go": {},
		"conf/x.yaml":        {},
	}}
	for command, want := range map[string][]string{
		"make test":                     nil,
		"make test-live URL=http://x/y": nil,
		"make -j2 test":                 nil,
		"make up":                       {"make target up does not exist"},
		"make test && make test-dead":   {"make target test-dead does not exist"},
		"go run ./examples/a -engine http://h:1 | cat": nil,
		"go run ./examples/b":                          {"examples/b does not exist"},
		"(cd examples/b; go test ./...)":               {"examples/b does not exist"},
		"go get example.com/m/examples/a@latest":       nil,
		"go get example.com/m/otelvllm":                {"otelvllm does not exist"},
		"go get example.com/model/x":                   nil,
		"A=1 B=2 ./run.sh # make nothing":              {"run.sh does not exist"},
		"prometheus --config=conf/x.yaml":              nil,
		"prometheus --config=conf/y.yaml":              {"conf/y.yaml does not exist"},
		"docker compose up":                            {"docker-compose.yml does not exist"},
		"curl -s localhost:9091/health":                nil,
	} {
		if got := c.CheckCommand(command); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", command, got, want)
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	c := Checker{Root: fstest.MapFS{"a/b.md": {}}}
	got := c.CheckLinks("[x](a/b.md#c) [y](https://h/) [z](#here) [w](./a/) ![p](gone.png)")
	if want := []string{"link to gone.png: it does not exist"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
