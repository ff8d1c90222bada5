package deploy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// CheckPods finds pods and containers that could do more than they must, that have no limits, or whose image moves.
// exceptions says why a container may lack a property, as in "vllm: a user".
func CheckPods(workloads []Workload, exceptions map[string]string) (findings []string) {
	for _, w := range workloads {
		pod := w.Template.Spec
		if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
			findings = append(findings, fmt.Sprintf("pods of %s get a token of the API server", w.Name))
		}
		if pod.HostNetwork || pod.HostPID || pod.HostIPC {
			findings = append(findings, fmt.Sprintf("pods of %s share the host's namespaces", w.Name))
		}
		if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
			findings = append(findings, fmt.Sprintf("pods of %s get variables of every Service", w.Name))
		}
		for _, c := range Containers(pod) {
			if wrong := CheckImage(c.Image); wrong != "" {
				findings = append(findings, fmt.Sprintf("container %s: %s", c.Name, wrong))
			}
			for property, ok := range containerProperties(pod, c) {
				if !ok && exceptions[c.Name+": "+property] == "" {
					findings = append(findings, fmt.Sprintf("container %s of %s lacks %s", c.Name, w.Name, property))
				}
			}
		}
	}
	slices.Sort(findings)
	return findings
}

func containerProperties(pod corev1.PodSpec, c corev1.Container) map[string]bool {
	outer, inner := pod.SecurityContext, c.SecurityContext
	if outer == nil {
		outer = &corev1.PodSecurityContext{}
	}
	if inner == nil {
		inner = &corev1.SecurityContext{}
	}
	user, nonRoot, seccomp := outer.RunAsUser, outer.RunAsNonRoot, outer.SeccompProfile
	if inner.RunAsUser != nil {
		user = inner.RunAsUser
	}
	if inner.RunAsNonRoot != nil {
		nonRoot = inner.RunAsNonRoot
	}
	_, cpu := c.Resources.Requests[corev1.ResourceCPU]
	_, request := c.Resources.Requests[corev1.ResourceMemory]
	_, limit := c.Resources.Limits[corev1.ResourceMemory]
	return map[string]bool{
		"a user":             user != nil && *user > 0 && nonRoot != nil && *nonRoot,
		"no escalation":      inner.AllowPrivilegeEscalation != nil && !*inner.AllowPrivilegeEscalation && (inner.Privileged == nil || !*inner.Privileged),
		"read-only root":     inner.ReadOnlyRootFilesystem != nil && *inner.ReadOnlyRootFilesystem,
		"dropped rights":     inner.Capabilities != nil && slices.Equal(inner.Capabilities.Drop, []corev1.Capability{"ALL"}) && len(inner.Capabilities.Add) == 0,
		"seccomp":            seccomp != nil && seccomp.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"requests":           cpu && request,
		"a limit of memory":  limit,
		"a readiness probe":  c.ReadinessProbe != nil,
		"probes with a time": probesHaveTime(c),
	}
}

func probesHaveTime(c corev1.Container) bool {
	for _, p := range probes(c) {
		if p.TimeoutSeconds < 2 || p.PeriodSeconds < 1 || p.FailureThreshold < 1 {
			return false
		}
	}
	return true
}

// afterDrain is what the gateway needs beyond its drain: for handlers to notice that they were cut, and for the telemetry.
const afterDrain = 3 * time.Second

// CheckEnds finds pods that are killed before they could end: preStop, vLLM's and the gateway's drain take place one after
// the other, as a sidecar is told to end after the other containers.
func CheckEnds(workloads []Workload) (findings []string) {
	for _, w := range workloads {
		pod := w.Template.Spec
		var need time.Duration
		for _, c := range Containers(pod) {
			if c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil {
				need += time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
			}
			if s := argument(c, "shutdown-timeout"); s != "" {
				n, err := strconv.Atoi(s)
				if err != nil {
					findings = append(findings, fmt.Sprintf("%s: --shutdown-timeout=%s is no number of seconds", w.Name, s))
				}
				need += time.Duration(n) * time.Second
			}
			if s := value(c, "OTELVLLM_DRAIN"); s != "" {
				d, err := time.ParseDuration(s)
				if err != nil {
					findings = append(findings, fmt.Sprintf("%s: OTELVLLM_DRAIN is no duration: %s", w.Name, s))
				}
				need += d + afterDrain
			}
		}
		grace := 30 * time.Second
		if pod.TerminationGracePeriodSeconds != nil {
			grace = time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
		}
		if grace <= need {
			findings = append(findings, fmt.Sprintf("pods of %s take up to %s to end and are killed after %s", w.Name, need, grace))
		}
	}
	return findings
}

// CheckVolumes finds mounts of volumes that the pod does not have, volumes that no container mounts, and folders of the host.
func CheckVolumes(workloads []Workload) (findings []string) {
	for _, w := range workloads {
		mounted := map[string]bool{}
		for _, c := range Containers(w.Template.Spec) {
			for _, m := range c.VolumeMounts {
				mounted[m.Name] = true
				if !slices.ContainsFunc(w.Template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
					findings = append(findings, fmt.Sprintf("container %s mounts the volume %s, which the pod does not have", c.Name, m.Name))
				}
			}
		}
		for _, v := range w.Template.Spec.Volumes {
			if !mounted[v.Name] {
				findings = append(findings, fmt.Sprintf("no container of %s mounts the volume %s", w.Name, v.Name))
			}
			if v.HostPath != nil {
				findings = append(findings, fmt.Sprintf("pods of %s mount %s of the host", w.Name, v.HostPath.Path))
			}
		}
	}
	return findings
}

// CheckSidecars finds sidecars before which the other containers would wait for ever: a startup probe that asks for what
// only those bring.
func CheckSidecars(workloads []Workload) (findings []string) {
	for _, w := range workloads {
		for _, c := range w.Template.Spec.InitContainers {
			switch {
			case !sidecar(c):
				findings = append(findings, fmt.Sprintf("container %s of %s must end before the others start", c.Name, w.Name))
			case c.StartupProbe == nil || c.StartupProbe.Exec == nil || !strings.HasSuffix(strings.Join(c.StartupProbe.Exec.Command, " "), "/healthz"):
				findings = append(findings, fmt.Sprintf("the startupProbe of %s must ask for /healthz: vLLM starts after it", c.Name))
			}
		}
	}
	return findings
}
