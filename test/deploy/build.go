package deploy

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// Image is what a stage made: a folder that stands for its root, and the settings of the programs in it.
type Image struct {
	Root       string
	Env        []string
	User       string
	Dir        string
	Entrypoint []string
	Cmd        []string
	Health     []string // the health check without its first word, CMD
	base       string   // the image from elsewhere that it began with
}

// Builder builds stages without Docker. An image from elsewhere is an empty folder to it, and what RUN would do in one it
// does on this machine, with the folders of the image in the place of those at the root: enough for `go build`.
type Builder struct {
	Stages  Stages
	Context *BuildContext
	Temp    string // where the images go
	Args    map[string]string
	Out     func(string) // gets what is run; may be nil
	built   map[string]*Image
}

// Build builds a stage and those it needs.
func (b *Builder) Build(ctx context.Context, name string) (*Image, error) {
	if image := b.built[name]; image != nil {
		return image, nil
	}
	stage := b.Stages.Find(name)
	if stage == nil {
		return nil, fmt.Errorf("no stage %s", name)
	}
	image := &Image{Root: filepath.Join(b.Temp, name), Dir: "/", base: stage.BaseName}
	if err := os.MkdirAll(image.Root, 0o755); err != nil {
		return nil, err
	}
	if b.Stages.Find(stage.BaseName) != nil {
		base, err := b.Build(ctx, stage.BaseName)
		if err != nil {
			return nil, err
		}
		*image = Image{Root: image.Root, Env: base.Env, User: base.User, Dir: base.Dir, base: base.base}
		if err := os.CopyFS(image.Root, os.DirFS(base.Root)); err != nil {
			return nil, err
		}
	}
	args := map[string]string{}
	for _, c := range stage.Commands {
		if err := b.do(ctx, image, args, c); err != nil {
			return nil, fmt.Errorf("stage %s: %w", name, err)
		}
	}
	if b.built == nil {
		b.built = map[string]*Image{}
	}
	b.built[name] = image
	return image, nil
}

// do does what a command says.
func (b *Builder) do(ctx context.Context, image *Image, args map[string]string, command instructions.Command) error {
	if c, ok := command.(instructions.SupportsSingleWordExpansion); ok {
		lex := shell.NewLex('\\')
		err := c.Expand(func(word string) (string, error) {
			result, err := lex.ProcessWordWithMatches(word, variables{image.Env, args})
			return result.Result, err
		})
		if err != nil {
			return err
		}
	}
	switch c := command.(type) {
	case *instructions.ArgCommand:
		for _, a := range c.Args {
			if args[a.Key] = b.Args[a.Key]; args[a.Key] == "" && a.Value != nil {
				args[a.Key] = *a.Value
			}
		}
	case *instructions.EnvCommand:
		for _, e := range c.Env {
			image.Env = append(image.Env, e.Key+"="+e.Value)
		}
	case *instructions.WorkdirCommand:
		image.Dir = c.Path
		return os.MkdirAll(filepath.Join(image.Root, c.Path), 0o755)
	case *instructions.UserCommand:
		image.User = c.User
	case *instructions.EntrypointCommand:
		image.Entrypoint = c.CmdLine
	case *instructions.CmdCommand:
		image.Cmd = c.CmdLine
	case *instructions.HealthCheckCommand:
		image.Health = c.Health.Test[1:]
	case *instructions.CopyCommand:
		return b.copy(ctx, image, c)
	case *instructions.RunCommand:
		return b.run(ctx, image, args, c)
	case *instructions.LabelCommand, *instructions.ExposeCommand, *instructions.StopSignalCommand:
	default:
		return fmt.Errorf("the builder of this test does not know %s", command.Name())
	}
	return nil
}

// variables are those that ARG and ENV have set, the latter first.
type variables struct {
	env  []string
	args map[string]string
}

