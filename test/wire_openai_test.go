package test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"

	"github.com/otelvllm/otelvllm-go/otelvllm"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/sim"
	"github.com/otelvllm/otelvllm-go/test/fakevllm/simtest"
)

// differs is what is never the same in two answers: times.
var differs = regexp.MustCompile(`"(created|created_at|[a-z_]+_ms|tokens_per_second)":[0-9.e+-]+`)

// object is what the SDK makes of an answer or of one event.
type object interface{ RawJSON() string }

// program uses one of the SDK's APIs and returns all that it got.
type program struct {
	name  string
	run   func(ctx context.Context, client *openai.Client) ([]object, error)
	calls int // that it makes
}

func drain[T any, P interface {
	*T
	object
}](stream *ssestream.Stream[T]) (all []object, err error) {
	defer func() { _ = stream.Close() }()
	for stream.Next() {
		event := stream.Current()
		all = append(all, P(&event))
	}
	return all, stream.Err()
}

func one[T object](v T, err error) ([]object, error) { return []object{v}, err }

var sdkTool = openai.FunctionParameters{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []string{"city"}}

func sdkChat(choice string, usage bool) openai.ChatCompletionNewParams {
	p := openai.ChatCompletionNewParams{
		Model: "tiny", MaxTokens: openai.Int(24), Seed: openai.Int(5),
		Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("be short"), openai.UserMessage("what is the weather?")},
	}
	if choice != "" {
		p.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "get_weather", Parameters: sdkTool})}
		p.ToolChoice = openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String(choice)}
	}
	if usage {
		p.StreamOptions.IncludeUsage = openai.Bool(true)
	}
	return p
}

func sdkResponse() responses.ResponseNewParams {
	return responses.ResponseNewParams{
		Model: "tiny", MaxOutputTokens: openai.Int(16), Instructions: openai.String("be short"),
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("where does it wait?")},
	}
}

var sdkPrograms = []program{
	{"chat", func(ctx context.Context, c *openai.Client) ([]object, error) {
		return one(c.Chat.Completions.New(ctx, sdkChat("", false)))
	}, 1},
	{"chat stream", func(ctx context.Context, c *openai.Client) ([]object, error) {
		return drain[openai.ChatCompletionChunk](c.Chat.Completions.NewStreaming(ctx, sdkChat("", false)))
	}, 1},
	{"chat stream with usage", func(ctx context.Context, c *openai.Client) ([]object, error) {
		return drain[openai.ChatCompletionChunk](c.Chat.Completions.NewStreaming(ctx, sdkChat("", true)))
	}, 1},
	{"chat with a tool", func(ctx context.Context, c *openai.Client) ([]object, error) {
		return one(c.Chat.Completions.New(ctx, sdkChat("required", false)))
	}, 1},
	{"chat stream with a tool", func(ctx context.Context, c *openai.Client) ([]object, error) {
		return drain[openai.ChatCompletionChunk](c.Chat.Completions.NewStreaming(ctx, sdkChat("required", false)))
	}, 1},
	{"completion stream", func(ctx context.Context, c *openai.Client) ([]object, error) {
		return drain[openai.Completion](c.Completions.NewStreaming(ctx, openai.CompletionNewParams{
			Model: "tiny", MaxTokens: openai.Int(9), Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("once")},
		}))
	}, 1},
	{"embeddings", func(ctx context.Context, c *openai.Client) ([]object, error) {
		return one(c.Embeddings.New(ctx, openai.EmbeddingNewParams{Model: "tiny", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"a", "b"}}}))
	}, 1},
	{"responses", func(ctx context.Context, c *openai.Client) ([]object, error) {
		return one(c.Responses.New(ctx, sdkResponse()))
	}, 1},
	{"responses stream", func(ctx context.Context, c *openai.Client) ([]object, error) {
		return drain[responses.ResponseStreamEventUnion](c.Responses.NewStreaming(ctx, sdkResponse()))
	}, 1},
	{"models", func(ctx context.Context, c *openai.Client) ([]object, error) {
		return one(c.Models.List(ctx))
	}, 0},
}

// runSDK lets every program run against an engine of its own kind, and returns what each got.
func runSDK(t *testing.T, transport http.RoundTripper) map[string][]string {
	t.Helper()
	client := openai.NewClient(option.WithBaseURL("http://engine/v1"), option.WithAPIKey("key"),
		option.WithHTTPClient(&http.Client{Transport: transport}), option.WithMaxRetries(0))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got := map[string][]string{}
	for _, p := range sdkPrograms {
		all, err := p.run(ctx, &client)
		if err != nil || len(all) == 0 {
			t.Fatalf("%s: got %d objects, %v", p.name, len(all), err)
		}
		for _, o := range all {
			got[p.name] = append(got[p.name], differs.ReplaceAllString(o.RawJSON(), `"$1":0`))
		}
	}
	return got
}

// TestOpenAISDKObjectsAreTheSame compares every object that the SDK returns, byte for byte, straight from the engine and
// through us. Engines with one seed give the same ids and words to the same requests, and in fake time each token is an
// event of its own: a busy machine would find several in one.
func TestOpenAISDKObjectsAreTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := runSDK(t, sdkEngine(t))
		calls := 0
		for _, p := range sdkPrograms {
			calls += p.calls
		}
		for _, way := range []string{"transport", "gateway"} {
			ended := make(chan otelvllm.Call, 2*calls)
			opts := []otelvllm.Option{otelvllm.WithOnDone(func(_ context.Context, c otelvllm.Call) { ended <- c })}
			transport := http.RoundTripper(otelvllm.NewTransport(sdkEngine(t), opts...))
			if way == "gateway" {
				proxy := otelvllm.NewReverseProxy(&url.URL{Scheme: "http", Host: "engine"}, opts...)
				proxy.Transport = transport
				transport = piped(t, otelvllm.Middleware(opts...)(proxy))
			}
			got := runSDK(t, transport)
			for _, p := range sdkPrograms {
				if !slices.Equal(got[p.name], want[p.name]) {
					t.Errorf("%s, through the %s: got\n%s\nwant\n%s", p.name, way, strings.Join(got[p.name], "\n"), strings.Join(want[p.name], "\n"))
				}
			}
			synctest.Wait()
			if len(ended) != calls {
				t.Errorf("through the %s: got %d calls, want %d", way, len(ended), calls)
			}
			close(ended)
			for c := range ended {
				if c.Outcome != otelvllm.Completed || !c.Usage.Input.Known || !c.Usage.Output.Known && c.Operation != "embeddings" {
					t.Errorf("through the %s: got %s %s with usage %+v, want it completed with known counts", way, c.Operation, c.Outcome, c.Usage)
				}
			}
		}
	})
}

// sdkEngine is the way to an engine that is like every other that it makes.
func sdkEngine(t *testing.T) http.RoundTripper {
	return piped(t, sim.New(sim.Config{
		Model: "tiny", PerRequestMetrics: true, PromptTokensDetails: true, ToolCallParser: "hermes", Seed: 3, Timing: sim.Timing{Step: time.Millisecond},
	}))
}

// piped serves h on a network in memory until the test ends, and returns the way there.
func piped(t *testing.T, h http.Handler) http.RoundTripper {
	client, stop := simtest.PipeHandler(h)
	t.Cleanup(stop)
	return client.Transport
}
