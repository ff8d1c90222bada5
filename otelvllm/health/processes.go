package health

import (
	"cmp"
	"context"
	"net"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/shirou/gopsutil/v4/process"
)

// Bounds of the search for the engine's processes.
const (
	scanEvery   = 10 * time.Second
	scanMaxAge  = 3 * scanEvery
	scanTimeout = 5 * time.Second
	maxScanned  = 16384 // processes that are looked at, the newest ids first
	maxFound    = 256   // processes that are shown
	maxName     = 64    // bytes of a name
)

// titlePrefix begins the titles that vLLM gives its processes.
const titlePrefix = "VLLM::"

// scan is the result of one search.
type scan struct {
	at        time.Time
	processes []Process
}

// startScan searches on a goroutine of its own: the kernel lets a reader of a process's command
// line wait for that process's memory lock, which a process that hangs may hold. While a search
// hangs there is no second one, and the last result grows too old to be shown.
func (s *Source) startScan(ctx context.Context) {
	if s.Engines != nil && !anyHere(s.Engines()) {
		s.scanned.Store(nil)
		return
	}
	if !s.scanning.CompareAndSwap(false, true) {
		return
	}
	find := s.scanHost
	if find == nil {
		find = scanProcesses
	}
	go func() {
		defer s.scanning.Store(false)
		ctx, cancel := context.WithTimeout(ctx, scanTimeout)
		defer cancel()
		found := find(ctx)
		if ctx.Err() == nil { // half a search would show half an engine
			s.scanned.Store(&scan{time.Now(), found})
		}
	}()
}

// anyHere tells whether an engine's address is one of this host. A name other than localhost and
// this host's own is taken for another host, since only a resolver could tell.
func anyHere(engines []engine.Status) bool {
	own, err := net.InterfaceAddrs()
	if err != nil {
		own = nil
	}
	hostname, _ := os.Hostname() // empty where unknown, which no address is
	for i := range engines {
		host, _, err := net.SplitHostPort(engines[i].Address)
		if err != nil {
			host = engines[i].Address
		}
		if host == "localhost" || host != "" && host == hostname {
			return true
		}
		ip := net.ParseIP(host)
		if ip == nil {
			continue
		}
		if ip.IsLoopback() || slices.ContainsFunc(own, func(a net.Addr) bool {
			n, ok := a.(*net.IPNet)
			return ok && n.IP.Equal(ip)
		}) {
			return true
		}
	}
	return false
}

// scanProcesses looks for the engine's processes: those with vLLM's titles, their parents (the API
// server, which keeps its own name) and programs started as an API server.
func scanProcesses(ctx context.Context) []Process {
	pids, err := process.PidsWithContext(ctx)
	if err != nil {
		return nil
	}
	slices.SortFunc(pids, func(a, b int32) int { return cmp.Compare(b, a) })
	var found []Process
	seen := map[int32]bool{int32(os.Getpid()): true} //nolint:gosec // a process id fits
	add := func(p *process.Process, role, name string) {
		if !seen[p.Pid] && len(found) < maxFound {
			seen[p.Pid] = true
			found = append(found, describe(ctx, p, role, name))
		}
	}
	var parents []int32
	for _, pid := range pids[:min(len(pids), maxScanned)] {
		if ctx.Err() != nil {
			return nil
		}
		p := &process.Process{Pid: pid}
		name, err := p.NameWithContext(ctx)
		if err != nil || !worthReading(name) {
			continue
		}
		args, err := p.CmdlineSliceWithContext(ctx)
		if err != nil {
			continue // it has ended, or is somebody else's
		}
		role := roleOf(args)
		if role == "" {
			continue
		}
		add(p, role, nameOf(args))
		if parent, err := p.PpidWithContext(ctx); err == nil && role == "engine_core" {
			parents = append(parents, parent)
		}
	}
	for _, pid := range parents {
		p := &process.Process{Pid: pid}
		if args, err := p.CmdlineSliceWithContext(ctx); err == nil && pid > 1 && len(args) > 0 {
			add(p, "api_server", nameOf(args))
		}
	}
	slices.SortFunc(found, func(a, b Process) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Name, b.Name), cmp.Compare(a.PID, b.PID))
	})
	return found
}

// worthReading tells by the short name, which costs little, whether the command line may be vLLM's.
func worthReading(name string) bool {
	return strings.HasPrefix(name, titlePrefix) || strings.HasPrefix(name, "python") || strings.HasPrefix(name, "vllm")
}

// roleOf returns what a process is to an engine; empty if it is none of its processes.
func roleOf(args []string) string {
	if len(args) == 0 {
		return ""
	}
	if title, ok := strings.CutPrefix(args[0], titlePrefix); ok {
		switch {
		case strings.HasPrefix(title, "EngineCore"):
			return "engine_core"
		case strings.HasPrefix(title, "Worker"):
			return "worker"
		case strings.HasPrefix(title, "APIServer"):
			return "api_server"
		}
		return "other"
	}
	// vllm serve MODEL, python /usr/bin/vllm serve MODEL, python -m vllm.entrypoints.openai.api_server
	for i, arg := range args[:min(len(args), 4)] {
		next := ""
		if i+1 < len(args) {
			next = args[i+1]
		}
		if path.Base(arg) == "vllm" && next == "serve" || arg == "-m" && strings.HasPrefix(next, "vllm.entrypoints.") {
			return "api_server"
		}
	}
	return ""
}

// nameOf returns a process's title or program, without its arguments, which may hold secrets.
func nameOf(args []string) string {
	name, _, _ := strings.Cut(args[0], " ")
	if !strings.HasPrefix(name, titlePrefix) {
		name = path.Base(name)
	}
	return strings.ToValidUTF8(name[:min(len(name), maxName)], "\uFFFD")
}

func describe(ctx context.Context, p *process.Process, role, name string) Process {
	d := Process{PID: p.Pid, Role: role, Name: name}
	if m, err := p.MemoryInfoWithContext(ctx); err == nil && m.RSS > 0 {
		d.RAMMB = mib(m.RSS)
	}
	if n, err := p.NumThreadsWithContext(ctx); err == nil && n > 0 {
		d.Threads = ptr(int64(n))
	}
	return d
}
