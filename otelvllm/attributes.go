package otelvllm

import (
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
)

// ScopeName is the instrumentation scope of the spans and metrics of this package.
const ScopeName = "github.com/otelvllm/otelvllm-go/otelvllm"

// Version is the version of this module.
const Version = "0.1.0-dev"

// schemaURL names the generation of the conventions that the gen_ai.* names below follow:
// v1.41, the last one whose names the backends know. The names are written out here since the Go
// semconv packages after v1.41.0 no longer hold them.
const schemaURL = "https://opentelemetry.io/schemas/1.41.0"

// GenAI conventions v1.41.
const (
	keyOperation          = attribute.Key("gen_ai.operation.name")
	keyProvider           = attribute.Key("gen_ai.provider.name")
	keyRequestModel       = attribute.Key("gen_ai.request.model")
	keyRequestStream      = attribute.Key("gen_ai.request.stream")
	keyMaxTokens          = attribute.Key("gen_ai.request.max_tokens")
	keyTemperature        = attribute.Key("gen_ai.request.temperature")
	keyTopP               = attribute.Key("gen_ai.request.top_p")
	keyTopK               = attribute.Key("gen_ai.request.top_k")
	keyFrequencyPenalty   = attribute.Key("gen_ai.request.frequency_penalty")
	keyPresencePenalty    = attribute.Key("gen_ai.request.presence_penalty")
	keySeed               = attribute.Key("gen_ai.request.seed")
	keyChoiceCount        = attribute.Key("gen_ai.request.choice.count")
	keyStopSequences      = attribute.Key("gen_ai.request.stop_sequences")
	keyReasoningLevel     = attribute.Key("gen_ai.request.reasoning.level")
	keyEncodingFormats    = attribute.Key("gen_ai.request.encoding_formats")
	keyDimensions         = attribute.Key("gen_ai.embeddings.dimension.count")
	keyOutputType         = attribute.Key("gen_ai.output.type")
	keyResponseID         = attribute.Key("gen_ai.response.id")
	keyResponseModel      = attribute.Key("gen_ai.response.model")
	keyFinishReasons      = attribute.Key("gen_ai.response.finish_reasons")
	keyTimeToFirstChunk   = attribute.Key("gen_ai.response.time_to_first_chunk")
	keyInputTokens        = attribute.Key("gen_ai.usage.input_tokens")
	keyOutputTokens       = attribute.Key("gen_ai.usage.output_tokens")
	keyCacheReadTokens    = attribute.Key("gen_ai.usage.cache_read.input_tokens")
	keyCacheWriteTokens   = attribute.Key("gen_ai.usage.cache_creation.input_tokens")
	keyReasoningTokens    = attribute.Key("gen_ai.usage.reasoning.output_tokens")
	keyInputMessages      = attribute.Key("gen_ai.input.messages")
	keyOutputMessages     = attribute.Key("gen_ai.output.messages")
	keySystemInstructions = attribute.Key("gen_ai.system_instructions")
	keyToolDefinitions    = attribute.Key("gen_ai.tool.definitions")
	keyTokenType          = attribute.Key("gen_ai.token.type")
	providerVLLM          = "vllm"
	tokenInput            = "input"
	tokenOutput           = "output"
	finishReasonMissing   = "error" // the conventions' word for a reason that was expected and never came
	operationUnclassified = "chat"
)

// Our own, where no convention has a name.
const (
	keyOutcome          = attribute.Key("vllm.request.outcome")
	keyTimeToFirstToken = attribute.Key("vllm.request.time_to_first_token")
	keyOutputRate       = attribute.Key("vllm.request.output_rate")
	keyChunks           = attribute.Key("vllm.request.chunks")
	keyUsageEstimated   = attribute.Key("vllm.request.usage.estimated")
	keyUsagePartial     = attribute.Key("vllm.request.usage.partial")
	keyTokensEstimate   = attribute.Key("vllm.request.output_tokens.estimate")
	keyQueueDuration    = attribute.Key("vllm.request.queue.duration")
	keyPrefillDuration  = attribute.Key("vllm.request.prefill.duration")
	keyDecodeDuration   = attribute.Key("vllm.request.decode.duration")
	keySLOMetAll        = attribute.Key("vllm.request.slo.met")
	keySLOObjective     = attribute.Key("vllm.slo.objective")
	keySLOMet           = attribute.Key("vllm.slo.met")
	keyAttempts         = attribute.Key("vllm.generation.attempts")
	keyStallCause       = attribute.Key("vllm.stall.cause")
	keyStallPhase       = attribute.Key("vllm.stall.phase")
	keyStallSilence     = attribute.Key("vllm.stall.silence")
	keyStallSummary     = attribute.Key("vllm.stall.summary")
	keyStallRemedy      = attribute.Key("vllm.stall.remedy")
	keyStallEvidence    = attribute.Key("vllm.stall.evidence")
	keyXIDCode          = attribute.Key("nvidia.xid.code")
	keyXIDAction        = attribute.Key("nvidia.xid.action")
	keyXIDName          = attribute.Key("nvidia.xid.name")
)

// Names of [WithDialects]. None of them is emitted unless asked for.
const (
	keyLangfuseStart    = attribute.Key("langfuse.observation.completion_start_time")
	keyOISpanKind       = attribute.Key("openinference.span.kind")
	keyOIModel          = attribute.Key("llm.model_name")
	keyOIEmbeddingModel = attribute.Key("embedding.model_name")
	keyOIProvider       = attribute.Key("llm.provider")
	keyOISystem         = attribute.Key("llm.system")
	keyOIPrompt         = attribute.Key("llm.token_count.prompt")
	keyOICompletion     = attribute.Key("llm.token_count.completion")
	keyOITotal          = attribute.Key("llm.token_count.total")
	keyOICacheRead      = attribute.Key("llm.token_count.prompt_details.cache_read")
	keyOICacheWrite     = attribute.Key("llm.token_count.prompt_details.cache_write")
	keyOIReasoning      = attribute.Key("llm.token_count.completion_details.reasoning")
	keyOIFinish         = attribute.Key("llm.finish_reason")
	keyOIParameters     = attribute.Key("llm.invocation_parameters")
	keyOldSystem        = attribute.Key("gen_ai.system")
	keyOldStream        = attribute.Key("gen_ai.request.is_stream")
	keyOldTotal         = attribute.Key("gen_ai.usage.total_tokens")
	keyOldDimension     = attribute.Key("gen_ai.request.embedding_dimension")
)

// Limits on what strangers can put into a telemetry stream.
const (
	maxText  = 256 // bytes of a string on a span
	maxLabel = 128 // bytes of a string on a metric
)

// clean makes s safe to export: valid UTF-8 without control characters, at most limit bytes. One
// invalid byte costs the stock exporter its whole batch.
func clean(s string, limit int) string {
	if len(s) <= limit && isPlain(s) {
		return s
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// isPlain tells whether s is printable ASCII, which nearly every model name and id is.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
