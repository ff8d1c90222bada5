package health

import (
	"cmp"
	"context"
	"net"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	psnet "github.com/shirou/gopsutil/v4/net"
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
	maxDepth    = 8     // generations of processes
	maxSockets  = 65536 // of one process that are looked at
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
	var ports map[uint32]bool
	if s.Engines != nil {
		if ports = portsHere(s.Engines()); len(ports) == 0 {
			s.scanned.Store(nil)
			return
		}
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
		found := find(ctx, ports)
		if ctx.Err() == nil { // half a search would show half an engine
			s.scanned.Store(&scan{time.Now(), found})
		}
	}()
}

// portsHere returns the ports of the engines whose address is one of this host. A name other than
// localhost and this host's own is taken for another host, since only a resolver could tell.
func portsHere(engines []engine.Status) map[uint32]bool {
	ports := make(map[uint32]bool)
	own, err := net.InterfaceAddrs()
	if err != nil {
		own = nil
	}
	hostname, _ := os.Hostname() // empty where unknown, which no address is
	for i := range engines {
		host, text, err := net.SplitHostPort(engines[i].Address)
		if err != nil {
			continue
		}
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			continue
		}
		ip := net.ParseIP(host)
		if host == "localhost" || host != "" && host == hostname || ip != nil && (ip.IsLoopback() || slices.ContainsFunc(own, func(a net.Addr) bool {
			n, ok := a.(*net.IPNet)
			return ok && n.IP.Equal(ip)
		})) {
			ports[uint32(port)] = true
		}
	}
	return ports
}

// scanProcesses looks for the engines' processes: those with vLLM's titles, the parents of engine
// cores (the API server, which keeps its own name) and programs started as an API server. Those of
// an API server that listens, but on none of the given ports, are left out: they are another
// engine's. A nil map means that any will do.
func scanProcesses(ctx context.Context, ports map[uint32]bool) []Process {
	pids, err := process.PidsWithContext(ctx)
	if err != nil {
		return nil
	}
	slices.SortFunc(pids, func(a, b int32) int { return cmp.Compare(b, a) })
	f := finder{parents: make(map[int32]int32), seen: map[int32]bool{int32(os.Getpid()): true}} //nolint:gosec // a process id fits
	for _, pid := range pids[:min(len(pids), maxScanned)] {
		if ctx.Err() != nil {
			return nil
		}
		p := &process.Process{Pid: pid}
		if name, err := p.NameWithContext(ctx); err == nil && worthReading(name) {
			f.look(ctx, p, "")
		}
	}
	for _, p := range slices.Clone(f.found) {
		if parent := f.parents[p.PID]; p.Role == "engine_core" && parent > 1 {
			f.look(ctx, &process.Process{Pid: parent}, "api_server")
		}
	}
	elsewhere := make(map[int32]bool)
	for _, p := range f.found {
		if p.Role == "api_server" && ports != nil {
			elsewhere[p.PID] = listensElsewhere(ctx, p.PID, ports)
		}
	}
	found := f.without(elsewhere)
	if len(found) == 0 {
		return nil // not known, rather than none: they may be where this process cannot look
	}
	slices.SortFunc(found, func(a, b Process) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Name, b.Name), cmp.Compare(a.PID, b.PID))
	})
	return found
}

// finder collects an engine's processes.
type finder struct {
	found   []Process
	parents map[int32]int32
	seen    map[int32]bool
}

// look adds a process if it is an engine's. A role that is given is not guessed.
func (f *finder) look(ctx context.Context, p *process.Process, role string) {
	if f.seen[p.Pid] || len(f.found) >= maxFound {
		return
	}
	args, err := p.CmdlineSliceWithContext(ctx)
	if err != nil || len(args) == 0 {
		return // it has ended, or is somebody else's
	}
	if role == "" {
		role = roleOf(args)
	}
	if role == "" {
		return
	}
	f.seen[p.Pid] = true
	f.found = append(f.found, describe(ctx, p, role, nameOf(args)))
	if parent, err := p.PpidWithContext(ctx); err == nil {
		f.parents[p.Pid] = parent
	}
}

// without returns the processes that are none of the given ones and descend from none of them.
func (f *finder) without(others map[int32]bool) []Process {
	return slices.DeleteFunc(f.found, func(p Process) bool {
		pid := p.PID
		for range maxDepth {
			if others[pid] {
				return true
			}
			pid = f.parents[pid]
		}
		return false
	})
}

// listensElsewhere tells that a process listens, and on none of the ports. One that does not listen
// yet is loading, and one whose sockets may not be seen is given the benefit of the doubt.
func listensElsewhere(ctx context.Context, pid int32, ports map[uint32]bool) bool {
	sockets, err := psnet.ConnectionsPidMaxWithoutUidsWithContext(ctx, "tcp", pid, maxSockets)
	if err != nil {
		return false
	}
	listens := false
	for i := range sockets {
		if sockets[i].Status != "LISTEN" {
			continue
		}
		if ports[sockets[i].Laddr.Port] {
			return false
		}
		listens = true
	}
	return listens
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
