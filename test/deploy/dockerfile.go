package deploy

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Stages are the stages of a Dockerfile, in its order.
type Stages []instructions.Stage

// Dockerfile parses a Dockerfile with BuildKit's parser. What BuildKit's own linter warns of is an error here.
func Dockerfile(text []byte) (Stages, error) {
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var warnings []string
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, location []parser.Range) {
		warnings = append(warnings, fmt.Sprintf("line %d: %s: %s", location[0].Start.Line, rule, message))
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		return nil, err
	}
	for _, w := range parsed.Warnings {
		warnings = append(warnings, w.Short)
	}
	if len(warnings) > 0 {
		return nil, fmt.Errorf("BuildKit warns: %s", strings.Join(warnings, "; "))
	}
	return stages, nil
}

// Find returns the stage of that name, nil if there is none.
func (s Stages) Find(name string) *instructions.Stage {
	for i := range s {
		if s[i].Name == name {
			return &s[i]
		}
	}
	return nil
}

// User returns what the last USER of a stage says, "" if it has none.
func (s Stages) User(name string) string {
	user := ""
	if stage := s.Find(name); stage != nil {
		for _, c := range stage.Commands {
			if c, ok := c.(*instructions.UserCommand); ok {
				user = c.User
			}
		}
	}
	return user
}

// CheckStages finds stages that have no name, and bases that are neither pinned nor an earlier stage.
func CheckStages(stages Stages, last string) (findings []string) {
	for i, s := range stages {
		if s.Name == "" {
			findings = append(findings, fmt.Sprintf("the stage from %s has no name", s.BaseName))
		}
		if s.BaseName == "scratch" || stages[:i].Find(s.BaseName) != nil {
			continue
		}
		if wrong := CheckImage(s.BaseName); wrong != "" {
			findings = append(findings, fmt.Sprintf("stage %s: %s", s.Name, wrong))
		}
	}
	if n := len(stages); n == 0 || stages[n-1].Name != last {
		findings = append(findings, fmt.Sprintf("the last stage, which is built by default, is not %s", last))
	}
	return findings
}

// CheckFinal finds stages that make an image, which are those no other stage copies from or builds on, without a user
// that is not root, a signal, an entry point without a shell, and a health check without one.
func CheckFinal(stages Stages, exceptions map[string]string) (findings []string) {
	for _, s := range stages {
		if isUsed(stages, s.Name) {
			continue
		}
		has := map[string]bool{"a numeric user": false, "STOPSIGNAL SIGTERM": false, "ENTRYPOINT": false, "HEALTHCHECK": false}
		for _, c := range s.Commands {
			switch c := c.(type) {
			case *instructions.UserCommand:
				uid, _, _ := strings.Cut(c.User, ":")
				has["a numeric user"] = uid != "0" && strings.Trim(uid, "0123456789") == ""
			case *instructions.StopSignalCommand:
				has["STOPSIGNAL SIGTERM"] = c.Signal == "SIGTERM"
			case *instructions.EntrypointCommand:
				has["ENTRYPOINT"] = !c.PrependShell
			case *instructions.HealthCheckCommand:
				has["HEALTHCHECK"] = len(c.Health.Test) > 1 && c.Health.Test[0] == "CMD"
			}
		}
		for what, ok := range has {
			if key := s.Name + ": " + what; !ok && exceptions[key] == "" {
				findings = append(findings, fmt.Sprintf("stage %s lacks %s", s.Name, what))
			}
		}
	}
	slices.Sort(findings)
	return findings
}

func isUsed(stages Stages, name string) bool {
	return slices.ContainsFunc(stages, func(s instructions.Stage) bool {
		return s.BaseName == name || slices.ContainsFunc(s.Commands, func(c instructions.Command) bool {
			copied, ok := c.(*instructions.CopyCommand)
			return ok && copied.From == name
		})
	})
}

// BuildContext tells which files of a folder the builder sends.
type BuildContext struct {
	dir     string
	ignored *patternmatcher.PatternMatcher
}

// NewBuildContext reads the folder's .dockerignore.
func NewBuildContext(dir string) (*BuildContext, error) {
	text, err := os.ReadFile(filepath.Join(dir, ".dockerignore"))
	if err != nil {
		return nil, err
	}
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	ignored, err := patternmatcher.New(patterns)
	return &BuildContext{dir, ignored}, err
}

// Sends tells whether the builder gets a file, named relative to the folder.
func (c *BuildContext) Sends(name string) bool {
	ignored, err := c.ignored.MatchesOrParentMatches(name)
	return err == nil && !ignored
}
