//go:build linux

package deploy

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// network makes a network, or skips the test where this process may not.
func network(t *testing.T) *Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("running images without Docker takes root")
	}
	for _, program := range []string{"ip", "nsenter", "unshare", "mount", "chroot"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("running images without Docker takes the program " + program)
		}
	}
	n, err := NewNetwork(t.Context())
	if err != nil {
		t.Skip("this machine lets no networks be made: " + err.Error())
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// start starts a container, on a copy of its image, and lets what it says be seen if the test fails.
func start(t *testing.T, n *Network, c *Container, names ...string) *Container {
	t.Helper()
	namespace, err := n.Join(t.Context(), append([]string{c.Name}, names...)...)
	if err != nil {
		t.Fatal(err)
	}
	c.namespace = namespace
	begin(t, n, c)
	return c
}

func begin(t *testing.T, n *Network, c *Container) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), c.Name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	c.Out = log
	if err := c.Start(n, c.namespace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Kill()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s says:\n%.4000s", c.Name, text)
		}
		log.Close()
	})
}

// instance is a copy of an image, whose files may then differ from another's.
func instance(t *testing.T, name string) *Image {
	t.Helper()
	made := *image(t, name)
	root := t.TempDir()
	for dir := root; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // the program runs as a user of its own
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", made.Root+"/.", root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	made.Root = root
	return &made
}

// TestTheGatewaysImageRuns starts it as Docker would, with nothing but what is in it.
func TestTheGatewaysImageRuns(t *testing.T) {
	n := network(t)
	c := start(t, n, &Container{Name: "gateway", Image: instance(t, "gateway"), Env: map[string]string{
		"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Healthy(ctx, c.Image.Health); err != nil {
		t.Fatal(err)
	}
	if said, err := c.Exec("/probe", "http://127.0.0.1:9091/nothing"); err == nil {
		t.Errorf("the probe of a page that does not exist succeeded: %s", said)
	}
	resp, err := n.Client().Post("http://gateway:8080/v1/completions", "application/json", strings.NewReader(`{"model":"simulated","prompt":"a","max_tokens":3}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("got %d, want 200", resp.StatusCode)
	}
	if resp, err := n.Client().Get("http://gateway:9091/"); err == nil {
		resp.Body.Close()
		t.Error("the admin page is open to other containers, though nobody asked for that")
	}
	if err := c.Stop(20 * time.Second); err != nil {
		t.Error(err)
	}
}
