package backends

import (
	"maps"
	"os/exec"
	"path/filepath"
	"testing"
)

// Collector is a running OpenTelemetry Collector with shipped configurations.
type Collector struct {
	*Process
	// GRPC and HTTP are addresses at which it takes OTLP; a configuration without one of the two ignores it.
	GRPC, HTTP string
	// OwnMetrics is the URL of the metrics it keeps about itself, in Prometheus's text format.
	OwnMetrics string
	// Storage is the folder in which it keeps its queues.
	Storage string

	binary string
	files  []string
	env    map[string]string
	health string
	client *getter
}

// config is the path of a shipped configuration.
func config(name string) string { return filepath.Join("../../collector-config", name) }

// StartCollector starts a Collector with files of collector-config, the first of them whole, the others adding to it,
// and waits until it is healthy. env has what should differ from the files' defaults; addresses and folders of its own
// it has already.
func StartCollector(t testing.TB, env map[string]string, files ...string) *Collector {
	t.Helper()
	c := &Collector{
		binary: program(t, "otelcol"), GRPC: freeAddress(t), HTTP: freeAddress(t), Storage: t.TempDir(),
		health: freeAddress(t), files: files, client: newGetter(t),
	}
	host, port := hostPort(t, freeAddress(t))
	c.OwnMetrics = "http://" + host + ":" + port + "/metrics"
	c.env = map[string]string{
		"OTELCOL_OTLP_GRPC": c.GRPC, "OTELCOL_OTLP_HTTP": c.HTTP, "OTELCOL_HEALTH": c.health,
		"OTELCOL_METRICS_HOST": host, "OTELCOL_METRICS_PORT": port, "OTELCOL_STORAGE": c.Storage, "OTELCOL_LOG_LEVEL": "warn",
	}
	maps.Copy(c.env, env)
	c.Start(t)
	return c
}

// Start starts the Collector again after it has ended, with the addresses and the folder that it had.
func (c *Collector) Start(t testing.TB) {
	t.Helper()
	cmd := exec.Command(c.binary)
	for _, file := range c.files {
		cmd.Args = append(cmd.Args, "--config", config(file))
	}
	cmd.Env = environ(c.env)
	c.Process = StartProcess(t, cmd)
	c.client.await(t, c.Process, "http://"+c.health)
}
