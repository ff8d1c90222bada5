package otelvllm

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/otelvllm/otelvllm-go/otelvllm/internal/wire"
)

// requestAttributes returns what a request's body told, apart from the model.
func requestAttributes(r wire.Request) []attribute.KeyValue {
	kvs := make([]attribute.KeyValue, 0, 16)
	if r.Stream {
		kvs = append(kvs, keyRequestStream.Bool(true))
	}
	ints := []struct {
		key attribute.Key
		v   wire.Int
	}{{keyMaxTokens, r.MaxTokens}, {keySeed, r.Seed}, {keyTopK, r.TopK}, {keyDimensions, r.Dimensions}}
	for _, a := range ints {
		if a.v.Known {
			kvs = append(kvs, a.key.Int64(a.v.Value))
		}
	}
	if r.Choices.Known && r.Choices.Value != 1 {
		kvs = append(kvs, keyChoiceCount.Int64(r.Choices.Value))
	}
	floats := []struct {
		key attribute.Key
		v   wire.Float
	}{{keyTemperature, r.Temperature}, {keyTopP, r.TopP}, {keyFrequencyPenalty, r.FrequencyPenalty}, {keyPresencePenalty, r.PresencePenalty}}
	for _, a := range floats {
		if a.v.Known {
			kvs = append(kvs, a.key.Float64(a.v.Value))
		}
	}
	if len(r.Stop) > 0 {
		kvs = append(kvs, keyStopSequences.StringSlice(cleanAll(r.Stop)))
	}
	if len(r.EncodingFormats) > 0 {
		kvs = append(kvs, keyEncodingFormats.StringSlice(cleanAll(r.EncodingFormats)))
	}
	if r.ReasoningEffort != "" {
		kvs = append(kvs, keyReasoningLevel.String(clean(r.ReasoningEffort, maxText)))
	}
	if r.OutputType != "" {
		kvs = append(kvs, keyOutputType.String(clean(r.OutputType, maxText)))
	}
	return kvs
}

func cleanAll(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = clean(s, maxText)
	}
	return out
}

// callAttributes returns what is known of an ended call. Unknown is absent, never zero.
func callAttributes(c *Call, streamed bool) []attribute.KeyValue {
	kvs := make([]attribute.KeyValue, 0, 24)
	kvs = append(kvs, keyOutcome.String(string(c.Outcome)))
	if c.ErrorType != "" {
		kvs = append(kvs, semconv.ErrorTypeKey.String(c.ErrorType))
	}
	if c.ResponseID != "" {
		kvs = append(kvs, keyResponseID.String(c.ResponseID))
	}
	if c.ResponseModel != "" {
		kvs = append(kvs, keyResponseModel.String(c.ResponseModel))
	}
	if len(c.FinishReasons) > 0 {
		kvs = append(kvs, keyFinishReasons.StringSlice(c.FinishReasons))
	}
	if c.TimeToFirstChunk > 0 {
		kvs = append(kvs, keyTimeToFirstChunk.Float64(c.TimeToFirstChunk.Seconds()))
	}
	if c.TimeToFirstToken > 0 {
		kvs = append(kvs, keyTimeToFirstToken.Float64(c.TimeToFirstToken.Seconds()))
	}
	kvs = usageAttributes(kvs, c, streamed)
	if rate, ok := c.OutputRate(); ok {
		kvs = append(kvs, keyOutputRate.Float64(rate))
	}
	if c.Engine.Known {
		kvs = append(kvs, keyQueueDuration.Float64(c.Engine.Queue.Seconds()),
			keyPrefillDuration.Float64(c.Engine.Prefill.Seconds()), keyDecodeDuration.Float64(c.Engine.Decode.Seconds()))
	}
	return kvs
}

func usageAttributes(kvs []attribute.KeyValue, c *Call, streamed bool) []attribute.KeyValue {
	for _, t := range []struct {
		key attribute.Key
		n   Tokens
	}{
		{keyInputTokens, c.Usage.Input},
		{keyOutputTokens, c.Usage.Output},
		{keyCacheReadTokens, c.Usage.Cached},
		{keyCacheWriteTokens, c.Usage.CacheWrite},
		{keyReasoningTokens, c.Usage.Reasoning},
	} {
		if t.n.Known {
			kvs = append(kvs, t.key.Int64(t.n.N))
		}
	}
	if c.Usage.Partial {
		kvs = append(kvs, keyUsagePartial.Bool(true))
	}
	if !streamed && c.Chunks == 0 {
		return kvs
	}
	kvs = append(kvs, keyChunks.Int64(c.Chunks))
	if !c.Usage.Output.Known && c.Chunks > 0 {
		kvs = append(kvs, keyUsageEstimated.Bool(true), keyTokensEstimate.Int64(c.Chunks))
	}
	return kvs
}
