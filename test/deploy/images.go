package deploy

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// An exact version has three numbers, or two where a distribution has no third.
var exact = regexp.MustCompile(`^v?\d+\.\d+(\.\d+)?(-[a-z0-9.]+)?$`)

// CheckImage says what is wrong with an image's name, or "". An image without an exact version is another one tomorrow,
// and one with the name of a registry ties the reader to it.
func CheckImage(image string) string {
	name, version, tagged := strings.Cut(image, ":")
	host, _, slashes := strings.Cut(name, "/")
	switch {
	case slashes && (strings.Contains(host, ".") || host == "localhost") || strings.Contains(version, "/"):
		return fmt.Sprintf("image %s names a registry", image)
	case !tagged || !exact.MatchString(version):
		return fmt.Sprintf("image %s has no exact version", image)
	}
	return ""
}

// CheckImages finds services whose image is neither pinned nor built from a stage of the Dockerfile.
func CheckImages(p *types.Project, stages Stages) (findings []string) {
	for _, s := range services(p) {
		switch {
		case s.Build == nil:
			if wrong := CheckImage(s.Image); wrong != "" {
				findings = append(findings, fmt.Sprintf("service %s: %s", s.Name, wrong))
			}
		case s.Build.Target == "" || stages.Find(s.Build.Target) == nil:
			findings = append(findings, fmt.Sprintf("service %s is built from the stage %q, which the Dockerfile does not have", s.Name, s.Build.Target))
		case s.Build.Context != p.WorkingDir:
			findings = append(findings, fmt.Sprintf("service %s is built in %s, not in the repository's root", s.Name, s.Build.Context))
		case s.PullPolicy != types.PullPolicyBuild:
			findings = append(findings, fmt.Sprintf("service %s may get its image from whoever has taken the name %s; pull_policy must be build", s.Name, s.Image))
		case !strings.HasPrefix(s.Image, "otelvllm-") || strings.ContainsAny(s.Image, ":/"):
			findings = append(findings, fmt.Sprintf("service %s: what is built here is named %s, as if it could be had elsewhere", s.Name, s.Image))
		}
	}
	return findings
}
