package otelvllm

import (
	"encoding/json"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/otelvllm/otelvllm-go/otelvllm/internal/wire"
)

// Dialect is a set of attributes that a backend reads beside, or instead of, those of the GenAI
// conventions. They stand on the request span.
type Dialect string

// The dialects.
const (
	// Langfuse reads the time to first token from langfuse.observation.completion_start_time alone
	// (its OpenTelemetry documentation, 2026-09).
	Langfuse Dialect = "langfuse"
	// OpenInference is what Arize Phoenix reads; from 15.10 on Phoenix reads the conventions too.
	OpenInference Dialect = "openinference"
	// OpenLIT finds the provider in gen_ai.system and streams in gen_ai.request.is_stream, names of
	// earlier conventions, and sums in gen_ai.usage.total_tokens.
	OpenLIT Dialect = "openlit"
)

// WithDialects adds the attributes of the given dialects to the request spans; unknown ones add
// nothing. By default there are none.
func WithDialects(dialects ...Dialect) Option {
	return func(c *config) { c.dialects = append(c.dialects[:len(c.dialects):len(c.dialects)], dialects...) }
}

// dialectAttributes returns the attributes of all dialects for an ended call.
func dialectAttributes(dialects []Dialect, c *Call, r wire.Request) []attribute.KeyValue {
	var kvs []attribute.KeyValue
	for _, d := range dialects {
		switch d {
		case Langfuse:
			if c.TimeToFirstToken > 0 && !c.socket { // else it does not count from Start
				kvs = append(kvs, keyLangfuseStart.String(c.Start.Add(c.TimeToFirstToken).UTC().Format(time.RFC3339Nano)))
			}
		case OpenInference:
			kvs = append(kvs, openInference(c, r)...)
		case OpenLIT:
			kvs = append(kvs, openLIT(c, r)...)
		}
	}
	return kvs
}

func openInference(c *Call, r wire.Request) []attribute.KeyValue {
	kind := "LLM"
	switch c.Operation {
	case "embeddings", "pooling":
		kind = "EMBEDDING"
	case "rerank", "score":
		kind = "RERANKER"
	}
	kvs := []attribute.KeyValue{keyOISpanKind.String(kind)}
	model := c.ResponseModel
	if model == "" {
		model = c.Model
	}
	switch {
	case model == "":
	case kind == "EMBEDDING":
		kvs = append(kvs, keyOIEmbeddingModel.String(model))
	default:
		kvs = append(kvs, keyOIModel.String(model), keyOIProvider.String(providerVLLM), keyOISystem.String(providerVLLM))
	}
	for _, t := range []struct {
		key attribute.Key
		n   Tokens
	}{
		{keyOIPrompt, c.Usage.Input},
		{keyOICompletion, c.Usage.Output},
		{keyOICacheRead, c.Usage.Cached},
		{keyOICacheWrite, c.Usage.CacheWrite},
		{keyOIReasoning, c.Usage.Reasoning},
		{keyOITotal, total(c)},
	} {
		if t.n.Known {
			kvs = append(kvs, t.key.Int64(t.n.N))
		}
	}
	if len(c.FinishReasons) > 0 {
		kvs = append(kvs, keyOIFinish.String(c.FinishReasons[0]))
	}
	return append(kvs, invocationParameters(r)...)
}

// invocationParameters are the sampling parameters as a JSON object, as OpenInference has them.
func invocationParameters(r wire.Request) []attribute.KeyValue {
	parameters := make(map[string]any)
	for _, p := range []struct {
		name string
		v    wire.Float
	}{{"temperature", r.Temperature}, {"top_p", r.TopP}, {"frequency_penalty", r.FrequencyPenalty}, {"presence_penalty", r.PresencePenalty}} {
		if p.v.Known {
			parameters[p.name] = p.v.Value
		}
	}
	for _, p := range []struct {
		name string
		v    wire.Int
	}{{"max_tokens", r.MaxTokens}, {"seed", r.Seed}, {"top_k", r.TopK}, {"n", r.Choices}} {
		if p.v.Known {
			parameters[p.name] = p.v.Value
		}
	}
	text, err := json.Marshal(parameters)
	if err != nil || len(parameters) == 0 {
		return nil
	}
	return []attribute.KeyValue{keyOIParameters.String(string(text))}
}

func openLIT(c *Call, r wire.Request) []attribute.KeyValue {
	kvs := []attribute.KeyValue{keyOldSystem.String(providerVLLM)}
	if c.Stream {
		kvs = append(kvs, keyOldStream.Bool(true))
	}
	if t := total(c); t.Known {
		kvs = append(kvs, keyOldTotal.Int64(t.N))
	}
	if r.Dimensions.Known {
		kvs = append(kvs, keyOldDimension.Int64(r.Dimensions.Value))
	}
	return kvs
}

// total is input plus output; only what generates has an output.
func total(c *Call) Tokens {
	generates := c.Operation == "chat" || c.Operation == "text_completion"
	return Tokens{N: c.Usage.Input.N + c.Usage.Output.N, Known: c.Usage.Input.Known && (c.Usage.Output.Known || !generates)}
}
