package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// known are the ports of images that come from elsewhere and whose port is no variable.
var known = map[string][]int{"prometheus": {9090}, "grafana": {3000}, "vllm": {8000}, "collector": {}}

// exceptions are properties that a service may lack.
var exceptions = map[string]string{
	"vllm: read_only":      "it compiles kernels and writes them below its home",
	"vllm: a numeric user": "its image has no other user than root, and the model cache is root's",
	"vllm: pids_limit":     "its threads depend on the machine",
	"load: a health check": "it serves nothing",
}

// rendered are the ways in which the file says to start it, and no profile at all.
var rendered = [][]string{nil, {"demo"}, {"vllm"}, {"gateway"}}

// compose renders the file. Where no profile brings an engine there is one elsewhere.
func compose(t *testing.T, profiles ...string) *types.Project {
	t.Helper()
	env := map[string]string{}
	if !slices.Contains(profiles, "demo") && !slices.Contains(profiles, "vllm") {
		env["OTELVLLM_ENGINE_ADDRESS"] = "host.docker.internal:8000"
	}
	p, err := Compose(t.Context(), filepath.Join(root(), "docker-compose.yml"), env, profiles...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryProfileOfTheComposeFileIsSound(t *testing.T) {
	s := stages(t)
	for _, profiles := range rendered {
		t.Run(fmt.Sprint(profiles), func(t *testing.T) {
			p := compose(t, profiles...)
			report(t, CheckImages(p, s))
			report(t, CheckRuntime(p, s, exceptions))
			report(t, CheckOrder(p))
			report(t, CheckPorts(p, s, known))
			report(t, CheckReach(p, s, known))
			report(t, CheckMounts(p))
		})
	}
	if got, want := Profiles(compose(t)), []string{"demo", "gateway", "vllm"}; !slices.Equal(got, want) {
		t.Errorf("got the profiles %v, want %v, which this test renders", got, want)
	}
}

func TestEachProfileRunsWhatItSays(t *testing.T) {
	backends := []string{"collector", "grafana", "jaeger", "prometheus"}
	for profile, more := range map[string][]string{
		"": nil, "demo": {"engine", "gateway-demo", "load"}, "gateway": {"gateway"}, "vllm": {"gateway-nvml", "vllm"},
	} {
		p := compose(t, profile)
		want := slices.Sorted(slices.Values(append(slices.Clone(backends), more...)))
		if got := slices.Sorted(slices.Values(p.ServiceNames())); !slices.Equal(got, want) {
			t.Errorf("profile %q: got %v, want %v", profile, got, want)
		}
	}
}

func TestSettingsOfServicesExist(t *testing.T) {
	gateway := image(t, "gateway")
	_, variables := settings(t, gateway)
	for _, profiles := range rendered {
		for _, s := range services(compose(t, profiles...)) {
			report(t, CheckFileVariables(s, "OTELCOL_"))
			report(t, CheckFileVariables(s, "JAEGER_"))
			if s.Build == nil || strings.HasPrefix(s.Build.Target, "collector") {
				continue
			}
			for name := range environment(s) {
				if strings.HasPrefix(name, "OTELVLLM_") && !variables[name] {
					t.Errorf("service %s: the gateway does not know %s", s.Name, name)
				}
				if strings.HasPrefix(name, "OTEL_") && !strings.Contains(read(t, "README.md")+read(t, "otelvllm/otlp/environment.go"), name) {
					t.Errorf("service %s: neither README nor the library names %s", s.Name, name)
				}
			}
			flags, _ := settings(t, image(t, s.Build.Target))
			for _, word := range s.Command {
				name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
				if !flags[name] {
					t.Errorf("service %s: its program has no flag %s", s.Name, word)
				}
			}
		}
	}
}

func TestAServiceHasTimeToDrain(t *testing.T) {
	for _, profiles := range rendered {
		for _, s := range services(compose(t, profiles...)) {
			text, ok := environment(s)["OTELVLLM_DRAIN"]
			if !ok {
				continue
			}
			drain, err := time.ParseDuration(text)
			if err != nil {
				t.Fatal(err)
			}
			// One second for handlers to notice the cut, two at least for the telemetry.
			if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < drain+3*time.Second {
				t.Errorf("service %s drains for %s and is killed after %v", s.Name, drain, s.StopGracePeriod)
			}
		}
	}
}

// TestTelemetryKeepsItsHostName holds the names of the containers whose name becomes host.name. Docker's own are new ones
// at each start, and each would make new series beside the old.
func TestTelemetryKeepsItsHostName(t *testing.T) {
	for _, profiles := range rendered {
		for _, s := range services(compose(t, profiles...)) {
			if s.Name != "collector" && environment(s)["OTEL_EXPORTER_OTLP_ENDPOINT"] == "" {
				continue
			}
			if got, want := s.Hostname, "compose"; got != want {
				t.Errorf("service %s: got the host name %q, want %q", s.Name, got, want)
			}
		}
	}
}

// TestFoldersThatPrometheusWatchesExist needs no program: Prometheus starts without them, but logs errors.
func TestFoldersThatPrometheusWatchesExist(t *testing.T) {
	const folder = "collector-config/prometheus"
	watched := regexp.MustCompile(`files: \[(\S+)\]`).FindAllStringSubmatch(read(t, folder+"/prometheus.yaml"), -1)
	if len(watched) == 0 {
		t.Error("got no files of targets, want some: this test reads them wrongly")
	}
	for _, m := range watched {
		if _, err := os.Stat(filepath.Join(root(), folder, filepath.Dir(m[1]))); err != nil {
			t.Errorf("targets %s: got %v, want a folder", m[1], err)
		}
	}
}

// TestTheHealthChecksOfImagesAreTheComposeFiles keeps the two like each other.
func TestTheHealthChecksOfImagesAreTheComposeFiles(t *testing.T) {
	for _, profiles := range rendered {
		for _, s := range services(compose(t, profiles...)) {
			if s.Build == nil || s.HealthCheck.Disable {
				continue
			}
			if got := image(t, s.Build.Target).Health; !slices.Equal(got, s.HealthCheck.Test[1:]) {
				t.Errorf("service %s: got %q of the image, want %q", s.Name, got, s.HealthCheck.Test[1:])
			}
		}
	}
}

// TestVariablesOfTheUserReachTheServices renders the file with the variables that its comments offer.
func TestVariablesOfTheUserReachTheServices(t *testing.T) {
	p, err := Compose(t.Context(), filepath.Join(root(), "docker-compose.yml"), map[string]string{
		"OTELVLLM_ENGINE_ADDRESS": "host.docker.internal:8000", "VLLM_MODEL": "mine",
	}, "gateway", "vllm")
	if err != nil {
		t.Fatal(err)
	}
	if got := environment(p.Services["gateway"])["OTELVLLM_ENGINE"]; got != "http://host.docker.internal:8000" {
		t.Errorf("got the engine %q", got)
	}
	if got := p.Services["vllm"].Command[0]; got != "mine" {
		t.Errorf("got the model %q", got)
	}
	if hosts := p.Services["gateway"].ExtraHosts["host.docker.internal"]; !slices.Equal(hosts, []string{"host-gateway"}) {
		t.Errorf("got %q for host.docker.internal, want the host", hosts)
	}
}

// sample is a Compose file without a mistake.
const sample = `name: sample
services:
  a:
    image: some/image:1.2.3
    user: "1:1"
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    pids_limit: 10
    mem_limit: 64m
    restart: unless-stopped
    logging: {driver: json-file, options: {max-size: 1m, max-file: "1"}}
    healthcheck: {test: [CMD, /probe]}
    command: [--config=/etc/a/a.yaml]
    environment: {OTELCOL_GRPC: "0.0.0.0:4317", BACKEND: "b:9090"}
    ports: ["127.0.0.1:4317:4317"]
    volumes: [{type: bind, source: ./a.yaml, target: /etc/a/a.yaml, read_only: true, bind: {create_host_path: false}}]
    depends_on: {b: {condition: service_healthy}}
  b:
    image: b:1.2.3
    user: "1:1"
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    pids_limit: 10
    mem_limit: 64m
    restart: unless-stopped
    logging: {driver: json-file, options: {max-size: 1m, max-file: "1"}}
    healthcheck: {test: [CMD, /probe]}
`

func checkSample(t *testing.T, text string) ([]string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"compose.yml": text, "a.yaml": "x: ${env:OTELCOL_GRPC}\n# b:1 is only a comment\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Compose(t.Context(), filepath.Join(dir, "compose.yml"), nil)
	if err != nil {
		return nil, err
	}
	known := map[string][]int{"b": {9090}}
	return slices.Concat(CheckImages(p, nil), CheckRuntime(p, nil, nil), CheckOrder(p), CheckPorts(p, nil, known), CheckReach(p, nil, known),
		CheckMounts(p), CheckFileVariables(p.Services["a"], "OTELCOL_")), nil
}

func TestMistakesInAComposeFileAreFound(t *testing.T) {
	findings, err := checkSample(t, sample)
	if err != nil || len(findings) > 0 {
		t.Fatalf("the sample without a mistake: got %v and %q", err, findings)
	}
	for _, tt := range []struct{ name, old, new, says string }{
		{"an image that moves", "some/image:1.2.3", "some/image:latest", "no exact version"},
		{"an image without a version", "some/image:1.2.3", "some/image", "no exact version"},
		{"an image at a registry", "some/image:1.2.3", "some.where:5000/image:1.2.3", "names a registry"},
		{"a port for everybody", "127.0.0.1:4317:4317", "4317:4317", "other machines"},
		{"a port at which nobody listens", "127.0.0.1:4317:4317", "127.0.0.1:4317:4318", "does not listen"},
		{"a root", `user: "1:1"`, `user: "0:0"`, "a numeric user"},
		{"a user by name", `user: "1:1"`, `user: nobody`, "a numeric user"},
		{"an image that can be written to", "read_only: true\n", "read_only: false\n", "read_only"},
		{"capabilities", "cap_drop: [ALL]", "cap_drop: [ALL]\n    cap_add: [NET_ADMIN]", "cap_drop"},
		{"rights to gain", "no-new-privileges:true", "no-new-privileges:false", "no-new-privileges"},
		{"privileges", "user: ", "privileged: true\n    user: ", "isolation"},
		{"the host's network", "    ports: [\"127.0.0.1:4317:4317\"]\n", "    network_mode: host\n", "isolation"},
		{"no limit of memory", "    mem_limit: 64m\n", "", "mem_limit"},
		{"no restart", "unless-stopped", `"no"`, "restart"},
		{"a health check by a shell", "[CMD, /probe]", "/probe", "a health check"},
		{"logs without an end", "max-size: 1m, ", "", "a limit of its logs"},
		{"a start that does not wait", "service_healthy", "service_started", "not healthy"},
		{"a file that is not there", "source: ./a.yaml", "source: ./b.yaml", "does not have"},
		{"a mount that can be written to", "a.yaml, read_only: true", "a.yaml, read_only: false", "must be read_only"},
		{"a file that no mount brings", "--config=/etc/a/a.yaml", "--config=/etc/a/b.yaml", "no mount brings"},
		{"another service's port that is wrong", "b:9090", "b:9091", "where nobody listens"},
		{"a variable that its file does not read", "OTELCOL_GRPC: ", "OTELCOL_GPRC: ", "reads OTELCOL_GPRC"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(sample, tt.old, tt.new, 1)
			if text == sample {
				t.Fatalf("the sample has no %q", tt.old)
			}
			findings, err := checkSample(t, text)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(findings, func(f string) bool { return strings.Contains(f, tt.says) }) {
				t.Errorf("got %q, want a finding with %q", findings, tt.says)
			}
		})
	}
	for name, text := range map[string]string{
		"a key that does not exist":            strings.Replace(sample, "restart:", "restrat:", 1),
		"a service to wait for that is not":    strings.Replace(sample, "depends_on: {b:", "depends_on: {c:", 1),
		"a volume that is not declared":        strings.Replace(sample, "volumes: [", "volumes: [\"data:/data\", ", 1),
		"a variable that is wanted, and unset": strings.Replace(sample, "some/image:1.2.3", "${IMAGE:?}", 1),
	} {
		if _, err := checkSample(t, text); err == nil {
			t.Errorf("%s was not found", name)
		}
	}
}
