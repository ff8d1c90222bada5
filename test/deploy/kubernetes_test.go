package deploy

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

var manifests = []string{"sidecar.yaml", "central.yaml", "collector.yaml"}

// vllmMay is what the container of vLLM may lack. It has no readiness probe where the gateway's stands for the pod.
var vllmMay = map[string]string{
	"vllm: a user":            "its image has no other user than root",
	"vllm: read-only root":    "it compiles kernels and writes them below its home",
	"vllm: a readiness probe": "beside a gateway, that one's probe is the pod's",
}

func manifest(t *testing.T, name string) []runtime.Object {
	t.Helper()
	objects, err := Manifests([]byte(read(t, "examples/kubernetes/"+name)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return objects
}

func checkManifest(objects []runtime.Object, exceptions map[string]string) []string {
	w := Workloads(objects)
	return slices.Concat(CheckSelectors(objects), CheckPodPorts(objects), CheckPods(w, exceptions), CheckEnds(w), CheckVolumes(w), CheckSidecars(w))
}

func TestManifestsAreSound(t *testing.T) {
	for _, name := range manifests {
		t.Run(name, func(t *testing.T) {
			objects := manifest(t, name)
			if len(Workloads(objects)) == 0 {
				t.Error("it has no workload")
			}
			report(t, checkManifest(objects, vllmMay))
		})
	}
	files, err := filepath.Glob(filepath.Join(root(), "examples/kubernetes/*.yaml"))
	if err != nil || len(files) != len(manifests) {
		t.Errorf("got %d manifests (%v), want the %d that this test reads", len(files), err, len(manifests))
	}
}

// TestGatewaysInPodsHaveTheirSettings checks variables, probes and what is open against the program.
func TestGatewaysInPodsHaveTheirSettings(t *testing.T) {
	_, variables := settings(t, image(t, "gateway"))
	admin := read(t, "examples/gateway/sidecar/admin.go")
	gateways := 0
	for _, name := range manifests {
		for _, w := range Workloads(manifest(t, name)) {
			for _, c := range Containers(w.Template.Spec) {
				for _, e := range c.Env {
					if strings.HasPrefix(e.Name, "OTELVLLM_") && !variables[e.Name] {
						t.Errorf("%s: the gateway does not know %s", name, e.Name)
					}
				}
				if c.Name != "gateway" {
					continue
				}
				gateways++
				if a := value(c, "OTELVLLM_ADMIN"); a != "127.0.0.1:9091" {
					t.Errorf("%s: got the admin address %q, want it closed to others", name, a)
				}
				for what, p := range probes(c) {
					u, err := url.Parse(p.Exec.Command[1])
					if p.Exec.Command[0] != "/probe" || err != nil || u.Host != value(c, "OTELVLLM_ADMIN") || !strings.Contains(admin, `"GET `+u.Path+`"`) {
						t.Errorf("%s: %s asks %q, which the gateway does not answer", name, what, p.Exec.Command)
					}
				}
				checkRuns(t, c)
			}
		}
	}
	if gateways != 2 {
		t.Errorf("got %d gateways, want 2", gateways)
	}
}

// checkRuns lets the gateway read a container's variables: with a flag that does not exist it ends after that.
func checkRuns(t *testing.T, c corev1.Container) {
	t.Helper()
	var env []string
	for _, e := range c.Env {
		if strings.HasPrefix(e.Name, "OTELVLLM_") {
			env = append(env, e.Name+"="+e.Value)
		}
	}
	out := runGateway(t, image(t, "gateway"), env, "stray")
	if !strings.Contains(out, `unexpected argument "stray"`) {
		t.Errorf("the gateway with %q says %q, want it to get as far as its arguments", env, out)
	}
}

// TestVLLMAndItsGatewayMeet keeps the address at which vLLM listens like the one that the gateway asks.
func TestVLLMAndItsGatewayMeet(t *testing.T) {
	for _, name := range manifests[:2] {
		objects := manifest(t, name)
		var engine, listens string
		for _, w := range Workloads(objects) {
			for _, c := range Containers(w.Template.Spec) {
				if c.Name == "gateway" {
					engine = strings.TrimPrefix(value(c, "OTELVLLM_ENGINE"), "dns+")
				} else {
					listens = argument(c, "host") + ":" + argument(c, "port")
				}
			}
		}
		u, err := url.Parse(engine)
		if err != nil {
			t.Fatal(err)
		}
		if u.Host == listens {
			continue // in one pod
		}
		found := slices.ContainsFunc(objects, func(o runtime.Object) bool {
			s, ok := o.(*corev1.Service)
			return ok && s.Name == u.Hostname() && s.Spec.ClusterIP == corev1.ClusterIPNone && listens == "0.0.0.0:"+u.Port()
		})
		if !found {
			t.Errorf("%s: the gateway asks %s; vLLM listens at %s, and no headless Service has that name", name, engine, listens)
		}
	}
}

// TestFlagsOfVLLMExist compares with those that vLLM 0.32.0 lists.
func TestFlagsOfVLLMExist(t *testing.T) {
	flags := strings.Fields(read(t, "test/deploy/testdata/vllm-0.32.0-flags.txt"))
	check := func(where string, words []string) {
		for _, word := range words {
			if name, _, _ := strings.Cut(word, "="); strings.HasPrefix(name, "--") && !slices.Contains(flags, name) {
				t.Errorf("%s: vLLM has no flag %s", where, name)
			}
		}
	}
	seen := 0
	for _, name := range manifests {
		for _, w := range Workloads(manifest(t, name)) {
			for _, c := range Containers(w.Template.Spec) {
				if c.Name == "vllm" {
					seen++
					check(name, c.Args)
					if !strings.HasSuffix(c.Image, ":v0.32.0") {
						t.Errorf("%s: got the image %s, want the version of the list of flags", name, c.Image)
					}
				}
			}
		}
	}
	check("docker-compose.yml", compose(t, "vllm").Services["vllm"].Command)
	if seen != 2 {
		t.Errorf("got %d containers with vLLM, want 2", seen)
	}
}

// TestTheGuideTellsHowLongPodsTakeToEnd keeps README's table like the manifests.
func TestTheGuideTellsHowLongPodsTakeToEnd(t *testing.T) {
	guide := read(t, "examples/kubernetes/README.md")
	row := regexp.MustCompile(`(?m)^\| killed .*\| (\d+) s \| (\d+) s \|$`).FindStringSubmatch(guide)
	if row == nil {
		t.Fatal("README has no row about terminationGracePeriodSeconds")
	}
	for i, name := range manifests[:2] {
		if got := *Workloads(manifest(t, name))[0].Template.Spec.TerminationGracePeriodSeconds; row[i+1] != itoa(int32(got)) {
			t.Errorf("%s: README says %s s, the file %d s", name, row[i+1], got)
		}
	}
	for _, name := range manifests {
		if !strings.Contains(guide, "("+name+")") {
			t.Errorf("README does not tell of %s", name)
		}
	}
}

// TestTelemetryReachesTheCollector keeps the addresses that pods send to like the Service's and the Collector's own.
func TestTelemetryReachesTheCollector(t *testing.T) {
	var service *corev1.Service
	objects := manifest(t, "collector.yaml")
	for _, o := range objects {
		if s, ok := o.(*corev1.Service); ok {
			service = s
		}
	}
	collector := Workloads(objects)[0].Template.Spec.Containers[0]
	agent := read(t, "collector-config/agent.yaml")
	for _, e := range collector.Env {
		if strings.HasPrefix(e.Name, "OTELCOL_") && !strings.Contains(agent, "${env:"+e.Name) {
			t.Errorf("agent.yaml does not read %s", e.Name)
		}
	}
	if collector.Image != stages(t).Find("collector").BaseName {
		t.Errorf("got the image %s, want the one of docker-compose.yml", collector.Image)
	}
	endpoint := regexp.MustCompile(`http://otel-agent\.observability:(\d+)`)
	sent := 0
	for _, name := range manifests[:2] {
		for _, m := range endpoint.FindAllStringSubmatch(read(t, "examples/kubernetes/"+name), -1) {
			sent++
			if !slices.ContainsFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return m[1] == itoa(p.Port) }) {
				t.Errorf("%s sends to port %s, which the Collector's Service does not have", name, m[1])
			}
		}
		for _, o := range manifest(t, name) {
			if p, ok := o.(*networkingv1.NetworkPolicy); ok && !egressTo(p, service.Spec.Selector) {
				t.Errorf("%s: NetworkPolicy %s lets no telemetry out", name, p.Name)
			}
		}
	}
	if sent != 4 {
		t.Errorf("got %d endpoints, want 4", sent)
	}
}

