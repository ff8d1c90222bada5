package deploy

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// everywhere is an address in a setting at which a program listens for other containers.
var everywhere = regexp.MustCompile(`^0\.0\.0\.0:(\d+)$`)

// Listens returns the ports at which a service is to be reached from other containers: those that its variables say, those
// that its stage in the Dockerfile exposes, and those that its image is known for.
func Listens(s types.ServiceConfig, stages Stages, known map[string][]int) map[int]bool {
	ports := map[int]bool{}
	for _, value := range environment(s) {
		if m := everywhere.FindStringSubmatch(value); m != nil {
			n, _ := strconv.Atoi(m[1])
			ports[n] = true
		}
	}
	for _, n := range known[s.Name] {
		ports[n] = true
	}
	if s.Build == nil || stages.Find(s.Build.Target) == nil {
		return ports
	}
	for _, c := range stages.Find(s.Build.Target).Commands {
		if c, ok := c.(*instructions.ExposeCommand); ok {
			for _, p := range c.Ports {
				n, _ := strconv.Atoi(strings.TrimSuffix(p, "/tcp"))
				ports[n] = true
			}
		}
	}
	return ports
}

// CheckPorts finds ports open to other machines, ports at which nobody listens, and ports taken twice.
func CheckPorts(p *types.Project, stages Stages, known map[string][]int) (findings []string) {
	taken := map[string]string{}
	for _, s := range services(p) {
		listens := Listens(s, stages, known)
		for _, port := range s.Ports {
			if address, err := netip.ParseAddr(port.HostIP); err != nil || !address.IsLoopback() {
				findings = append(findings, fmt.Sprintf("service %s opens port %s to other machines", s.Name, port.Published))
			}
			if !listens[int(port.Target)] {
				findings = append(findings, fmt.Sprintf("service %s publishes port %d, at which it does not listen", s.Name, port.Target))
			}
			if other := taken[port.Published]; other != "" {
				findings = append(findings, fmt.Sprintf("services %s and %s both publish port %s", other, s.Name, port.Published))
			}
			taken[port.Published] = s.Name
		}
	}
	return findings
}

// CheckReach finds host:port pairs, in the variables, commands and mounted files of services, that lead to a service of the
// project that does not run or that does not listen there.
func CheckReach(p *types.Project, stages Stages, known map[string][]int) (findings []string) {
	hosts, ports := map[string]bool{}, map[string]map[int]bool{}
	for _, s := range p.AllServices() {
		for _, name := range names(s) {
			hosts[name] = true
		}
	}
	for _, s := range services(p) {
		for _, name := range names(s) {
			ports[name] = Listens(s, stages, known)
		}
	}
	pair := regexp.MustCompile(`\b(` + strings.Join(slices.Sorted(maps.Keys(hosts)), "|") + `):(\d+)\b`)
	for _, s := range services(p) {
		for where, text := range texts(s) {
			for _, m := range pair.FindAllStringSubmatch(text, -1) {
				n, _ := strconv.Atoi(m[2])
				switch {
				case ports[m[1]] == nil:
					findings = append(findings, fmt.Sprintf("service %s: %s names %s, which does not run", s.Name, where, m[1]))
				case !ports[m[1]][n]:
					findings = append(findings, fmt.Sprintf("service %s: %s names %s, where nobody listens", s.Name, where, m[0]))
				}
			}
		}
	}
	slices.Sort(findings)
	return slices.Compact(findings)
}

// texts returns what a service is told: variables, command, and mounted files without their comments.
func texts(s types.ServiceConfig) map[string]string {
	all := environment(s)
	all["the command"] = strings.Join(append(slices.Clone(s.Entrypoint), s.Command...), " ")
	for _, file := range MountedFiles(s) {
		var lines []string
		for line := range strings.SplitSeq(file.Text, "\n") {
			if !strings.HasPrefix(strings.TrimSpace(line), "#") {
				lines = append(lines, line)
			}
		}
		all[filepath.Base(file.Path)] = strings.Join(lines, "\n")
	}
	return all
}

// File is a file on this machine that a service reads at Target.
type File struct{ Path, Target, Text string }

// MountedFiles returns the files that a service gets by its mounts, those in mounted folders too.
func MountedFiles(s types.ServiceConfig) (files []File) {
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		_ = filepath.WalkDir(v.Source, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return nil //nolint:nilerr // CheckMounts tells of what is missing
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil //nolint:nilerr // as above
			}
			rel, _ := filepath.Rel(v.Source, path)
			files = append(files, File{path, filepath.Join(v.Target, rel), string(text)})
			return nil
		})
	}
	return files
}

// CheckMounts finds mounts of what the repository does not have, mounts that a service could write to, and files that a
// command names and no mount brings.
func CheckMounts(p *types.Project) (findings []string) {
	for _, s := range services(p) {
		targets := map[string]bool{}
		for _, f := range MountedFiles(s) {
			targets[f.Target] = true
		}
		for _, v := range s.Volumes {
			switch v.Type {
			case types.VolumeTypeVolume:
				if _, ok := p.Volumes[v.Source]; !ok {
					findings = append(findings, fmt.Sprintf("service %s: no such volume: %s", s.Name, v.Source))
				}
				continue
			case types.VolumeTypeBind:
			default:
				findings = append(findings, fmt.Sprintf("service %s mounts a %s", s.Name, v.Type))
				continue
			}
			rel, err := filepath.Rel(p.WorkingDir, v.Source)
			_, missing := os.Stat(v.Source)
			if err != nil || strings.HasPrefix(rel, "..") || missing != nil {
				findings = append(findings, fmt.Sprintf("service %s mounts %s, which the repository does not have", s.Name, v.Source))
			}
			if !v.ReadOnly || v.Bind == nil || bool(v.Bind.CreateHostPath) {
				findings = append(findings, fmt.Sprintf("service %s: the mount of %s must be read_only, with create_host_path: false", s.Name, rel))
			}
		}
		for _, word := range s.Command {
			if path, ok := strings.CutPrefix(word[strings.Index(word, "=")+1:], "/etc/"); ok && !targets["/etc/"+path] {
				findings = append(findings, fmt.Sprintf("service %s: %s names a file that no mount brings", s.Name, word))
			}
		}
	}
	return findings
}

// inFile is a variable that a configuration reads, as the Collector and Jaeger write it.
var inFile = regexp.MustCompile(`\$\{env:([A-Z_]+)`)

// CheckFileVariables finds variables of services whose name begins with prefix and that none of their mounted files reads.
func CheckFileVariables(s types.ServiceConfig, prefix string) (findings []string) {
	read := map[string]bool{}
	for _, f := range MountedFiles(s) {
		for _, m := range inFile.FindAllStringSubmatch(f.Text, -1) {
			read[m[1]] = true
		}
	}
	for name := range environment(s) {
		if strings.HasPrefix(name, prefix) && !read[name] {
			findings = append(findings, fmt.Sprintf("service %s: none of its files reads %s", s.Name, name))
		}
	}
	slices.Sort(findings)
	return findings
}
