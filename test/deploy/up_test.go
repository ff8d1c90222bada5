//go:build linux

package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// upstream are the services whose image is not made here: where their program lies in it, and what stands for it here, a
// file in the folder that OTELVLLM_BACKENDS names. Grafana is not among them: it cannot be built from its module.
var upstream = map[string]struct{ path, program string }{
	"collector":  {"/otelcol-contrib", "otelcol"},
	"jaeger":     {"/cmd/jaeger/jaeger-linux", "jaeger"},
	"prometheus": {"/bin/prometheus", "prometheus"},
}

// TestTheDemoComesUp starts the services of the profile demo as `docker compose up` would: each in a root of its own that it
// cannot write to, as its user, with its variables, files and names, in the order of depends_on. Then it looks where the
// file says to look.
func TestTheDemoComesUp(t *testing.T) {
	folder := os.Getenv("OTELVLLM_BACKENDS")
	if folder == "" {
		t.Skip("set OTELVLLM_BACKENDS to a folder with the programs otelcol, jaeger and prometheus")
	}
	n := network(t)
	p, err := Compose(t.Context(), filepath.Join(root(), "docker-compose.yml"), map[string]string{"OTELVLLM_STALL_AFTER": "5s"}, "demo")
	if err != nil {
		t.Fatal(err)
	}
	delete(p.Services, "grafana")
	containers := map[string]*Container{}
	for _, s := range services(p) {
		containers[s.Name] = container(t, folder, s)
		if containers[s.Name].namespace, err = n.Join(t.Context(), names(s)...); err != nil {
			t.Fatal(err)
		}
	}
	order := startOrder(p)
	for _, name := range order {
		begin(t, n, containers[name])
		if check := healthCheck(p.Services[name]); check != nil {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			err := containers[name].Healthy(ctx, check)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	lookAround(t, n.Client())
	slices.Reverse(order)
	for _, name := range order {
		grace := 10 * time.Second
		if d := p.Services[name].StopGracePeriod; d != nil {
			grace = time.Duration(*d)
		}
		if err := containers[name].Stop(grace); err != nil {
			t.Error(err)
		}
	}
}

// container makes the container of a service.
func container(t *testing.T, folder string, s types.ServiceConfig) *Container {
	t.Helper()
	c := &Container{Name: s.Name, Args: s.Command, Env: environment(s), Files: MountedFiles(s)}
	if s.Build != nil {
		c.Image = instance(t, s.Build.Target)
	} else {
		c.Image = instance(t, "monitor") // a root with nearly nothing in it
		c.Image.Env, c.Image.User = nil, s.User
	}
	if u, ok := upstream[s.Name]; ok {
		addProgram(t, c.Image.Root, filepath.Join(folder, u.program), u.path)
		addProgram(t, c.Image.Root, filepath.Join(image(t, "gateway").Root, "probe"), "/probe")
		c.Image.Entrypoint = []string{u.path}
	}
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume {
			c.Writable = append(c.Writable, v.Target)
		}
	}
	for _, v := range s.Tmpfs {
		dir, _, _ := strings.Cut(v, ":")
		c.Writable = append(c.Writable, dir)
	}
	// A folder that Docker makes anew is root's, unless the image has it with another owner: ours does, or not.
	for _, dir := range c.Writable {
		dir = filepath.Join(c.Image.Root, dir)
		if _, err := os.Stat(dir); s.Build != nil && err == nil {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		uid, gid := 0, 0
		if s.Build == nil { // the images from elsewhere have the folders that their users write to
			_, _ = fmt.Sscanf(c.Image.User, "%d:%d", &uid, &gid)
		}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// library is a line of ldd.
var library = regexp.MustCompile(`(/\S+) \(0x`)

// addProgram copies a program into a root, with the libraries that it needs here and would not in its own image.
func addProgram(t *testing.T, root, program, path string) {
	t.Helper()
	files := map[string]string{program: path}
	out, _ := exec.CommandContext(t.Context(), "ldd", program).CombinedOutput()
	for _, m := range library.FindAllStringSubmatch(string(out), -1) {
		files[m[1]] = m[1]
	}
	for from, to := range files {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		to = filepath.Join(root, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// healthCheck returns a service's health check. The images from elsewhere have wget, and their roots here have not: the
// probe asks the same URL.
func healthCheck(s types.ServiceConfig) []string {
	if s.HealthCheck == nil || s.HealthCheck.Disable {
		return nil
	}
	check := s.HealthCheck.Test[1:]
	if check[0] == "wget" {
		return []string{"/probe", check[len(check)-1]}
	}
	return check
}

// startOrder returns the services, each after those it depends on.
func startOrder(p *types.Project) (order []string) {
	var add func(string)
	add = func(name string) {
		s, ok := p.Services[name]
		if !ok || slices.Contains(order, name) {
			return
		}
		for _, d := range slices.Sorted(maps.Keys(s.DependsOn)) {
			add(d)
		}
		order = append(order, name)
	}
	for _, name := range p.ServiceNames() {
		add(name)
	}
	return order
}

// lookAround looks at every page that the Compose file names, but Grafana's.
func lookAround(t *testing.T, client *http.Client) {
	t.Helper()
	deadline := time.Now().Add(time.Minute) // for all of it: so long the file's comment promises it to take
	query := func(q string) string { return "http://prometheus:9090/api/v1/query?query=" + url.QueryEscape(q) }
	for _, look := range []struct {
		what, url string
		good      func(string) bool
	}{
		{"the live page", "http://gateway:9091/", has("<!doctype html>")},
		{"a request that hangs is found", "http://gateway:9091/findings", has(`"code":"request_starved"`)},
		{"Jaeger knows the gateway and the engine", "http://jaeger:16686/api/services", has(`"otelvllm-gateway"`, `"vllm"`)},
		{"a trace reaches into the engine", "http://jaeger:16686/api/traces?service=vllm&limit=5", has(`"llm_request"`, `"generation"`, `"decode"`)},
		{"the stall is a span while the request hangs", "http://jaeger:16686/api/traces?service=otelvllm-gateway&operation=stall&limit=5", has(`"stall"`, `"request_starved"`)},
		{"Prometheus has the gateway's metrics", query(`gen_ai_server_request_duration_seconds_count{job="otelvllm-gateway"}`), series},
		{"Prometheus knows of the stall", query(`vllm_request_stalls_total`), series},
		{"Prometheus has the engine's own metrics", query(`{"vllm:num_requests_running"}`), series},
		{"Prometheus has loaded the rules", "http://prometheus:9090/api/v1/rules", has(`"type":"alerting"`)},
		{"the engine can be broken", "http://engine:8000/fake/fault", has("wedge")},
	} {
		for {
			text, err := get(t, client, look.url)
			if err == nil && look.good(text) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s: got %v and %.600s", look.what, look.url, err, text)
			}
			<-time.After(250 * time.Millisecond)
		}
	}
}

func has(words ...string) func(string) bool {
	return func(text string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
	}
}

// series tells whether an answer of Prometheus has at least one series.
func series(text string) bool {
	var answer struct {
		Data struct{ Result []struct{ Value []any } }
	}
	if json.Unmarshal([]byte(text), &answer) != nil || len(answer.Data.Result) == 0 {
		return false
	}
	_, err := strconv.ParseFloat(fmt.Sprint(answer.Data.Result[0].Value[1]), 64)
	return err == nil
}

func get(t *testing.T, client *http.Client, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	req.Host = "localhost" // where Docker publishes the ports; the live page takes no other name
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return string(text), err
}