func egressTo(p *networkingv1.NetworkPolicy, labels map[string]string) bool {
	return slices.ContainsFunc(p.Spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
		return slices.ContainsFunc(rule.To, func(to networkingv1.NetworkPolicyPeer) bool {
			return to.PodSelector != nil && to.PodSelector.MatchLabels["app.kubernetes.io/name"] == labels["app.kubernetes.io/name"]
		})
	})
}

func TestTheAutoscalerScalesTheGateway(t *testing.T) {
	objects := manifest(t, "central.yaml")
	for _, o := range objects {
		h, ok := o.(*autoscalingv2.HorizontalPodAutoscaler)
		if !ok {
			continue
		}
		target := h.Spec.ScaleTargetRef
		i := slices.IndexFunc(Workloads(objects), func(w Workload) bool { return w.Kind == target.Kind && w.Name == target.Name })
		if i < 0 || *h.Spec.MinReplicas < 2 {
			t.Errorf("got %d replicas at least of %s %s, want 2 of a workload of the file", *h.Spec.MinReplicas, target.Kind, target.Name)
		}
		return
	}
	t.Error("central.yaml has no autoscaler")
}

func TestMistakesInManifestsAreFound(t *testing.T) {
	text := read(t, "examples/kubernetes/sidecar.yaml")
	for _, tt := range []struct{ name, old, new, says string }{
		{"a Service that selects nothing", "  selector: { app.kubernetes.io/name: vllm }\n  ports", "  selector: { app.kubernetes.io/name: vlm }\n  ports", "matches no pod"},
		{"a port that no container has", "targetPort: http,", "targetPort: web,", "has the port web"},
		{"an image that moves", "otelvllm-gateway:0.1.0-dev", "otelvllm-gateway:latest", "no exact version"},
		{"a drain longer than the pod's life", "OTELVLLM_DRAIN, value: 25s", "OTELVLLM_DRAIN, value: 60s", "are killed after"},
		{"a vLLM that drains longer than the pod's life", "--shutdown-timeout=60", "--shutdown-timeout=600", "are killed after"},
		{"a root", "runAsUser: 65532", "runAsUser: 0", "a user"},
		{"a root file system that can be written to", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "read-only root"},
		{"rights that are kept", "capabilities: { drop: [ALL] }", "capabilities: { drop: [NET_RAW] }", "dropped rights"},
		{"no limit of memory", "limits: { memory: 256Mi }", "limits: { cpu: 1 }", "a limit of memory"},
		{"a token of the API server", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "a token"},
		{"a folder of the host", "emptyDir: { sizeLimit: 100Gi }", "hostPath: { path: /models }", "of the host"},
		{"a volume that nobody mounts", "- { name: models, mountPath: /root/.cache/huggingface }\n", "", "no container of vllm mounts"},
		{"a sidecar that waits for vLLM, which waits for it", `startupProbe: # vLLM starts once this has succeeded, so it asks for the gateway alone
            exec: { command: [/probe, "http://127.0.0.1:9091/healthz"] }`, `startupProbe:
            exec: { command: [/probe, "http://127.0.0.1:9091/readyz"] }`, "must ask for /healthz"},
		{"a gateway that must end before vLLM starts", "          restartPolicy: Always\n", "", "must end before"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(text, tt.old, tt.new, 1)
			if bad == text {
				t.Fatalf("sidecar.yaml has no %q", tt.old)
			}
			objects, err := Manifests([]byte(bad))
			if err != nil {
				t.Fatal(err)
			}
			if findings := checkManifest(objects, vllmMay); !slices.ContainsFunc(findings, func(f string) bool { return strings.Contains(f, tt.says) }) {
				t.Errorf("got %q, want a finding with %q", findings, tt.says)
			}
		})
	}
	for name, bad := range map[string]string{
		"a field that does not exist":  strings.Replace(text, "failureThreshold: 30", "failureTreshold: 30", 1),
		"a field that is there twice":  strings.Replace(text, "replicas: 1", "replicas: 1\n  replicas: 2", 1),
		"a kind that does not exist":   strings.Replace(text, "kind: Deployment", "kind: Deploymnet", 1),
		"a version that has gone":      strings.Replace(text, "apiVersion: apps/v1", "apiVersion: extensions/v1beta1", 1),
		"a number where there is text": strings.Replace(text, "value: 25s", "value: 25", 1),
		"a quantity that is none":      strings.Replace(text, "256Mi", "256MB?", 1),
	} {
		if bad == text {
			t.Fatalf("%s: the sample is without a mistake", name)
		}
		if _, err := Manifests([]byte(bad)); err == nil {
			t.Errorf("%s was not found", name)
		}
	}
}
