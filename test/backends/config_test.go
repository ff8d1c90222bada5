package backends

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestAnOutageOfJaegerCostsNothingEvenIfTheAgentIsKilled(t *testing.T) {
	address := freeAddress(t)
	collector := StartCollector(t, map[string]string{
		"OTELCOL_TRACES_ENDPOINT": address, "OTELCOL_METRICS_ENDPOINT": StartSink(t).URL,
	}, "agent.yaml")
	chunk := plan(100, 100, 3)[0]
	agent := newSender(t, collector.GRPC)
	for host := range tierSize {
		for _, late := range []bool{false, true} {
			if err := agent.send(t.Context(), chunk, host, late); err != nil {
				t.Fatal(err)
			}
		}
	}
	collector.Kill()
	collector.Start(t)
	jaeger := startJaegerAt(t, address)
	for _, p := range chunk {
		jaeger.Await(t, p.id.String(), func(tree *Tree) error {
			n := 0
			for range tree.All() {
				n++
			}
			if n != p.spans() {
				return fmt.Errorf("got %d spans, want %d", n, p.spans())
			}
			return nil
		})
	}
}

func TestAnAgentWhoseQueueIsFullSaysSoAndLosesNothingThatItTook(t *testing.T) {
	sink, address := StartSink(t), freeAddress(t)
	env := map[string]string{"OTELCOL_TRACES_ENDPOINT": address, "OTELCOL_METRICS_ENDPOINT": sink.URL, "OTELCOL_QUEUE_BYTES": "200000"}
	collector := StartCollector(t, env, "agent.yaml")
	agent := newSender(t, collector.GRPC)
	var taken []*planned
	refused := false
	for _, chunk := range plan(5_000, 50, 4) {
		if err := agent.send(t.Context(), chunk, 1, true); err != nil {
			// The one code of OTLP that tells an SDK to try again.
			if got := status.Code(err); got != codes.Unavailable {
				t.Fatalf("got code %v (%v), want %v", got, err, codes.Unavailable)
			}
			refused = true
			break
		}
		taken = append(taken, chunk...)
	}
	if !refused || len(taken) == 0 {
		t.Fatalf("got %d traces taken, refused: %v; want some taken and then a refusal", len(taken), refused)
	}
	// The backend is there again, at another address, and the agent starts again.
	collector.env["OTELCOL_TRACES_ENDPOINT"] = sink.GRPC
	if _, err := collector.Stop(); err != nil {
		t.Fatal(err)
	}
	collector.Start(t)
	err := eventually(func() error {
		for _, p := range taken {
			if got := len(sink.Spans(p.id)); got != len(p.late[1]) {
				return fmt.Errorf("trace %v: got %d spans, want %d", p.id, got, len(p.late[1]))
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAVendorGetsAllSignalsWithItsHeaders(t *testing.T) {
	jaeger, vendor := StartJaeger(t), StartSink(t)
	collector := StartCollector(t, map[string]string{
		"OTELCOL_TRACES_ENDPOINT": jaeger.OTLPGRPC, "OTELCOL_METRICS_ENDPOINT": StartSink(t).URL,
		"OTELCOL_VENDOR_ENDPOINT": vendor.URL, "OTELCOL_VENDOR_HEADERS": `{api-key: "k 1", x-team: llm}`,
		"HOSTNAME": "gpu-7",
	}, "agent.yaml", "agent-vendor.yaml")
	j := startJourney(t, collector, jaeger)
	id := traceID(t, j.stream(t, 1)[0])
	err := eventually(func() error {
		if len(vendor.Spans(id)) == 0 || len(vendor.Logs()) == 0 || len(vendor.Metrics()) == 0 {
			return fmt.Errorf("got %d spans, %d log records and %d metrics, want some of each",
				len(vendor.Spans(id)), len(vendor.Logs()), len(vendor.Metrics()))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for key, want := range map[string]string{"api-key": "k 1", "x-team": "llm"} {
		if got := vendor.Header().Get(key); got != want {
			t.Errorf("header %s: got %q, want %q", key, got, want)
		}
	}
	j.Await(t, id.String(), HasSpans("generation")) // the pipeline of agent.yaml is there too
}

func TestAnLLMBackendGetsTheAttributesThatItReads(t *testing.T) {
	jaeger, phoenix := StartJaeger(t), StartSink(t)
	collector := StartCollector(t, map[string]string{
		"OTELCOL_TRACES_ENDPOINT": jaeger.OTLPGRPC, "OTELCOL_METRICS_ENDPOINT": StartSink(t).URL,
		"OTELCOL_LLM_ENDPOINT": phoenix.URL,
	}, "agent.yaml", "agent-llm.yaml")
	j := startJourney(t, collector, jaeger)
	model := j.model(t)

	chat := requestSpan(t, phoenix, j.stream(t, 1)[0], "chat "+model)
	for key, want := range map[string]any{
		"openinference.span.kind":    "LLM",
		"llm.model_name":             model,
		"llm.provider":               "vllm",
		"llm.system":                 "vllm",
		"llm.token_count.prompt":     chat.Attributes["gen_ai.usage.input_tokens"],
		"llm.token_count.completion": int64(5),
		"llm.token_count.total":      chat.Attributes["gen_ai.usage.input_tokens"].(int64) + 5,
		"llm.finish_reason":          "length",
		"embedding.model_name":       nil,
		"gen_ai.operation.name":      "chat",
	} {
		if got := chat.Attributes[key]; got != want {
			t.Errorf("chat: %s: got %v (%T), want %v (%T)", key, got, got, want, want)
		}
	}
	first, _ := chat.Attributes["vllm.request.time_to_first_token"].(float64)
	text, _ := chat.Attributes["langfuse.observation.completion_start_time"].(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	want := chat.Start.Add(time.Duration(first * float64(time.Second)))
	if err != nil || first == 0 || at.Sub(want).Abs() > 2*time.Microsecond {
		t.Errorf("langfuse.observation.completion_start_time: got %q (%v), want %v", text, err, want)
	}

	x := j.post(t.Context(), t, "/v1/embeddings", fmt.Sprintf(`{"model":%q,"input":"plugh"}`, model), "")
	<-x.done
	embeddings := requestSpan(t, phoenix, x.trace, "embeddings "+model)
	for key, want := range map[string]any{
		"openinference.span.kind": "EMBEDDING", "embedding.model_name": model, "llm.model_name": nil,
		"llm.token_count.completion": nil, "llm.token_count.total": nil, "langfuse.observation.completion_start_time": nil,
	} {
		if got := embeddings.Attributes[key]; got != want {
			t.Errorf("embeddings: %s: got %v, want %v", key, got, want)
		}
	}
}

// requestSpan waits for the request span of a trace. Others of the trace must not have got attributes of the mapping.
func requestSpan(t *testing.T, s *Sink, trace, name string) (found SunkSpan) {
	t.Helper()
	id := traceID(t, trace)
	err := eventually(func() error {
		for _, span := range s.Spans(id) {
			if span.Name == name {
				found = span
				return nil
			}
		}
		return fmt.Errorf("no span %q", name)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, span := range s.Spans(id) {
		if span.Name != name && span.Attributes["openinference.span.kind"] != nil {
			t.Errorf("span %s has openinference.span.kind, which belongs on the request span", span.Name)
		}
	}
	return found
}

func traceID(t *testing.T, hexadecimal string) (id pcommon.TraceID) {
	t.Helper()
	if _, err := hex.Decode(id[:], []byte(hexadecimal)); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAStallComesThroughTheSecondTierWhileTheRequestHangs(t *testing.T) {
	jaeger := StartJaeger(t)
	gateway := StartCollector(t, map[string]string{
		"OTELCOL_TRACES_ENDPOINT": jaeger.OTLPGRPC, "OTELCOL_SAMPLE_PERCENT": "0",
	}, "gateway.yaml")
	agent := StartCollector(t, map[string]string{
		"OTELCOL_GATEWAYS": fmt.Sprintf("[%q]", gateway.GRPC), "OTELCOL_METRICS_ENDPOINT": StartSink(t).URL,
	}, "agent.yaml", "agent-loadbalancing.yaml")
	j := startJourney(t, agent, jaeger)
	fine := j.stream(t, 1)[0]
	body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"plugh"}],"stream":true,"max_tokens":9}`, j.model(t))
	tree := j.hang(t, body, "hang-decode", "decode")
	if len(tree.Find("first_token")) != 1 {
		t.Errorf("the trace of the stall lacks the span that came before it:\n%s", tree.Shape())
	}
	if got, err := j.Trace(fine); err == nil {
		t.Errorf("a request without a reason was kept though the share is 0:\n%s", got.Shape())
	}
}

// Every variable that a shipped file reads is in README.md, and README.md names no other.
func TestTheREADMEListsTheVariablesOfTheFiles(t *testing.T) {
	readme, err := os.ReadFile(config("README.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(config("*.yaml"))
	if err != nil || len(files) < 7 {
		t.Fatalf("got files %v and error %v, want all of collector-config", files, err)
	}
	variable := regexp.MustCompile(`\b(OTELCOL|JAEGER)_[A-Z_]+[A-Z]\b`)
	var used []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), filepath.Base(file)) {
			t.Errorf("README.md does not name %s", filepath.Base(file))
		}
		for _, match := range regexp.MustCompile(`\$\{env:([A-Z_]+)(?::-([^}]*))?\}`).FindAllStringSubmatch(string(text), -1) {
			used = append(used, match[1])
			if strings.HasPrefix(match[1], "OTELCOL_") && !strings.Contains(string(readme), "`"+match[1]+"`") {
				t.Errorf("README.md does not list %s of %s", match[1], filepath.Base(file))
			}
		}
	}
	for _, name := range variable.FindAllString(string(readme), -1) {
		if !slices.Contains(used, name) {
			t.Errorf("README.md names %s, which no file reads", name)
		}
	}
}

// The resolvers that the file offers in a comment need a cluster to run; the Collector knows their keys without.
func TestTheOtherResolversHaveKeysThatTheCollectorKnows(t *testing.T) {
	text, err := os.ReadFile(config("agent-loadbalancing.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	resolvers := regexp.MustCompile(`(?m)^#   ((?:dns|k8s): \{.*\})$`).FindAllStringSubmatch(string(text), -1)
	if len(resolvers) != 2 {
		t.Fatalf("got %d resolvers in the comment, want 2", len(resolvers))
	}
	for _, r := range resolvers {
		if out, err := validate(t, r[1]); err != nil {
			t.Errorf("%s: %v\n%s", r[1], err, out)
		}
	}
	if _, err := validate(t, `dns: {hostnam: example.com}`); err == nil {
		t.Error("a key that does not exist: got no error, so this test tells nothing")
	}
}

// validate has the Collector check the agent's configuration with another resolver.
func validate(t *testing.T, resolver string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "resolver.yaml")
	text := "exporters:\n  load_balancing/other:\n    resolver:\n      " + resolver +
		"\nservice:\n  pipelines:\n    traces:\n      exporters: [load_balancing/other]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program(t, "otelcol"), "validate", "--config", config("agent.yaml"), "--config", file).CombinedOutput()
	return string(out), err
}
