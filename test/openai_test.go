package test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"go.opentelemetry.io/otel/propagation"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
)

// said is what the SDK returned for one conversation, without the ids and times that differ between
// any two requests.
type said struct {
	Text, Finish     string
	Chunks           int
	Prompt, Complete int64
	Tool             string
	Embedding        []float64
}

// converse uses the SDK in the ways that programs do.
func converse(t *testing.T, base string, transport http.RoundTripper) []said {
	t.Helper()
	client := openai.NewClient(option.WithBaseURL(base+"/v1"), option.WithAPIKey("key"),
		option.WithHTTPClient(&http.Client{Transport: transport}), option.WithMaxRetries(0))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	params := openai.ChatCompletionNewParams{
		Model: "tiny", MaxTokens: openai.Int(12), Seed: openai.Int(5),
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello there")},
	}
	var all []said
	for _, usage := range []bool{false, true} {
		p := params
		if usage {
			p.StreamOptions.IncludeUsage = openai.Bool(true)
		}
		var s said
		var acc openai.ChatCompletionAccumulator
		stream := client.Chat.Completions.NewStreaming(ctx, p)
		for stream.Next() {
			s.Chunks++
			acc.AddChunk(stream.Current())
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		s.Text, s.Finish = acc.Choices[0].Message.Content, acc.Choices[0].FinishReason
		s.Prompt, s.Complete = acc.Usage.PromptTokens, acc.Usage.CompletionTokens
		all = append(all, s)
	}

	tools := params
	tools.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
		Name: "get_weather", Parameters: openai.FunctionParameters{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}},
	})}
	chat, err := client.Chat.Completions.New(ctx, tools)
	if err != nil {
		t.Fatal(err)
	}
	s := said{Text: chat.Choices[0].Message.Content, Finish: chat.Choices[0].FinishReason, Prompt: chat.Usage.PromptTokens, Complete: chat.Usage.CompletionTokens}
	for _, call := range chat.Choices[0].Message.ToolCalls {
		s.Tool += call.Function.Name + call.Function.Arguments
	}
	all = append(all, s)

	vectors, err := client.Embeddings.New(ctx, openai.EmbeddingNewParams{Model: "tiny", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("text")}})
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, said{Embedding: vectors.Data[0].Embedding, Prompt: vectors.Usage.PromptTokens})

	params.Model = "nope"
	var refused *openai.Error
	if _, err = client.Chat.Completions.New(ctx, params); !errors.As(err, &refused) {
		t.Fatalf("a model that does not exist: got error %v, want one of the API", err)
	}
	return append(all, said{Text: refused.Message, Chunks: refused.StatusCode})
}

// TestOpenAISDKGetsTheSameWithAndWithoutUs compares what the SDK returns straight from the engine,
// through the transport and through the gateway.
func TestOpenAISDKGetsTheSameWithAndWithoutUs(t *testing.T) {
	newEngine := func() *httptest.Server {
		s := httptest.NewServer(sim.New(sim.Config{Model: "tiny", PerRequestMetrics: true, Seed: 3, Timing: sim.Timing{Step: time.Millisecond}}))
		t.Cleanup(s.Close)
		return s
	}
	want := converse(t, newEngine().URL, http.DefaultTransport)

	var ended []otelvllm.Call
	opts := []otelvllm.Option{otelvllm.WithPropagators(propagation.TraceContext{}), otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) { ended = append(ended, c) })}
	if got := converse(t, newEngine().URL, otelvllm.NewTransport(nil, opts...)); !reflect.DeepEqual(got, want) {
		t.Errorf("through the transport: got\n%+v\nwant\n%+v", got, want)
	}
	if len(ended) != 5 {
		t.Fatalf("got %d calls, want 5", len(ended))
	}
	for i, c := range ended[:4] {
		known := c.Operation == "embeddings" || c.Usage.Output.Known && c.Usage.Output.N > 0
		if c.Outcome != otelvllm.Completed || !c.Usage.Input.Known || !known {
			t.Errorf("call %d: got %s with usage %+v, want it completed with known counts", i, c.Outcome, c.Usage)
		}
	}
	if got := ended[4]; got.Outcome != otelvllm.Rejected || got.ErrorType != "404" {
		t.Errorf("the last call: got %s, %q; want rejected, 404", got.Outcome, got.ErrorType)
	}

	target, err := url.Parse(newEngine().URL)
	if err != nil {
		t.Fatal(err)
	}
	gateway := httptest.NewServer(otelvllm.Middleware()(otelvllm.NewReverseProxy(target)))
	defer gateway.Close()
	if got := converse(t, gateway.URL, http.DefaultTransport); !reflect.DeepEqual(got, want) {
		t.Errorf("through the gateway: got\n%+v\nwant\n%+v", got, want)
	}
}
