package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

// endpointRow is one way of asking a real vLLM, and what must be known of the answer.
type endpointRow struct {
	name, path, body string // %s is the model
	operation        string
	stream           bool
	input, output    bool // the count is known
}

// endpointRows are the endpoints of a vLLM that generates, and of one that embeds or classifies. An engine serves those
// of its model.
var endpointRows = []endpointRow{
	{"chat", "/v1/chat/completions", `{"model":%q,"messages":[{"role":"user","content":"Where does it wait?"}],"max_tokens":7,"ignore_eos":true}`, "chat", false, true, true},
	{"chat stream", "/v1/chat/completions", `{"model":%q,"messages":[{"role":"user","content":"And why?"}],"max_tokens":9,"ignore_eos":true,"stream":true}`, "chat", true, true, true},
	{"chat stream with usage", "/v1/chat/completions", `{"model":%q,"messages":[{"role":"user","content":"Since when?"}],"max_tokens":5,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true}}`, "chat", true, true, true},
	{"chat stream with usage on every event", "/v1/chat/completions", `{"model":%q,"messages":[{"role":"user","content":"Since when?"}],"max_tokens":5,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}`, "chat", true, true, true},
	{"completion", "/v1/completions", `{"model":%q,"prompt":"The queue","max_tokens":6,"ignore_eos":true}`, "text_completion", false, true, true},
	{"completion of two prompts", "/v1/completions", `{"model":%q,"prompt":["The queue","is long"],"max_tokens":3,"ignore_eos":true}`, "text_completion", false, true, true},
	{"completion stream", "/v1/completions", `{"model":%q,"prompt":"The queue is","max_tokens":11,"ignore_eos":true,"stream":true}`, "text_completion", true, true, true},
	{"responses", "/v1/responses", `{"model":%q,"input":"Where does it wait?","max_output_tokens":6}`, "chat", false, true, true},
	{"responses stream", "/v1/responses", `{"model":%q,"input":"Where does it wait?","max_output_tokens":8,"stream":true}`, "chat", true, true, true},
	{"messages", "/v1/messages", `{"model":%q,"messages":[{"role":"user","content":"Where?"}],"max_tokens":6}`, "chat", false, true, true},
	{"messages stream", "/v1/messages", `{"model":%q,"messages":[{"role":"user","content":"Where?"}],"max_tokens":6,"stream":true}`, "chat", true, true, true},
	{"generate", "/inference/v1/generate", `{"model":%q,"token_ids":[7,8,9],"sampling_params":{"max_tokens":4,"ignore_eos":true}}`, "text_completion", false, true, true},
	{"generate stream", "/inference/v1/generate", `{"model":%q,"token_ids":[7,8,9,10],"sampling_params":{"max_tokens":5,"ignore_eos":true},"stream":true}`, "text_completion", true, true, true},
	{"batch chat", "/v1/chat/completions/batch", `{"model":%q,"messages":[[{"role":"user","content":"a"}],[{"role":"user","content":"b"}]],"max_tokens":3}`, "chat", false, true, true},
	{"invocation", "/invocations", `{"model":%q,"prompt":"The queue","max_tokens":4,"ignore_eos":true}`, "text_completion", false, true, true},
	{"cohere chat", "/cohere/v2/chat", `{"model":%q,"messages":[{"role":"user","content":"Where?"}],"max_tokens":4}`, "chat", false, true, true},
	{"cohere chat stream", "/cohere/v2/chat", `{"model":%q,"messages":[{"role":"user","content":"Where?"}],"max_tokens":4,"stream":true}`, "chat", true, true, true},
	{"embeddings", "/v1/embeddings", `{"model":%q,"input":["hello","a longer text"]}`, "embeddings", false, true, false},
	{"cohere embeddings", "/v2/embed", `{"model":%q,"texts":["hello"],"embedding_types":["float"]}`, "embeddings", false, true, false},
	{"pooling", "/pooling", `{"model":%q,"input":"hello"}`, "pooling", false, true, false},
	{"classify", "/classify", `{"model":%q,"input":"hello"}`, "classify", false, true, false},
	{"score", "/v1/score", `{"model":%q,"text_1":"hello","text_2":"there"}`, "score", false, true, false},
	{"rerank", "/v1/rerank", `{"model":%q,"query":"hello","documents":["there","here"]}`, "rerank", false, true, false},
}

