package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// Compose renders a Compose file as `docker compose --profile … config` does, with an empty environment but for env.
func Compose(ctx context.Context, file string, env map[string]string, profiles ...string) (*types.Project, error) {
	var pairs []string
	for name, value := range env {
		pairs = append(pairs, name+"="+value)
	}
	options, err := cli.NewProjectOptions([]string{file}, cli.WithEnv(pairs), cli.WithProfiles(profiles))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}

// Profiles returns the names of all profiles of a rendered project, sorted.
func Profiles(p *types.Project) []string {
	all := map[string]bool{}
	for _, services := range []types.Services{p.Services, p.DisabledServices} {
		for _, s := range services {
			for _, name := range s.Profiles {
				all[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// services yields the services of a project in the order of their names.
func services(p *types.Project) []types.ServiceConfig {
	var list []types.ServiceConfig
	for _, name := range p.ServiceNames() {
		list = append(list, p.Services[name])
	}
	return list
}

// names returns the host names under which the other services reach a service.
func names(s types.ServiceConfig) []string {
	list := []string{s.Name}
	for _, n := range s.Networks {
		if n != nil {
			list = append(list, n.Aliases...)
		}
	}
	return list
}

// environment returns the variables that the Compose file sets.
func environment(s types.ServiceConfig) map[string]string {
	env := map[string]string{}
	for name, value := range s.Environment {
		if value != nil {
			env[name] = *value
		}
	}
	return env
}

// CheckRuntime finds services that could do more than they must, that end without being started again, or that nobody
// can tell the state of. exceptions says why a service may lack a property, as in "vllm: user".
func CheckRuntime(p *types.Project, stages Stages, exceptions map[string]string) (findings []string) {
	used := map[string]bool{}
	for _, s := range services(p) {
		for property, ok := range properties(s, stages) {
			key := s.Name + ": " + property
			if exceptions[key] != "" {
				used[key] = true
				if ok {
					findings = append(findings, fmt.Sprintf("%s needs no exception", key))
				}
				continue
			}
			if !ok {
				findings = append(findings, fmt.Sprintf("service %s lacks %s", s.Name, property))
			}
		}
	}
	for key := range exceptions {
		if name, _, _ := strings.Cut(key, ":"); !used[key] && slices.Contains(p.ServiceNames(), name) {
			findings = append(findings, fmt.Sprintf("the exception %q is for no property", key))
		}
	}
	slices.Sort(findings)
	return findings
}

func properties(s types.ServiceConfig, stages Stages) map[string]bool {
	user := s.User
	if user == "" && s.Build != nil {
		user = stages.User(s.Build.Target)
	}
	uid, _, _ := strings.Cut(user, ":")
	limit := int64(s.MemLimit)
	return map[string]bool{
		"read_only":              s.ReadOnly,
		"cap_drop ALL":           slices.Equal(s.CapDrop, []string{"ALL"}) && len(s.CapAdd) == 0,
		"no-new-privileges":      slices.Contains(s.SecurityOpt, "no-new-privileges:true"),
		"a numeric user":         uid != "" && uid != "0" && strings.Trim(uid, "0123456789") == "",
		"isolation":              !s.Privileged && s.NetworkMode == "" && s.Pid == "" && s.Ipc == "" && len(s.Devices) == 0,
		"mem_limit":              limit >= 64<<20,
		"pids_limit":             s.PidsLimit > 0,
		"restart":                s.Restart == "unless-stopped",
		"a health check":         s.HealthCheck != nil && !s.HealthCheck.Disable && len(s.HealthCheck.Test) > 1 && s.HealthCheck.Test[0] == "CMD",
		"a limit of its logs":    s.Logging != nil && s.Logging.Options["max-size"] != "" && s.Logging.Options["max-file"] != "",
		"no fixed name":          s.ContainerName == "",
		"no mount of the engine": !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return strings.Contains(v.Source, "docker.sock") }),
	}
}

// CheckOrder finds services that start before what they need is healthy, or that wait for what can never be so.
func CheckOrder(p *types.Project) (findings []string) {
	for _, s := range services(p) {
		for name, d := range s.DependsOn {
			other, active := p.Services[name]
			switch {
			case d.Condition != types.ServiceConditionHealthy:
				findings = append(findings, fmt.Sprintf("service %s waits for %s to be started, not healthy", s.Name, name))
			case active && (other.HealthCheck == nil || other.HealthCheck.Disable):
				findings = append(findings, fmt.Sprintf("service %s waits for %s, which has no health check", s.Name, name))
			}
		}
	}
	slices.Sort(findings)
	return findings
}
