// Package otelvllm records the requests that Go services send to vLLM: one trace from the caller
// through the service into the engine, metrics by the OpenTelemetry GenAI conventions, log lines
// with timings, and a list of the requests that are running.
//
// There are three ways in, and they share one record per request:
//
//   - [Middleware] wraps the handler of a server or proxy,
//   - [NewTransport] wraps the client that talks to the engine,
//   - [Request], [EngineInit] and [Generation] wrap the steps of a job that neither of them sees.
//
// # What is recorded
//
// A request to one of vLLM's inference endpoints, streamed or not, makes the trace below. The
// endpoints are those for chats and completions (/v1/chat/completions, /v1/completions,
// /v1/responses, /v1/messages, /cohere/v2/chat, /inference/v1/generate), for embeddings, pooling,
// scores and rankings, for speech to text, for tokenizing, and SageMaker's /invocations. TELEMETRY.md has
// the list.
//
//	POST /v1/chat/completions     SERVER    the HTTP request, unless the caller has made such a span
//	└ chat {model}                INTERNAL  the request span: gen_ai.* attributes, tokens, outcome
//	  ├ engine_init               INTERNAL  waiting for the engine to be ready
//	  └ generation                CLIENT    sending the request until the answer has ended
//	    ├ first_token             INTERNAL  from sending to the first content, exported when that arrives
//	    │ ├ queue                 INTERNAL  as the engine measured it
//	    │ └ prefill               INTERNAL  as the engine measured it
//	    ├ decode                  INTERNAL  from the first content to the last
//	    ├ POST                    CLIENT    an attempt; carries traceparent into vLLM, whose own span joins
//	    └ stall                   INTERNAL  one per stall, exported while the request still hangs
//
// Queue and prefill need a vLLM started with --enable-per-request-metrics. Names that no convention
// covers begin with vllm; TELEMETRY.md lists every span, attribute and metric.
//
// A call begins when the request arrives and ends once, whatever ends it: return, panic, the end of
// the answer, an error, a cancellation, Close. Its [Outcome] is one of a closed set. What is unknown
// is absent, never zero. Token counts are the engine's own; an estimate is marked as one.
//
// # What is never recorded
//
// Prompts, completions, keys, query values and the texts of errors stay where they are. Bytes,
// headers, flushes, errors and panics are what they would be without this package.
//
// # Costs and bounds
//
// There is no goroutine per request and no lock across I/O. A stream costs a fixed amount of memory
// however long it is. At most 64 model names, beside the pinned ones, get a metric label of their
// own, and only after the engine has answered for them; the rest share "other".
package otelvllm