// endpointsUncounted are asked as well, but tell less than the engine counts, or are not computed by it.
var endpointsUncounted = []endpointRow{
	{"count tokens", "/v1/messages/count_tokens", `{"model":%q,"messages":[{"role":"user","content":"Where?"}]}`, "count_tokens", false, true, false},
	{"tokenize", "/tokenize", `{"model":%q,"prompt":"hello"}`, "tokenize", false, false, false},
	{"detokenize", "/detokenize", `{"model":%q,"tokens":[7,8]}`, "detokenize", false, false, false},
}

// endpointGateway is a gateway in front of an engine.
type endpointGateway struct {
	engine, front, model string
	reader               *sdkmetric.ManualReader
	calls                chan otelvllm.Call
}

func newEndpointGateway(t *testing.T, base string) *endpointGateway {
	t.Helper()
	engine, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	g := &endpointGateway{engine: base, reader: sdkmetric.NewManualReader(), calls: make(chan otelvllm.Call, 1024)}
	g.model = regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(g.get(t, "/v1/models"))[1]
	opts := []otelvllm.Option{
		otelvllm.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(g.reader))),
		otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) { g.calls <- c }),
	}
	front := httptest.NewServer(otelvllm.Middleware(opts...)(otelvllm.NewReverseProxy(engine, opts...)))
	t.Cleanup(front.Close)
	g.front = front.URL
	return g
}

func (g *endpointGateway) get(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get(g.engine + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ask sends one request and returns its status and answer.
func (g *endpointGateway) ask(base string, e endpointRow) (int, string, error) {
	resp, err := http.Post(base+e.path, "application/json", strings.NewReader(fmt.Sprintf(e.body, g.model)))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer), err
}

// counters returns the engine's own token counters, of all ranks.
func (g *endpointGateway) counters(t *testing.T) (prompt, generation int64) {
	t.Helper()
	text := g.get(t, "/metrics")
	sum := func(name string) (n int64) {
		for _, m := range regexp.MustCompile(`(?m)^`+name+`\{[^}]*\} (\S+)$`).FindAllStringSubmatch(text, -1) {
			f, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			n += int64(f)
		}
		return n
	}
	return sum("vllm:prompt_tokens_total"), sum("vllm:generation_tokens_total")
}

// ours returns the sums of gen_ai.client.token.usage.
func (g *endpointGateway) ours(t *testing.T) (input, output int64) {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := g.reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			data, ok := m.Data.(metricdata.Histogram[int64])
			if !ok || m.Name != "gen_ai.client.token.usage" {
				continue
			}
			for _, p := range data.DataPoints {
				if kind, _ := p.Attributes.Value(attribute.Key("gen_ai.token.type")); kind.AsString() == "input" {
					input += p.Sum
				} else {
					output += p.Sum
				}
			}
		}
	}
	return input, output
}

// unserved reports whether the running model has no such endpoint, or /invocations none for such a body.
func unserved(status int, answer string) bool {
	return status == http.StatusNotFound || status == http.StatusNotImplemented ||
		status == http.StatusBadRequest && strings.Contains(answer, "Cannot find suitable handler")
}

// served returns the endpoints that the running model has.
func (g *endpointGateway) served(t *testing.T, all []endpointRow) (have []endpointRow) {
	t.Helper()
	for _, e := range all {
		status, answer, err := g.ask(g.engine, e)
		switch {
		case err != nil:
			t.Fatal(err)
		case status == http.StatusOK:
			have = append(have, e)
		case !unserved(status, answer):
			t.Errorf("%s: the engine answers %d: %s", e.name, status, answer)
		}
	}
	return have
}

