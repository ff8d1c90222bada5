package otelvllm_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm"
)

// startVLLM starts what the examples talk to: it answers each chat with a stream of two tokens, and counts them where
// it is asked to.
func startVLLM() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/chat/completions" {
			return // /health
		}
		w.Header().Set("Content-Type", "text/event-stream")
		const event = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"tiny",%s}` + "\n\n"
		fmt.Fprintf(w, event, `"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]`)
		fmt.Fprintf(w, event, `"choices":[{"index":0,"delta":{"content":" you"},"finish_reason":"stop"}]`)
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), "include_usage") {
			fmt.Fprintf(w, event, `"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}`)
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	}))
}

const question = `{"model":"tiny","stream":true,"messages":[{"role":"user","content":"hi"}]}`

// sendChat sends a chat as a caller would who knows nothing of telemetry, and reads the whole answer.
func sendChat(client *http.Client, base string) (*http.Response, error) {
	resp, err := client.Post(base+"/v1/chat/completions", "application/json", strings.NewReader(question))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp, err
}

// A gateway in front of vLLM. Middleware and proxy get the same options.
func Example() {
	vllm := startVLLM()
	defer vllm.Close()
	address, err := url.Parse(vllm.URL)
	if err != nil {
		fmt.Println(err)
		return
	}

	opts := []otelvllm.Option{
		otelvllm.WithSLO(otelvllm.SLO{TimeToFirstToken: 2 * time.Second}),
		otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) {
			fmt.Println(c.Operation, c.Model, c.Outcome, c.Usage.Input.N, "in,", c.Usage.Output.N, "out")
		}),
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", otelvllm.Middleware(opts...)(otelvllm.NewReverseProxy(address, opts...)))

	gateway := httptest.NewServer(mux)
	if _, err := sendChat(http.DefaultClient, gateway.URL); err != nil {
		fmt.Println(err)
	}
	gateway.Close()
	// Output: chat tiny completed 4 in, 2 out
}

// A client of vLLM. It works under any OpenAI SDK that lets its http.Client be set.
func ExampleNewTransport() {
	vllm := startVLLM()
	defer vllm.Close()

	client := &http.Client{Transport: otelvllm.NewTransport(nil,
		otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) {
			fmt.Println(c.Stream, c.Chunks, "chunks,", c.Usage.Output.N, "tokens,", c.FinishReasons)
		}),
	)}
	if _, err := sendChat(client, vllm.URL); err != nil {
		fmt.Println(err)
	}
	// Output: true 2 chunks, 2 tokens, [stop]
}

// Handlers may be of any router that takes net/http middleware. What authentication finds out goes onto the request
// span by the context, and into metrics of your own by WithOnDone: put Middleware inside of authentication for that.
// Outside of it, requests that are refused are recorded too.
func ExampleMiddleware() {
	type tenantKey struct{}
	authenticate := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenantKey{}, "acme"))) // by its key
		})
	}
	tokens := map[string]int64{} // a metric.Int64Counter with an attribute in real life
	record := otelvllm.Middleware(otelvllm.WithOnDone(func(ctx context.Context, c otelvllm.Call) {
		if tenant, ok := ctx.Value(tenantKey{}).(string); ok && c.Usage.Output.Known {
			tokens[tenant] += c.Usage.Output.N
		}
	}))
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tenant, _ := r.Context().Value(tenantKey{}).(string)
		trace.SpanFromContext(r.Context()).SetAttributes(attribute.String("tenant", tenant))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"object":"chat.completion","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],`+
			`"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}`)
	})

	server := httptest.NewServer(authenticate(record(answer)))
	if _, err := sendChat(http.DefaultClient, server.URL); err != nil {
		fmt.Println(err)
	}
	server.Close()
	fmt.Println(tokens)
	// Output: map[acme:2]
}

// One gateway before several engines: a proxy for each, and a choice between them that is yours.
func ExampleNewReverseProxy() {
	var proxies []http.Handler
	for range 2 {
		vllm := startVLLM()
		defer vllm.Close()
		address, err := url.Parse(vllm.URL)
		if err != nil {
			fmt.Println(err)
			return
		}
		proxies = append(proxies, otelvllm.NewReverseProxy(address))
	}
	var turn atomic.Int64
	gateway := httptest.NewServer(otelvllm.Middleware()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := int(turn.Add(1)) % len(proxies) // or by load, by prefix, by model
		proxies[next].ServeHTTP(w, r)
	})))
	defer gateway.Close()

	for range 2 {
		if resp, err := sendChat(http.DefaultClient, gateway.URL); err == nil {
			fmt.Println(resp.Status)
		}
	}
	// Output:
	// 200 OK
	// 200 OK
}

// A job that no HTTP handler shows: a message of a queue, or an engine that is called in another way than by HTTP. The
// Meter tells what no Transport sees.
func ExampleRequest() {
	vllm := startVLLM()
	defer vllm.Close()
	ready := func(context.Context) error { // in real life WaitReady of an engine.Client
		resp, err := http.Get(vllm.URL + "/health")
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	ctx := otelvllm.NewContext(context.Background(), otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) {
		fmt.Println(c.Route, c.Model, c.Outcome, c.Usage.Output.N, c.EngineInit > 0, c.TimeToFirstToken > 0)
	}))

	err := otelvllm.Request(ctx, otelvllm.Info{Operation: "chat", Model: "tiny", Route: "/run", Stream: true}, func(ctx context.Context) error {
		if err := otelvllm.EngineInit(ctx, ready); err != nil {
			return err
		}
		return otelvllm.Generation(ctx, func(_ context.Context, meter *otelvllm.Meter) error {
			for range 2 {
				meter.Tokens(1) // as each comes
			}
			meter.Finish("stop")
			return nil
		})
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: /run tiny completed 2 true true
}

// Only what matters is recorded: this leaves out tokenizing, and what is asked with a header of a load test. Paths that
// are no inference endpoints, such as /health, have to be left out here too where their SERVER spans are not wanted.
func ExampleWithFilter() {
	record := otelvllm.Middleware(otelvllm.WithFilter(func(r *http.Request) bool {
		return r.URL.Path != "/tokenize" && r.Header.Get("X-Load-Test") == ""
	}))
	mux := http.NewServeMux()
	mux.Handle("/", record(http.NotFoundHandler()))
}

// Prompts go onto the request span, without what looks like the number of a card. The answers do not.
func ExampleWithContentCapture() {
	card := regexp.MustCompile(`\b(?:\d[ -]?){13,16}\b`)
	record := otelvllm.Middleware(otelvllm.WithContentCapture(otelvllm.Capture{
		Input:  true,
		Redact: func(text string) string { return card.ReplaceAllString(text, "[card]") },
	}))
	mux := http.NewServeMux()
	mux.Handle("/v1/", record(http.NotFoundHandler()))
}
