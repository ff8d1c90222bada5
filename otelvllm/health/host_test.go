package health

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
)

func TestTheHostIsReadAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		s := Source{readHost: func(context.Context) hostReading { reads++; return hostReading{threads: ptr(int64(reads))} }}
		for range 30 { // 3 s
			if s.Stats(t.Context()).ActiveThreads == nil {
				t.Fatal("got null, want a reading")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if reads > 4 {
			t.Errorf("read the host %d times in 3s, want at most 4", reads)
		}
	})
}

func TestReadersDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		s := Source{readHost: func(context.Context) hostReading { <-hang; return hostReading{threads: ptr(int64(7))} }}
		go s.Stats(t.Context())
		synctest.Wait()
		start := time.Now()
		if got := s.Stats(t.Context()).ActiveThreads; got != nil || time.Since(start) != 0 {
			t.Errorf("got %d after %s, want null at once", *got, time.Since(start))
		}
		close(hang)
		synctest.Wait()
		if got := value(s.Stats(t.Context()).ActiveThreads); got != 7 {
			t.Errorf("got %d threads once the reading came, want 7", got)
		}
	})
}

func TestRunKeepsTheReadingFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inline atomic.Bool
		var scans atomic.Int32
		s := Source{
			readHost: func(ctx context.Context) hostReading {
				if ctx == t.Context() {
					inline.Store(true)
				}
				return hostReading{threads: ptr(int64(1))}
			},
			scanHost: func(context.Context, map[uint32]bool) []Process { scans.Add(1); return []Process{{PID: 1}} },
		}
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		go func() {
			for range 100 {
				time.Sleep(249 * time.Millisecond)
				s.Stats(t.Context())
			}
		}()
		if err := s.Run(ctx); err != nil {
			t.Errorf("got %v, want nil when ctx ends", err)
		}
		if inline.Load() {
			t.Error("a reader had to read the host itself while Run does")
		}
		if n := scans.Load(); n != 3 {
			t.Errorf("looked for processes %d times in 25s, want 3", n)
		}
		if got := s.Stats(t.Context()).EngineProcesses; len(got) != 1 {
			t.Errorf("got %d processes, want 1", len(got))
		}
		time.Sleep(scanMaxAge)
		if got := s.Stats(t.Context()).EngineProcesses; got != nil {
			t.Errorf("got %v from a search long ago, want null", got)
		}
	})
}

func TestASearchThatHangsIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var searches atomic.Int32
		hang := make(chan struct{})
		s := Source{readHost: noHost, scanHost: func(context.Context, map[uint32]bool) []Process { searches.Add(1); <-hang; return nil }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if n := searches.Load(); n != 1 {
			t.Errorf("got %d searches at once, want 1", n)
		}
		close(hang)
		synctest.Wait()
	})
}

func TestProcessesAreSearchedForEnginesOfThisHost(t *testing.T) {
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"127.0.0.1:8000": true, "[::1]:8000": true, "localhost:8000": true, hostname + ":8000": true, "127.8.0.1:1": true, "127.0.0.1": false, "127.0.0.1:99999": false,
		"192.0.2.7:8000": false, "engine:8000": false, "": false, "[2001:db8::1]:8000": false,
	} {
		if got := len(portsHere([]engine.Status{{Address: "192.0.2.1:1"}, {Address: address}})) == 1; got != want {
			t.Errorf("%q: got %t, want %t", address, got, want)
		}
	}
}

