//go:build linux

package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Network is a network of its own on this machine, to which Containers are joined as they are to one of Docker. It needs
// root, and the programs ip, nsenter, unshare, mount and chroot.
type Network struct {
	prefix string
	hosts  []string // lines of /etc/hosts
	joined int
}

// hub is the network's own namespace, from which the test looks in.
const hub = "hub"

// NewNetwork makes a network. Close removes it.
func NewNetwork(ctx context.Context) (*Network, error) {
	n := &Network{prefix: fmt.Sprintf("otelvllm-%d-", os.Getpid()), hosts: []string{"127.0.0.1 localhost"}}
	h := n.prefix + hub
	return n, commands(ctx, "ip netns add "+h, "ip -n "+h+" link set lo up", "ip -n "+h+" link add br0 type bridge",
		"ip -n "+h+" addr add 10.99.0.1/24 dev br0", "ip -n "+h+" link set br0 up")
}

func commands(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		words := strings.Fields(line)
		if out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, out)
		}
	}
	return nil
}

// Close removes the network. Its containers must have ended.
func (n *Network) Close(ctx context.Context) error {
	var errs []error
	for i := range n.joined {
		errs = append(errs, commands(ctx, fmt.Sprintf("ip netns del %s%d", n.prefix, i+1)))
	}
	return errors.Join(append(errs, commands(ctx, "ip netns del "+n.prefix+hub))...)
}

// Join makes the network namespace of a container, with an address for its names, and returns the namespace's name.
func (n *Network) Join(ctx context.Context, names ...string) (string, error) {
	n.joined++
	i := n.joined
	ns, address := fmt.Sprintf("%s%d", n.prefix, i), fmt.Sprintf("10.99.0.%d", 10+i)
	n.hosts = append(n.hosts, address+" "+strings.Join(names, " "))
	return ns, commands(ctx, "ip netns add "+ns, "ip -n "+ns+" link set lo up",
		fmt.Sprintf("ip -n %s%s link add v%d type veth peer name eth0 netns %s", n.prefix, hub, i, ns),
		fmt.Sprintf("ip -n %s%s link set v%d master br0 up", n.prefix, hub, i),
		"ip -n "+ns+" addr add "+address+"/24 dev eth0", "ip -n "+ns+" link set eth0 up")
}

// address returns the address of a name.
func (n *Network) address(name string) string {
	for _, line := range n.hosts {
		if words := strings.Fields(line); len(words) > 1 && strings.Contains(" "+strings.Join(words[1:], " ")+" ", " "+name+" ") {
			return words[0]
		}
	}
	return name
}

// Client asks the containers by their names, from the network's side.
func (n *Network) Client() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: n.dial}}
}

// dial connects from the hub's namespace: a socket belongs to the namespace of the thread that makes it.
func (n *Network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer own.Close()
	other, err := os.Open("/run/netns/" + n.prefix + hub)
	if err != nil {
		return nil, err
	}
	defer other.Close()
	if err := unix.Setns(int(other.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(n.address(host), port))
	if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
		return nil, back // the thread stays locked, and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return c, err
}

// Container is one program in a root of its own that it cannot write to, as a user of its own, in a namespace of its own.
type Container struct {
	Name     string
	Image    *Image
	Args     []string          // after the entry point; nil is the image's own
	Env      map[string]string // beside the image's own
	Files    []File            // mounted
	Writable []string          // folders that outlive it or are in memory: the user may write to them
	Out      *os.File          // what it says

	namespace string
	process   *exec.Cmd
	ended     chan error // gets how the program ended; who takes that puts it back
}

// Start starts the container in a namespace of the network.
func (c *Container) Start(n *Network, namespace string) error {
	c.namespace = namespace
	files := append([]File{{Target: "/etc/hosts", Text: strings.Join(n.hosts, "\n") + "\n"}}, c.Files...)
	for _, f := range files {
		path := filepath.Join(c.Image.Root, f.Target)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(f.Text), 0o644); err != nil {
			return err
		}
	}
	args := c.Args
	if args == nil {
		args = c.Image.Cmd
	}
	c.process = c.command(append(append([]string{}, c.Image.Entrypoint...), args...)...)
	c.process.Stdout, c.process.Stderr = c.Out, c.Out
	if err := c.process.Start(); err != nil {
		return err
	}
	c.ended = make(chan error, 1)
	go func() { c.ended <- c.process.Wait() }()
	return nil
}

// inside makes the root read-only but for the writable folders, and runs a program in it.
const inside = `set -e
root=$1 user=$2 writable=$3; shift 3
mount --bind "$root" "$root"
mkdir -p "$root/proc"
for dir in $writable; do mkdir -p "$root$dir"; mount --bind "$root$dir" "$root$dir"; done
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
exec chroot --userspec="$user" --groups="" "$root" "$@"`

func (c *Container) command(words ...string) *exec.Cmd {
	env := append([]string{}, c.Image.Env...)
	for name, value := range c.Env {
		env = append(env, name+"="+value)
	}
	if err := os.MkdirAll(filepath.Join(c.Image.Root, "proc"), 0o755); err != nil {
		return &exec.Cmd{Err: err}
	}
	run := exec.Command("nsenter", append([]string{
		"--net=/run/netns/" + c.namespace, "unshare", "--mount", "--propagation", "private",
		"sh", "-c", inside, "sh", c.Image.Root, c.Image.User, strings.Join(c.Writable, " "),
	}, words...)...)
	run.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	return run
}

// Exec runs another program in the container, as `docker exec` does, and returns what it said.
func (c *Container) Exec(words ...string) (string, error) {
	out, err := c.command(words...).CombinedOutput()
	return string(out), err
}

// Healthy waits until the health check succeeds, as long as the container runs and ctx allows.
func (c *Container) Healthy(ctx context.Context, check []string) error {
	for {
		said, err := c.Exec(check...)
		if err == nil {
			return nil
		}
		select {
		case end := <-c.ended:
			c.ended <- end
			if end == nil {
				return fmt.Errorf("%s has ended with status 0", c.Name)
			}
			return fmt.Errorf("%s has ended: %w", c.Name, end)
		case <-ctx.Done():
			return fmt.Errorf("%s is not healthy: %s%w", c.Name, said, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Stop sends SIGTERM, and SIGKILL after grace. It returns an error unless the program ended with status 0 before that.
func (c *Container) Stop(grace time.Duration) error {
	if err := c.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-c.ended:
		c.ended <- err
		if err != nil {
			return fmt.Errorf("%s after SIGTERM: %w", c.Name, err)
		}
		return nil
	case <-time.After(grace):
		c.Kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM", c.Name, grace)
	}
}

// Kill ends the program at once, if it has not ended.
func (c *Container) Kill() {
	_ = c.process.Process.Kill()
	err := <-c.ended
	c.ended <- err
}
