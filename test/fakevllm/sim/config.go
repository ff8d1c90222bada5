package sim

import (
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Config says what engine to simulate. Its zero value is a useful engine: no key, no limit on the queue, and the timing
// of an 8-billion-parameter model on one recent GPU. Fields named after a flag of vLLM mean what that flag means and
// are off where vLLM has them off.
type Config struct {
	// Model is the first --served-model-name: what responses and the model_name label say. Empty is "simulated".
	Model string
	// Aliases are the further names under which requests may ask for the model.
	Aliases []string
	// Version is the vLLM version to report. Empty is "0.32.0", the version whose answers the package was compared with.
	Version string
	// Metrics is whose /metrics the engine has; the rest of its answers are those of today. DialectV0 has one rank.
	Metrics Dialect
	// Errors is whose bodies of errors the engine has, on OpenAI's endpoints: DialectV0 and DialectV1 are those up to
	// vLLM 0.10.0.
	Errors Dialect
	// APIKey guards every path below /v1 (--api-key). Empty lets everyone in.
	APIKey string

	// MaxModelLen is the most tokens of prompt and answer together. 0 is 32768. An engine whose KV cache is smaller
	// than that takes what the cache holds.
	MaxModelLen int
	// MaxNumSeqs is the most sequences in one batch. 0 is 256.
	MaxNumSeqs int
	// MaxNumBatchedTokens is the most tokens computed in one step; a longer prompt is computed in several. 0 is 8192.
	MaxNumBatchedTokens int
	// BlockSize is the number of tokens in one block of the KV cache. 0 is 16.
	BlockSize int
	// NumGPUBlocks is the size of the KV cache of one rank, in blocks. As in vLLM one of them is never used. 0 is 8192.
	NumGPUBlocks int
	// NoPrefixCaching stops the engine from computing a common beginning of prompts only once.
	NoPrefixCaching bool
	// DataParallelSize is the number of engine ranks behind the one HTTP server. 0 is 1.
	DataParallelSize int
	// MaxNumQueuedReqs and MaxNumQueuedTokens are the admission limits: requests, running ones too, and tokens of
	// prompts that wait. 0 is no limit.
	MaxNumQueuedReqs   int
	MaxNumQueuedTokens int

	// PerRequestMetrics adds the timings of a request to its answer (--enable-per-request-metrics).
	PerRequestMetrics bool
	// PromptTokensDetails adds the cached tokens to usage (--enable-prompt-tokens-details).
	PromptTokensDetails bool
	// RequestIDHeaders puts X-Request-Id on every answer (--enable-request-id-headers).
	RequestIDHeaders bool
	// ServerLoadTracking lets /load count (--enable-server-load-tracking); without it /load says 0.
	ServerLoadTracking bool
	// ForceIncludeUsage sends usage on every chunk of every stream (--enable-force-include-usage).
	ForceIncludeUsage bool
	// ToolCallParser is the parser's name. With "" tools work all the same, but vllm:tool_call_parser_* is missing.
	ToolCallParser string
	// ReasoningParser makes the model think before it answers. "" is a model that does not think.
	ReasoningParser string
	// StreamInterval is the number of tokens in one chunk of a stream. 0 is 1. The first token is always sent alone.
	StreamInterval int
	// SSEKeepAlive is the silence after which a stream gets a comment (--sse-keep-alive-interval). 0 sends none.
	SSEKeepAlive time.Duration
	// KeepAliveOnEngineDeath keeps the HTTP server up when the engine is dead (VLLM_KEEP_ALIVE_ON_ENGINE_DEATH).
	KeepAliveOnEngineDeath bool
	// DevMode opens /sleep, /wake_up, /is_sleeping, /pause, /resume, /is_paused and /abort_requests
	// (VLLM_SERVER_DEV_MODE).
	DevMode bool

	// EmbeddingDim is the length of an embedding. 0 is 64.
	EmbeddingDim int
	// MeanTokens is the usual length of an answer that ends by itself: half to one and a half times as much. 0 is 60.
	MeanTokens int
	// Seed fixes the words of the answers, the ids and the jitter. Equal seeds and equal requests get equal words.
	Seed uint64
	// Timing says how long things take. Its zero value is that of a real engine.
	Timing Timing
	// LoadTime is how long the engine loads its model after New, and again after Clear has ended Dead. Meanwhile
	// connections are refused, or answered with LoadStatus if that is not 0.
	LoadTime   time.Duration
	LoadStatus int

	// TracerProvider makes the llm_request spans. nil makes none, like a vLLM without --otlp-traces-endpoint.
	TracerProvider trace.TracerProvider
	// AllowRequestFaults lets a request choose its own fault; see RequestFault.
	AllowRequestFaults bool
}

// Timing is the engine's clock. A step that computes p tokens of prompts and one token for each of s sequences takes
//
//	Step + s*PerSeq + p*PerPromptToken
//
// and everything computed in it is there at its end. So a lone prompt of p tokens has its first token after
// Frontend + Step + PerSeq + p*PerPromptToken. Zero fields have the defaults below; a negative one is no time at all.
type Timing struct {
	Step           time.Duration // what a step takes at least; 8ms
	PerSeq         time.Duration // for each sequence in the batch; 100µs
	PerPromptToken time.Duration // for each token of a prompt; 50µs
	Frontend       time.Duration // tokenising and checking a request, before the engine has it; 500µs
	// Jitter makes each step longer or shorter by up to this share of it, drawn from Seed. 0 is none, so that times
	// are exact.
	Jitter float64
}

func (c Config) withDefaults() Config {
	setString(&c.Model, "simulated")
	setString(&c.Version, "0.32.0")
	setInt(&c.MaxModelLen, 32768)
	setInt(&c.MaxNumSeqs, 256)
	setInt(&c.MaxNumBatchedTokens, 8192)
	setInt(&c.BlockSize, 16)
	setInt(&c.NumGPUBlocks, 8192)
	c.NumGPUBlocks = max(c.NumGPUBlocks, 2)
	c.MaxModelLen = min(c.MaxModelLen, (c.NumGPUBlocks-1)*c.BlockSize)
	if setInt(&c.DataParallelSize, 1); c.Metrics == DialectV0 {
		c.DataParallelSize = 1
	}
	setInt(&c.StreamInterval, 1)
	setInt(&c.EmbeddingDim, 64)
	setInt(&c.MeanTokens, 60)
	setDuration(&c.Timing.Step, 8*time.Millisecond)
	setDuration(&c.Timing.PerSeq, 100*time.Microsecond)
	setDuration(&c.Timing.PerPromptToken, 50*time.Microsecond)
	setDuration(&c.Timing.Frontend, 500*time.Microsecond)
	return c
}

func setString(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// setInt gives a field that is not a positive number its default.
func setInt(field *int, value int) {
	if *field <= 0 {
		*field = value
	}
}

func setDuration(field *time.Duration, value time.Duration) {
	switch {
	case *field == 0:
		*field = value
	case *field < 0:
		*field = 0
	}
}