func TestRolesAreReadFromTheCommandLine(t *testing.T) {
	for line, want := range map[string]string{
		"VLLM::EngineCore":             "engine_core",
		"VLLM::EngineCore_DP0":         "engine_core",
		"VLLM::Worker_TP0":             "worker",
		"VLLM::Worker_DP0_PP0_TP0_EP0": "worker",
		"VLLM::APIServer_1":            "api_server",
		"VLLM::DPCoordinator":          "other",
		"/usr/bin/python3 /usr/local/bin/vllm serve Qwen/Qwen3-8B": "api_server",
		"vllm serve m --api-key secret":                            "api_server",
		"python3 -m vllm.entrypoints.openai.api_server --model m":  "api_server",
		"python3 -c import vllm":                                   "",
		"vllm bench serve":                                         "",
		"grep VLLM::EngineCore":                                    "",
		"python3 train.py --note a b c d vllm serve":               "",
	} {
		if got := roleOf(strings.Fields(line)); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	if got := roleOf(nil); got != "" {
		t.Errorf("no arguments: got %q, want none", got)
	}
}

func TestNamesKeepNoArguments(t *testing.T) {
	for _, c := range []struct{ arg, want string }{
		{"VLLM::EngineCore", "VLLM::EngineCore"},
		{"/opt/venv/bin/vllm serve --api-key secret", "vllm"},
		{strings.Repeat("a", 70), strings.Repeat("a", 64)},
	} {
		if got := nameOf([]string{c.arg, "--api-key", "secret"}); got != c.want {
			t.Errorf("%q: got %q, want %q", c.arg, got, c.want)
		}
	}
}

// TestARealProcessIsFound runs this test's own program under the title of an engine.
func TestARealProcessIsFound(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux, where a process has the name of the link that it was started by")
	}
	if os.Getenv("OTELVLLM_TEST_CHILD") != "" {
		_, _ = os.Stdout.WriteString("up")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the parent closes it
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "VLLM::EngineCore")
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(link, "-test.run=^TestARealProcessIsFound$")
	child.Args[0] = "VLLM::EngineCore"
	child.Env = append(os.Environ(), "OTELVLLM_TEST_CHILD=1")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Wait() }()
	defer stdin.Close()

	if _, err := stdout.Read(make([]byte, 2)); err != nil {
		t.Fatalf("wait for the child: %v", err)
	}
	found := scanProcesses(t.Context(), nil)
	at := slices.IndexFunc(found, func(p Process) bool { return p.PID == int32(child.Process.Pid) })
	if at < 0 {
		t.Fatalf("got %v, want process %d among them", found, child.Process.Pid)
	}
	p := found[at]
	if p.Role != "engine_core" || p.Name != "VLLM::EngineCore" || value(p.RAMMB) <= 0 || value(p.Threads) < 1 {
		t.Errorf("got %s, want an engine core with memory and threads", show(p))
	}
	if slices.ContainsFunc(found, func(p Process) bool { return p.PID == int32(os.Getpid()) }) {
		t.Error("the search found this process, which is its engine's parent here but no engine")
	}
}

func TestAnotherEnginesProcessesAreLeftOut(t *testing.T) {
	f := finder{parents: map[int32]int32{10: 1, 11: 10, 12: 11, 20: 1, 21: 20, 22: 22}}
	for _, pid := range []int32{10, 11, 12, 20, 21, 22} {
		f.found = append(f.found, Process{PID: pid})
	}
	var left []int32
	for _, p := range f.without(map[int32]bool{10: true, 20: false}) {
		left = append(left, p.PID)
	}
	if want := []int32{20, 21, 22}; !slices.Equal(left, want) {
		t.Errorf("got %v, want %v: 11 and 12 descend from 10", left, want)
	}
}

func TestAProcessThatListensIsAskedForItsPorts(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads the sockets of a process as Linux shows them")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := uint32(listener.Addr().(*net.TCPAddr).Port)
	self := int32(os.Getpid())
	if listensElsewhere(t.Context(), self, map[uint32]bool{port: true}) {
		t.Error("the port that this process listens on is said to be another's")
	}
	if !listensElsewhere(t.Context(), self, map[uint32]bool{1: true}) {
		t.Error("this process listens elsewhere than on port 1, and is not said to")
	}
	listener.Close()
	if listensElsewhere(t.Context(), self, map[uint32]bool{1: true}) {
		t.Error("this process does not listen, and is said to listen elsewhere")
	}
}