// checkEndpoints asks every endpoint that the engine serves, and looks at what is recorded.
func checkEndpoints(t *testing.T, g *endpointGateway) {
	t.Helper()
	for _, e := range append(endpointRows[:len(endpointRows):len(endpointRows)], endpointsUncounted...) {
		t.Run(e.name, func(t *testing.T) {
			status, answer, err := g.ask(g.front, e)
			if err != nil {
				t.Fatal(err)
			}
			call := <-g.calls
			if unserved(status, answer) {
				t.Skipf("the running model does not serve %s", e.path)
			}
			if status != http.StatusOK || call.Outcome != otelvllm.Completed || call.Operation != e.operation || call.Stream != e.stream {
				t.Fatalf("got status %d, %+v: %s", status, call, answer)
			}
			if call.Usage.Input.Known != e.input || call.Usage.Output.Known != e.output || e.stream && call.Chunks == 0 && call.Usage.Output.N > 4 {
				t.Errorf("got usage %+v in %d chunks", call.Usage, call.Chunks)
			}
		})
	}
}

// checkCounts sends a mix of requests and compares the sums of our metric with the differences
// of the engine's counters.
func checkCounts(t *testing.T, g *endpointGateway, requests int) {
	t.Helper()
	mix := g.served(t, endpointRows)
	if len(mix) == 0 {
		t.Fatal("the engine serves none of the endpoints")
	}
	promptBefore, generationBefore := g.counters(t)
	work := make(chan endpointRow)
	var workers sync.WaitGroup
	for range 6 {
		workers.Go(func() {
			for e := range work {
				if status, answer, err := g.ask(g.front, e); status != http.StatusOK || err != nil {
					t.Errorf("%s: got %d, %v: %s", e.name, status, err, answer)
				}
			}
		})
	}
	for i := range requests {
		work <- mix[i%len(mix)]
	}
	close(work)
	workers.Wait()
	for range requests {
		select {
		case <-g.calls:
		case <-time.After(20 * time.Second):
			t.Fatal("not every call has ended")
		}
	}
	input, output := g.ours(t)
	var prompt, generation int64
	for range 50 {
		if prompt, generation = g.counters(t); prompt-promptBefore >= input && generation-generationBefore >= output {
			break
		}
		<-time.After(100 * time.Millisecond)
	}
	prompt, generation = prompt-promptBefore, generation-generationBefore
	t.Logf("%d requests to %d endpoints: %d tokens in and %d out by our metric, %d and %d by the engine's counters", requests, len(mix), input, output, prompt, generation)
	if input != prompt || output != generation {
		t.Errorf("got %d in and %d out, want %d and %d", input, output, prompt, generation)
	}
}

// TestEveryEndpointOfTheSimulatedEngineIsReadAsTheTableSays is the same for an engine that serves all of them.
func TestEveryEndpointOfTheSimulatedEngineIsReadAsTheTableSays(t *testing.T) {
	_, base := simtest.Start(t, sim.Config{Model: "tiny", PromptTokensDetails: true, Timing: sim.Timing{Step: time.Millisecond}})
	g := newEndpointGateway(t, base)
	if have := g.served(t, endpointRows); len(have) != len(endpointRows) {
		t.Errorf("the simulated engine serves %d of %d endpoints", len(have), len(endpointRows))
	}
	checkEndpoints(t, g)
}

func TestTokenCountsAreTheSimulatedEnginesOwn(t *testing.T) {
	_, base := simtest.Start(t, sim.Config{Model: "tiny", PromptTokensDetails: true, Timing: sim.Timing{Step: time.Millisecond}})
	checkCounts(t, newEndpointGateway(t, base), 230)
}
