package backends

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// journey is a gateway between a caller and a simulated engine, with real backends behind both.
type journey struct {
	*Jaeger
	url, admin, engine string
	gateway            *Process
	client             *http.Client
}

// programs builds the gateway and the simulated engine once, as an operator would, and returns their folder.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs("../../.build/backends")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./examples/gateway", "./test/fakevllm")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, nil
})

// startJourney starts both programs with their telemetry going to a Collector whose traces come to jaeger.
func startJourney(t *testing.T, collector *Collector, jaeger *Jaeger) *journey {
	t.Helper()
	return startJourneyAt(t, collector, jaeger, freeAddress(t))
}

// startJourneyAt is startJourney with a given address for the engine.
func startJourneyAt(t *testing.T, collector *Collector, jaeger *Jaeger, engine string) *journey {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	listen, admin := freeAddress(t), freeAddress(t)
	j := &journey{
		Jaeger: jaeger, client: &http.Client{},
		url: "http://" + listen, admin: "http://" + admin, engine: "http://" + engine,
	}
	t.Cleanup(j.client.CloseIdleConnections)
	fake := exec.Command(filepath.Join(dir, "fakevllm"), "-listen", engine, "-enable-per-request-metrics", "-allow-request-faults")
	fake.Env = telemetryTo(collector, "vllm")
	StartProcess(t, fake)

	gateway := exec.Command(filepath.Join(dir, "gateway"), "-listen", listen, "-admin", admin, "-engine", j.engine,
		"-gpu", "off", "-stall-after", "1s", "-scrape-interval", "200ms")
	gateway.Env = telemetryTo(collector, "gateway")
	j.gateway = StartProcess(t, gateway)
	if err := eventually(func() error { _, err := j.get(j.admin + "/readyz"); return err }); err != nil {
		t.Fatalf("wait for the gateway: %v\n%s", err, j.gateway.Output())
	}
	return j
}

// startWithAgent starts everything: the programs, the agent's Collector and Jaeger.
func startWithAgent(t *testing.T) (*journey, *Backends) {
	t.Helper()
	b := Start(t)
	return startJourney(t, b.Collector, b.Jaeger), b
}

// telemetryTo has what points a program's telemetry at the Collector, and nothing that the test was started with that
// would point it elsewhere.
func telemetryTo(c *Collector, service string) []string {
	return environ(map[string]string{
		"OTEL_SERVICE_NAME":           service,
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + c.HTTP, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
		"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_BLRP_SCHEDULE_DELAY": "50", "OTEL_METRIC_EXPORT_INTERVAL": "300",
	})
}

func (j *journey) get(url string) (string, error) {
	resp, err := j.client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, resp.Status, body)
	}
	return string(body), err
}

// exchange is a request on its way.
type exchange struct {
	trace string        // the trace's ID
	done  chan struct{} // closed when the answer has ended
	// What came of it; read after done.
	status int
	answer string
	err    error
}

// post sends a request as the child of a span of the caller's, and does not wait for its answer.
func (j *journey) post(ctx context.Context, t *testing.T, path, body, fault string) *exchange {
	t.Helper()
	var id [24]byte
	_, _ = rand.Read(id[:])
	x := &exchange{trace: hex.EncodeToString(id[:16]), done: make(chan struct{})}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, j.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Traceparent", "00-"+x.trace+"-"+hex.EncodeToString(id[16:])+"-01")
	if fault != "" {
		req.Header.Set("X-Fake-Fault", fault)
	}
	go func() {
		defer close(x.done)
		var resp *http.Response
		if resp, x.err = j.client.Do(req); x.err != nil {
			return
		}
		defer resp.Body.Close()
		var answer []byte
		answer, x.err = io.ReadAll(resp.Body)
		x.status, x.answer = resp.StatusCode, string(answer)
	}()
	return x
}

