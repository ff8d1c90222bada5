package test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/propagation"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/otelvllm/engine"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// TestTokensAgreeWithTheEnginesCounters sends mixed requests through the gateway and compares the sum of the token
// counts that were recorded with what the engine itself counted.
func TestTokensAgreeWithTheEnginesCounters(t *testing.T) {
	requests := 2000
	if testing.Short() {
		requests = 200
	}
	server := httptest.NewServer(sim.New(sim.Config{
		Model: "tiny", PerRequestMetrics: true, PromptTokensDetails: true, MaxNumSeqs: 32,
		Timing: sim.Timing{Step: -1, PerSeq: -1, PerPromptToken: -1, Frontend: -1},
	}))
	defer server.Close()
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu            sync.Mutex
		input, output int64
		ended         = map[string]int{}
	)
	opts := []otelvllm.Option{otelvllm.WithPropagators(propagation.TraceContext{}), otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) {
		mu.Lock()
		defer mu.Unlock()
		ended[string(c.Outcome)]++
		if !c.Usage.Input.Known || !c.Usage.Output.Known && c.Operation != "embeddings" && c.Operation != "pooling" && c.Operation != "score" && c.Operation != "rerank" {
			t.Errorf("%s, stream %v: usage is not known: %+v", c.Route, c.Stream, c.Usage)
		}
		input += c.Usage.Input.N
		output += c.Usage.Output.N
	})}
	gateway := httptest.NewServer(otelvllm.Middleware(opts...)(otelvllm.NewReverseProxy(target, opts...)))
	defer gateway.Close()

	work := make(chan [2]string)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for w := range work {
				resp, err := http.Post(gateway.URL+w[0], "application/json", strings.NewReader(w[1]))
				if err != nil {
					t.Error(err)
					continue
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("%s: got %d, %v: %.200s", w[0], resp.StatusCode, err, body)
				}
			}
		})
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range requests {
		work <- mixedRequest(rng)
	}
	close(work)
	wg.Wait()
	gateway.Close() // waits for the handlers, so that every call has ended

	snapshot, err := (&engine.Client{URL: server.URL}).Scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	prompt := snapshot.Sum(func(r *engine.Rank) engine.Value { return r.PromptTokens })
	generation := snapshot.Sum(func(r *engine.Rank) engine.Value { return r.GenerationTokens })
	if float64(input) != prompt.V || float64(output) != generation.V {
		t.Errorf("got %d input and %d output tokens, the engine counted %v and %v", input, output, prompt, generation)
	}
	if ended["completed"] != requests {
		t.Errorf("got outcomes %v, want %d completed", ended, requests)
	}
	t.Logf("%d requests: %d input and %d output tokens, as the engine counted", requests, input, output)
}

// mixedRequest returns the path and the body of a request, streamed or not, with or without a question for usage. It
// asks for one choice: of several, vLLM counts the prompt once for each, and tells it once.
func mixedRequest(rng *rand.Rand) [2]string {
	more := fmt.Sprintf(`"model":"tiny","max_tokens":%d`, 1+rng.IntN(12))
	if rng.IntN(2) == 0 {
		more += `,"stream":true`
	}
	streamed := strings.HasSuffix(more, "true")
	text := strings.Repeat("word ", 1+rng.IntN(20))
	chat := fmt.Sprintf(`"messages":[{"role":"user","content":%q}]`, text)
	switch rng.IntN(7) {
	case 0, 1:
		if streamed && rng.IntN(2) == 0 {
			more += fmt.Sprintf(`,"stream_options":{"include_usage":true,"continuous_usage_stats":%v}`, rng.IntN(2) == 0)
		}
		return [2]string{"/v1/chat/completions", "{" + more + "," + chat + "}"}
	case 2, 3:
		return [2]string{"/v1/completions", "{" + more + fmt.Sprintf(`,"prompt":[%q,"another"]}`, text)}
	case 4:
		return [2]string{"/v1/messages", "{" + more + "," + chat + "}"}
	case 5:
		return [2]string{"/v1/responses", "{" + strings.Replace(more, "max_tokens", "max_output_tokens", 1) + fmt.Sprintf(`,"input":%q}`, text)}
	}
	return [2]string{"/v1/embeddings", fmt.Sprintf(`{"model":"tiny","input":[%q]}`, text)}
}
