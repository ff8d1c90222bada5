package deploy

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var document = regexp.MustCompile(`(?m)^---$`)

// Manifests decodes the documents of a file as the API server does with fieldValidation=Strict: a field it does not know,
// or one that is there twice, is an error.
func Manifests(text []byte) (objects []runtime.Object, err error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, autoscalingv2.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	for i, part := range document.Split(string(text), -1) {
		if len(bytes.TrimSpace([]byte(part))) == 0 {
			continue
		}
		object, kind, err := decoder.Decode([]byte(part), nil, nil)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		if errs := named(object); errs != "" {
			return nil, fmt.Errorf("document %d: %s: %s", i+1, kind.Kind, errs)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func named(object runtime.Object) string {
	if o, ok := object.(metav1.Object); !ok || o.GetName() == "" {
		return "it has no name"
	}
	return ""
}

// Workload is what Deployments and DaemonSets have in common.
type Workload struct {
	Kind     string
	Name     string
	Selector *metav1.LabelSelector
	Template corev1.PodTemplateSpec
}

// Workloads returns the Deployments and DaemonSets among objects.
func Workloads(objects []runtime.Object) (list []Workload) {
	for _, o := range objects {
		switch o := o.(type) {
		case *appsv1.Deployment:
			list = append(list, Workload{"Deployment", o.Name, o.Spec.Selector, o.Spec.Template})
		case *appsv1.DaemonSet:
			list = append(list, Workload{"DaemonSet", o.Name, o.Spec.Selector, o.Spec.Template})
		}
	}
	return list
}

// Containers returns the containers of a pod, its sidecars first.
func Containers(pod corev1.PodSpec) []corev1.Container {
	return slices.Concat(pod.InitContainers, pod.Containers)
}

// sidecar tells whether a container runs as long as the pod.
func sidecar(c corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// CheckSelectors finds selectors that match no pod of the file, or that miss their own.
func CheckSelectors(objects []runtime.Object) (findings []string) {
	workloads := Workloads(objects)
	matches := func(kind, name string, selector *metav1.LabelSelector) {
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil || s.Empty() || !slices.ContainsFunc(workloads, func(w Workload) bool { return s.Matches(labels.Set(w.Template.Labels)) }) {
			findings = append(findings, fmt.Sprintf("the selector of %s %s matches no pod", kind, name))
		}
	}
	for _, w := range workloads {
		s, err := metav1.LabelSelectorAsSelector(w.Selector)
		if err != nil || s.Empty() || !s.Matches(labels.Set(w.Template.Labels)) {
			findings = append(findings, fmt.Sprintf("the selector of %s %s does not match its own pods", w.Kind, w.Name))
		}
	}
	for _, o := range objects {
		switch o := o.(type) {
		case *corev1.Service:
			matches("Service", o.Name, &metav1.LabelSelector{MatchLabels: o.Spec.Selector})
		case *policyv1.PodDisruptionBudget:
			matches("PodDisruptionBudget", o.Name, o.Spec.Selector)
		case *networkingv1.NetworkPolicy:
			matches("NetworkPolicy", o.Name, &o.Spec.PodSelector)
		}
	}
	return findings
}

// CheckPodPorts finds ports, of Services, NetworkPolicies and probes, that no container has. Names only where a container
// gives one, numbers only where it has that number.
func CheckPodPorts(objects []runtime.Object) (findings []string) {
	workloads := Workloads(objects)
	check := func(what string, selector map[string]string, port intstr.IntOrString) {
		for _, w := range workloads {
			if labels.SelectorFromSet(selector).Matches(labels.Set(w.Template.Labels)) && !hasPort(Containers(w.Template.Spec), port) {
				findings = append(findings, fmt.Sprintf("%s: no container of %s has the port %s", what, w.Name, port.String()))
			}
		}
	}
	for _, o := range objects {
		switch o := o.(type) {
		case *corev1.Service:
			for _, p := range o.Spec.Ports {
				check("Service "+o.Name, o.Spec.Selector, p.TargetPort)
			}
		case *networkingv1.NetworkPolicy:
			for _, rule := range o.Spec.Ingress {
				for _, p := range rule.Ports {
					check("NetworkPolicy "+o.Name, o.Spec.PodSelector.MatchLabels, *p.Port)
				}
			}
		}
	}
	for _, w := range workloads {
		for _, c := range Containers(w.Template.Spec) {
			for name, p := range probes(c) {
				if p.HTTPGet != nil && !hasPort([]corev1.Container{c}, p.HTTPGet.Port) {
					findings = append(findings, fmt.Sprintf("%s of %s: its container has no port %s", name, w.Name, p.HTTPGet.Port.String()))
				}
			}
		}
	}
	return findings
}

func hasPort(containers []corev1.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
			return port.Type == intstr.String && p.Name == port.StrVal || port.Type == intstr.Int && p.ContainerPort == port.IntVal
		})
	})
}

func probes(c corev1.Container) map[string]*corev1.Probe {
	all := map[string]*corev1.Probe{"startupProbe": c.StartupProbe, "livenessProbe": c.LivenessProbe, "readinessProbe": c.ReadinessProbe}
	for name, p := range all {
		if p == nil {
			delete(all, name)
		}
	}
	return all
}

// value returns what a container's variable is set to.
func value(c corev1.Container, name string) string {
	for _, e := range c.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// argument returns the value of --name=value among a container's arguments.
func argument(c corev1.Container, name string) string {
	for _, a := range c.Args {
		if v, ok := strings.CutPrefix(a, "--"+name+"="); ok {
			return v
		}
	}
	return ""
}