func (v variables) Get(name string) (string, bool) {
	for i := len(v.env) - 1; i >= 0; i-- {
		if n, value, _ := strings.Cut(v.env[i], "="); n == name {
			return value, true
		}
	}
	value, ok := v.args[name]
	return value, ok
}

func (v variables) Keys() []string {
	var keys []string
	for _, e := range v.env {
		name, _, _ := strings.Cut(e, "=")
		keys = append(keys, name)
	}
	for name := range v.args {
		keys = append(keys, name)
	}
	return keys
}

// copy is COPY, for files and folders without wildcards.
func (b *Builder) copy(ctx context.Context, image *Image, c *instructions.CopyCommand) error {
	from, sends := b.Context.dir, b.Context.Sends
	if c.From != "" {
		source, err := b.Build(ctx, c.From)
		if err != nil {
			return err
		}
		from, sends = source.Root, func(string) bool { return true }
	}
	target := c.DestPath
	if !strings.HasPrefix(target, "/") {
		target = filepath.Join(image.Dir, target)
	}
	target = filepath.Join(image.Root, target)
	for _, name := range c.SourcePaths {
		name = strings.TrimPrefix(filepath.Clean(name), "/")
		into := target
		info, err := os.Stat(filepath.Join(from, name))
		if os.IsNotExist(err) && c.From != "" && b.built[c.From].base != "scratch" {
			from = "/" // a file of the base image, such as the certificates: this machine's own
			info, err = os.Stat(filepath.Join(from, name))
		}
		if err != nil {
			return fmt.Errorf("COPY %s: %w", name, err)
		}
		if !info.IsDir() && (strings.HasSuffix(c.DestPath, "/") || c.DestPath == "." || len(c.SourcePaths) > 1) {
			into = filepath.Join(target, filepath.Base(name))
		}
		n, err := copyTree(filepath.Join(from, name), into, name, sends)
		if err == nil && n == 0 {
			err = fs.ErrNotExist // .dockerignore keeps all of it back
		}
		if err != nil {
			return fmt.Errorf("COPY %s: %w", name, err)
		}
		if err := chown(into, c.Chown); err != nil {
			return fmt.Errorf("COPY %s: %w", name, err)
		}
	}
	return nil
}

// chown gives what was copied to its owner, where this process may do so.
func chown(path, owner string) error {
	if owner == "" || os.Geteuid() != 0 {
		return nil
	}
	var uid, gid int
	if _, err := fmt.Sscanf(owner, "%d:%d", &uid, &gid); err != nil {
		return fmt.Errorf("--chown=%s is not two numbers: %w", owner, err)
	}
	return filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

// copyTree copies what sends lets through, and returns the number of files and folders.
func copyTree(from, to, name string, sends func(string) bool) (n int, err error) {
	err = filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if !entry.IsDir() && !sends(filepath.Join(name, rel)) {
			return nil
		}
		n++
		target := filepath.Join(to, rel)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, info.Mode().Perm())
	})
	return n, err
}

// run is RUN. Mounts of caches are this machine's own.
func (b *Builder) run(ctx context.Context, image *Image, args map[string]string, c *instructions.RunCommand) error {
	line := strings.Join(c.CmdLine, " ")
	if !c.PrependShell {
		return fmt.Errorf("RUN %s: the builder of this test knows the shell form only", line)
	}
	for _, dir := range []string{"/out", "/src"} {
		line = strings.ReplaceAll(line, " "+dir, " "+filepath.Join(image.Root, dir))
	}
	if b.Out != nil {
		b.Out(line)
	}
	run := exec.CommandContext(ctx, "sh", "-c", line)
	run.Dir = filepath.Join(image.Root, image.Dir)
	run.Env = append(os.Environ(), image.Env...)
	for name, value := range args {
		run.Env = append(run.Env, name+"="+value)
	}
	if out, err := run.CombinedOutput(); err != nil {
		return fmt.Errorf("RUN %s: %w\n%s", line, err, out)
	}
	return nil
}
