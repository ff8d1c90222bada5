package backends

import (
	"os/exec"
	"testing"
)

// Jaeger is a running Jaeger with the shipped configuration.
type Jaeger struct {
	*Process
	// OTLPGRPC and OTLPHTTP are addresses at which it takes OTLP. URL is the base URL of its query API.
	OTLPGRPC, OTLPHTTP, URL string

	client *getter
}

// StartJaeger starts Jaeger with collector-config/jaeger.yaml and waits until it answers.
func StartJaeger(t testing.TB) *Jaeger {
	t.Helper()
	return startJaegerAt(t, freeAddress(t))
}

// startJaegerAt is StartJaeger with a given address for OTLP over gRPC.
func startJaegerAt(t testing.TB, otlp string) *Jaeger {
	t.Helper()
	binary := program(t, "jaeger")
	query, health := freeAddress(t), freeAddress(t)
	j := &Jaeger{OTLPGRPC: otlp, OTLPHTTP: freeAddress(t), URL: "http://" + query, client: newGetter(t)}
	cmd := exec.Command(binary, "--config", config("jaeger.yaml"))
	cmd.Env = environ(map[string]string{
		"JAEGER_QUERY_HTTP": query, "JAEGER_QUERY_GRPC": freeAddress(t), "JAEGER_HEALTH": health,
		"JAEGER_OTLP_GRPC": otlp, "JAEGER_OTLP_HTTP": j.OTLPHTTP, "JAEGER_LOG_LEVEL": "warn",
	})
	j.Process = StartProcess(t, cmd)
	j.client.await(t, j.Process, j.URL+"/api/services")
	j.client.await(t, j.Process, "http://"+health+"/status")
	return j
}
