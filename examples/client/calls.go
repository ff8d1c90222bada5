package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/openai/openai-go/v3"
)

// Nothing here knows of telemetry: this is what a client of vLLM looks like anyway.

func firstModel(ctx context.Context, client openai.Client) (string, error) {
	models, err := client.Models.List(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the engine for its models: %w", err)
	}
	if len(models.Data) == 0 {
		return "", errors.New("the engine serves no model")
	}
	return models.Data[0].ID, nil
}

// chat prints a streamed answer as it comes.
func chat(ctx context.Context, client openai.Client, model string, out io.Writer) error {
	fmt.Fprint(out, "\nchat: ")
	stream := client.Chat.Completions.NewStreaming(ctx, openai.ChatCompletionNewParams{
		Model: model, MaxTokens: openai.Int(40),
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Why is the sky blue?")},
	})
	defer func() { _ = stream.Close() }()
	for stream.Next() {
		for _, choice := range stream.Current().Choices {
			fmt.Fprint(out, choice.Delta.Content)
		}
	}
	fmt.Fprintln(out)
	return stream.Err()
}

// callTool lets the model choose a tool and prints the call. vLLM needs --enable-auto-tool-choice for it.
func callTool(ctx context.Context, client openai.Client, model string, out io.Writer) error {
	fmt.Fprint(out, "tool: ")
	answer, err := client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
		Model: model, MaxTokens: openai.Int(80),
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("What is the weather in Paris?")},
		Tools: []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
			Name: "get_weather",
			Parameters: openai.FunctionParameters{
				"type": "object", "properties": map[string]any{"city": map[string]string{"type": "string"}}, "required": []string{"city"},
			},
		})},
	})
	if err != nil {
		return err
	}
	for _, choice := range answer.Choices {
		for _, call := range choice.Message.ToolCalls {
			fmt.Fprintf(out, "%s(%s)", call.Function.Name, call.Function.Arguments)
		}
		if len(choice.Message.ToolCalls) == 0 {
			fmt.Fprintf(out, "none was called; the model said %q", choice.Message.Content)
		}
	}
	fmt.Fprintln(out)
	return nil
}

// embed prints the size of an embedding.
func embed(ctx context.Context, client openai.Client, model string, out io.Writer) error {
	fmt.Fprint(out, "embeddings: ")
	answer, err := client.Embeddings.New(ctx, openai.EmbeddingNewParams{
		Model: model, Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"one text", "and another"}},
	})
	if err != nil {
		return err
	}
	for i, e := range answer.Data {
		if i > 0 {
			fmt.Fprint(out, ", ")
		}
		fmt.Fprintf(out, "%d numbers", len(e.Embedding))
	}
	fmt.Fprintln(out)
	return nil
}

// explain prints what the engine refused, such as embeddings of a chat model, which is no error of
// this program, and returns what is.
func explain(err error, out io.Writer) error {
	if refused := new(openai.Error); errors.As(err, &refused) && refused.StatusCode < 500 {
		why := refused.Message
		if why == "" {
			why = http.StatusText(refused.StatusCode)
		}
		fmt.Fprintf(out, "this engine refuses with %d: %s\n", refused.StatusCode, why)
		return nil
	}
	fmt.Fprintln(out, "failed")
	return err
}
