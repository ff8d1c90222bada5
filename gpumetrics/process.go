package gpumetrics

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// processRecords returns the memory of each process, at most [maxProcesses] of them. Roles are read
// each time, since a process gets its title some time after it began. The driver tells the host's
// process numbers: where this process sees others, in a container, only the sum is told.
func processRecords(proc string, info *Info, list []Process) []processRecord {
	host := hostNumbers(proc)
	sum := processRecord{}
	var records []processRecord
	seen := make(map[int]bool, len(list))
	for _, p := range list {
		if !p.KnownMemory || p.PID <= 0 || p.Memory >= 1<<60 {
			continue
		}
		if seen[p.PID] {
			continue // listed as a compute and as a graphics process
		}
		seen[p.PID] = true
		sum.bytes += int64(p.Memory)
		if !host || len(records) == maxProcesses {
			continue
		}
		options := optionsOf(append(identity(info), processAttributes(proc, p.PID)...))
		records = append(records, processRecord{options: options, bytes: int64(p.Memory)})
	}
	if !host && (len(seen) > 0 || len(list) == 0) {
		sum.options = optionsOf(identity(info))
		return []processRecord{sum}
	}
	return records
}

// firstNamespace is the name that Linux gives the first namespace of process numbers.
const firstNamespace = "pid:[4026531836]"

// hostNumbers tells whether process numbers mean the same here and to the driver.
func hostNumbers(proc string) bool {
	ns, err := os.Readlink(filepath.Join(proc, "self/ns/pid"))
	return err == nil && ns == firstNamespace
}

// processAttributes returns the number of a process, its number in its own namespace where that is
// another, and its role if it is one of vLLM's.
func processAttributes(proc string, pid int) attrs {
	a := attrs{keyPID.Int(pid)}
	dir := filepath.Join(proc, strconv.Itoa(pid))
	if inner := innerPID(dir); inner > 0 && inner != pid {
		a = append(a, keyVPID.Int(inner))
	}
	if role, rank := vllmRole(title(dir)); role != "" {
		a = append(a, keyRole.String(role))
		if rank != "" {
			a = append(a, keyRank.String(rank))
		}
	}
	return a
}

// innerPID returns the process's number in its own namespace, 0 if it cannot be known.
func innerPID(dir string) int {
	f, err := os.Open(filepath.Join(dir, "status"))
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(io.LimitReader(f, 16<<10)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "NSpid:"); ok {
			numbers := strings.Fields(rest)
			if len(numbers) == 0 {
				return 0
			}
			n, err := strconv.Atoi(numbers[len(numbers)-1])
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}

// titleLimit is how much of a command line is ever read: vLLM's titles are shorter, and arguments of
// other processes, which may hold keys, stay unread as far as that goes.
const titleLimit = 64

// title returns the first word of a process's command line if it is one of vLLM's titles, else "".
func title(dir string) string {
	f, err := os.Open(filepath.Join(dir, "cmdline"))
	if err != nil {
		return ""
	}
	defer f.Close()
	var buf [titleLimit]byte
	n, err := io.ReadFull(f, buf[:])
	if err != nil && n == 0 {
		return ""
	}
	word := buf[:n]
	if i := bytes.IndexAny(word, "\x00 \n"); i >= 0 {
		word = word[:i]
	}
	if !bytes.HasPrefix(word, []byte(titlePrefix)) {
		return ""
	}
	return string(word)
}

const titlePrefix = "VLLM::"

// ranks is what vLLM appends to the title of a process that has a rank, such as "DP0_TP1".
var ranks = regexp.MustCompile(`^(?:DP|PP|TP|EP|PCP|DCP)\d{1,5}(?:_(?:DP|PP|TP|EP|PCP|DCP)\d{1,5}){0,5}$`)

// vllmRole returns what a title says: the role, of a small set, and the ranks, if it has any.
func vllmRole(title string) (role, rank string) {
	name, ok := strings.CutPrefix(title, titlePrefix)
	if !ok {
		return "", ""
	}
	if base, rest, found := strings.Cut(name, "_"); found && ranks.MatchString(rest) {
		name, rank = base, rest
	}
	switch {
	case strings.HasPrefix(name, "EngineCore"):
		return "engine_core", rank
	case strings.HasPrefix(name, "Worker"):
		return "worker", rank
	case strings.EqualFold(name, "APIServer"):
		return "api_server", rank
	case strings.HasPrefix(name, "DPCoordinator"):
		return "dp_coordinator", rank
	default:
		return "other", rank
	}
}