// shape is what Tree.Shape returns for a request that completed. The engine's own times are known on every answer but
// that of embeddings.
func shape(path, request string, timed bool) string {
	lines := []string{
		"gateway server POST " + path,
		"  gateway internal " + request,
		"    gateway client generation",
		"      gateway client POST",
		"        vllm server llm_request",
	}
	if timed {
		lines = append(lines,
			"      gateway internal decode",
			"      gateway internal first_token",
			"        gateway internal prefill",
			"        gateway internal queue")
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestGatewayTracesReachJaegerWithTheEnginesOwnSpan(t *testing.T) {
	j, b := startWithAgent(t)
	model := j.model(t)
	for name, c := range map[string]struct {
		path, operation, body string
		stream                bool
	}{
		"chat, streamed":           {"/v1/chat/completions", "chat", `"messages":[{"role":"user","content":"plugh"}],"max_tokens":5`, true},
		"chat, not streamed":       {"/v1/chat/completions", "chat", `"messages":[{"role":"user","content":"plugh"}],"max_tokens":5`, false},
		"completion, streamed":     {"/v1/completions", "text_completion", `"prompt":"plugh","max_tokens":5`, true},
		"completion, not streamed": {"/v1/completions", "text_completion", `"prompt":"plugh","max_tokens":5`, false},
		"embeddings":               {"/v1/embeddings", "embeddings", `"input":"plugh"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			body := fmt.Sprintf(`{"model":%q,%s,"stream":%v}`, model, c.body, c.stream)
			if c.operation == "embeddings" {
				body = fmt.Sprintf(`{"model":%q,%s}`, model, c.body)
			}
			x := j.post(t.Context(), t, c.path, body, "")
			<-x.done
			if x.err != nil || x.status != http.StatusOK {
				t.Fatalf("got status %d, error %v and body %s", x.status, x.err, x.answer)
			}
			tree := j.Await(t, x.trace, HasSpans("POST "+c.path, "llm_request"))
			if got, want := tree.Shape(), shape(c.path, c.operation+" "+model, c.operation != "embeddings"); got != want {
				t.Errorf("shape: got\n%s\nwant\n%s\n%s", got, want, RenderTree(tree))
			}
			checkRequestSpan(t, tree, c.operation, model)
		})
	}
	t.Run("an error event", func(t *testing.T) { j.checkFailed(t, model) })
	t.Run("metrics", func(t *testing.T) { checkMetrics(t, b.Sink) })
}

// checkFailed breaks a stream with an error event, as vLLM does when its engine dies, and checks that the trace says so.
func (j *journey) checkFailed(t *testing.T, model string) {
	body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"plugh"}],"stream":true,"max_tokens":9}`, model)
	x := j.post(t.Context(), t, "/v1/chat/completions", body, "error-event")
	<-x.done
	if x.err != nil || x.status != http.StatusOK {
		t.Fatalf("got status %d, error %v and body %s, want a stream that tells its error", x.status, x.err, x.answer)
	}
	tree := j.Await(t, x.trace, HasSpans("POST /v1/chat/completions"))
	for _, name := range []string{"chat " + model, "generation"} {
		if spans := tree.Find(name); len(spans) != 1 || !spans[0].Failed {
			t.Errorf("span %s: want one, failed; got\n%s", name, tree.Shape())
		}
	}
	for _, span := range tree.Find("chat " + model) {
		if got := span.Attributes["vllm.request.outcome"]; got != "failed" {
			t.Errorf("vllm.request.outcome: got %v, want failed", got)
		}
	}
}

// checkRequestSpan checks that the request span says what the engine's own span says, that it alone does, and that no
// span has the prompt.
func checkRequestSpan(t *testing.T, tree *Tree, operation, model string) {
	t.Helper()
	spans, engines := tree.Find(operation+" "+model), tree.Find("llm_request")
	if len(spans) != 1 || len(engines) != 1 {
		t.Fatalf("got %d request spans and %d of the engine's, want one of each", len(spans), len(engines))
	}
	span, engine := spans[0], engines[0]
	for key, want := range map[string]any{
		"gen_ai.provider.name":      "vllm",
		"gen_ai.operation.name":     operation,
		"gen_ai.request.model":      model,
		"vllm.request.outcome":      "completed",
		"gen_ai.usage.input_tokens": engine.Attributes["gen_ai.usage.prompt_tokens"],
	} {
		if got := span.Attributes[key]; got != want {
			t.Errorf("%s: got %v (%T), want %v (%T)", key, got, got, want, want)
		}
	}
	if operation != "embeddings" {
		got, want := span.Attributes["gen_ai.usage.output_tokens"], engine.Attributes["gen_ai.usage.completion_tokens"]
		if got != want || got == nil {
			t.Errorf("gen_ai.usage.output_tokens: got %v, the engine's span says %v", got, want)
		}
	}
	if strings.Contains(RenderTree(tree), "plugh") {
		t.Errorf("the trace has the prompt in it:\n%s", RenderTree(tree))
	}
	for _, s := range tree.All() {
		if s.Service != "gateway" || s == span {
			continue
		}
		for key := range s.Attributes {
			if strings.HasPrefix(key, "gen_ai.") {
				t.Errorf("span %s has %s, which belongs on the request span alone", s.Name, key)
			}
		}
	}
}

// checkMetrics waits for the metrics that an operator looks at first.
func checkMetrics(t *testing.T, s *Sink) {
	err := eventually(func() error {
		got := s.Metrics()
		for name, unit := range map[string]string{
			"gen_ai.server.request.duration":    "s",
			"gen_ai.server.time_to_first_token": "s",
			"gen_ai.client.token.usage":         "{token}",
			"vllm.scheduler.requests":           "{request}",
			"vllm.kv_cache.utilization":         "1",
		} {
			if got[name].Points == 0 || got[name].Unit != unit {
				return fmt.Errorf("metric %s: got %+v, want points in %s", name, got[name], unit)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// model returns the name of the model that the engine serves.
func (j *journey) model(t *testing.T) string {
	t.Helper()
	body, err := j.get(j.url + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	var models struct{ Data []struct{ ID string } }
	if err := json.Unmarshal([]byte(body), &models); err != nil || len(models.Data) == 0 {
		t.Fatalf("GET /v1/models: got %v and %s", err, body)
	}
	return models.Data[0].ID
}

func TestAStallIsInJaegerWhileTheRequestHangs(t *testing.T) {
	j, _ := startWithAgent(t)
	model := j.model(t)
	for name, c := range map[string]struct{ fault, phase string }{
		"in the middle of a stream":          {"hang-decode", "decode"},
		"before the first token of a stream": {"hang-prefill", "queue_or_prefill"},
		"before the headers of a stream":     {"hang-headers", "queue_or_prefill"},
	} {
		t.Run(name, func(t *testing.T) {
			body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"plugh"}],"stream":true,"max_tokens":9}`, model)
			j.hang(t, body, c.fault, c.phase)
		})
	}
	j.stopCleanly(t)
}

// hang sends a request that stalls, checks what Jaeger shows meanwhile, hangs up, and checks the whole trace, which
// it returns.
func (j *journey) hang(t *testing.T, body, fault, phase string) *Tree {
	t.Helper()
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	x := j.post(ctx, t, "/v1/chat/completions", body, fault)
	tree := j.Await(t, x.trace, func(tree *Tree) error {
		select {
		case <-x.done:
			t.Fatalf("the request ended before its stall was in Jaeger: status %d, error %v, body %s", x.status, x.err, x.answer)
		default:
		}
		return HasSpans("stall")(tree)
	})
	if len(tree.Find("generation"))+len(tree.Find("POST /v1/chat/completions")) > 0 {
		t.Errorf("the request is said to have ended:\n%s", RenderTree(tree))
	}
	stall := tree.Find("stall")[0]
	if got := stall.Attributes["vllm.stall.phase"]; got != phase {
		t.Errorf("vllm.stall.phase: got %v, want %s", got, phase)
	}
	for _, key := range []string{"vllm.stall.cause", "vllm.stall.summary", "vllm.stall.remedy", "vllm.stall.evidence"} {
		if text, _ := stall.Attributes[key].(string); text == "" {
			t.Errorf("%s: got %v, want a text", key, stall.Attributes[key])
		}
	}
	if silence, _ := stall.Attributes["vllm.stall.silence"].(float64); silence < 1 {
		t.Errorf("vllm.stall.silence: got %v, want 1 s or more", stall.Attributes["vllm.stall.silence"])
	}

	t.Logf("while it hangs, Jaeger shows\n%s", RenderTree(tree))
	hangUp()
	<-x.done
	tree = j.Await(t, x.trace, HasSpans("POST /v1/chat/completions"))
	if got := strings.Join(tree.Path(stall.ID), " / "); !strings.HasSuffix(got, " / generation / stall") {
		t.Errorf("path of the stall span: got %s, want it below generation\n%s", got, RenderTree(tree))
	}
	for _, server := range tree.Find("POST /v1/chat/completions") {
		for _, s := range server.Children {
			if s.Attributes["vllm.request.outcome"] != "caller_left" {
				t.Errorf("vllm.request.outcome: got %v, want caller_left\n%s", s.Attributes["vllm.request.outcome"], RenderTree(tree))
			}
		}
	}
	t.Logf("afterwards, Jaeger shows\n%s", RenderTree(tree))
	return tree
}

// stopCleanly ends the gateway as a supervisor does and checks that no telemetry was lost.
func (j *journey) stopCleanly(t *testing.T) {
	t.Helper()
	started := time.Now()
	status, err := j.gateway.Stop()
	if err != nil || status != 0 {
		t.Errorf("SIGTERM: got exit status %d and error %v, want 0", status, err)
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("SIGTERM with no request running: the gateway took %v to end", took)
	}
	if out := j.gateway.Output(); strings.Contains(out, "telemetry lost") {
		t.Errorf("the gateway lost telemetry:\n%s", out)
	}
}
