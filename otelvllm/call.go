package otelvllm

import (
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Call is the record of one finished inference request. The spans, the metrics, the log line, the
// hook of [WithOnDone] and the history of the registry are all made from it, so they cannot
// disagree. It is a plain value: a hook may keep it.
type Call struct {
	// Operation is the GenAI operation: "chat", "text_completion" or "embeddings", and for what the
	// conventions have no word, vLLM's own: "rerank", "score", "classify", "pooling", "tokenize",
	// "realtime" and the like.
	Operation string
	// Model is the model that was asked for; empty if the request did not name one.
	Model string
	// ResponseModel and ResponseID are what the engine answered; empty if it did not tell.
	ResponseModel, ResponseID string
	// Route is the path of the request, without its query.
	Route string
	// Stream tells that the answer was, or was asked to be, a stream of events.
	Stream bool

	// TraceID and SpanID identify the request span; they are zero where nothing is traced.
	TraceID trace.TraceID
	SpanID  trace.SpanID

	// Start is when the request arrived (Middleware), was sent (Transport) or began (Request).
	Start time.Time
	// Duration is the time from Start to the last byte of the answer.
	Duration time.Duration
	// EngineInit is the time spent waiting for the engine to be ready; zero if nothing waited.
	EngineInit time.Duration
	// Generation is the duration of the generation span: sending the request until the engine's
	// answer ended. Zero if no generation began.
	Generation time.Duration
	// TimeToFirstChunk is the time from Start to the first event of a stream; zero if none came. On a WebSocket it, and
	// TimeToFirstToken, count from when the caller first gave the engine something to do.
	TimeToFirstChunk time.Duration
	// TimeToFirstToken is the time from Start to the first content: text, reasoning or a tool
	// call. Answers that are not streamed have it only where the engine told its timings. Zero
	// means unknown.
	TimeToFirstToken time.Duration

	// Usage holds the token counts.
	Usage Usage
	// Engine holds the times the engine measured itself.
	Engine EngineTimes
	// Chunks counts the events with content of a stream.
	Chunks int64
	// FinishReasons are the engine's own words, one for each choice in order; "error" stands
	// where a choice began and never ended.
	FinishReasons []string

	// Status is the HTTP status of the answer; zero if there was none.
	Status int
	// Outcome says how the call ended.
	Outcome Outcome
	// ErrorType is the value of the error.type attribute; empty for a completed call.
	ErrorType string
	// Attempts counts the requests sent to the engine; zero where no Transport was involved.
	Attempts int
	// AttemptTimes tells how long each of the first 64 attempts took, oldest first: from sending the
	// request until its answer had ended or failed. The pauses between them are in none.
	AttemptTimes []time.Duration
	// Stalls counts how often the call fell silent for longer than the watchdog's threshold.
	Stalls int

	// ServerAddress and ServerPort name the engine; empty and zero where no Transport saw it.
	ServerAddress string
	ServerPort    int

	// socket tells that the call was a WebSocket. How long it lasts is mostly the caller's doing.
	socket bool
}

// OutputRate returns the output tokens per second of the generation, as vLLM computes its own
// tokens_per_second, and false if it is unknown, there are fewer than two tokens, or the call was a WebSocket, whose
// generation lasts as long as the caller speaks.
func (c *Call) OutputRate() (float64, bool) {
	if c.socket || !c.Usage.Output.Known || c.Usage.Output.N < 2 || c.Generation <= 0 {
		return 0, false
	}
	return float64(c.Usage.Output.N) / c.Generation.Seconds(), true
}

// TimePerOutputToken returns (duration − time to first token) ÷ (output tokens − 1), the formula
// of gen_ai.server.time_per_output_token in the GenAI conventions v1.41, and false where a part of
// it is unknown, there are fewer than two tokens, or the call was a WebSocket.
func (c *Call) TimePerOutputToken() (time.Duration, bool) {
	rest := c.Duration - c.TimeToFirstToken
	if c.socket || !c.Usage.Output.Known || c.Usage.Output.N < 2 || c.TimeToFirstToken <= 0 || rest <= 0 {
		return 0, false
	}
	return rest / time.Duration(c.Usage.Output.N-1), true
}

// Tokens is a token count. N means something only when Known is set: an engine that did not say is
// not an engine that said zero.
type Tokens struct {
	N     int64
	Known bool
}

// Usage is what the engine reported about the tokens of a call.
type Usage struct {
	// Input counts all prompt tokens, cached ones included; Output all generated ones, reasoning
	// included.
	Input, Output Tokens
	// Cached and CacheWrite are the parts of Input read from and written to the prefix cache.
	Cached, CacheWrite Tokens
	// Reasoning is the part of Output spent on reasoning.
	Reasoning Tokens
	// Partial tells that the call did not complete: the counts are those the engine had reported
	// by then.
	Partial bool
}

// EngineTimes are the durations of one request as vLLM measured them: the "metrics" block of a
// server started with --enable-per-request-metrics. They mean something only when Known is set.
type EngineTimes struct {
	Known                  bool
	Queue, Prefill, Decode time.Duration
}

// Outcome says how a call ended. Its values are a closed set, so it is safe as a metric attribute.
type Outcome string

// The outcomes of a call.
const (
	// Completed: the engine's answer arrived whole.
	Completed Outcome = "completed"
	// Rejected: the answer's status was 4xx.
	Rejected Outcome = "rejected"
	// Failed: the answer's status was 5xx, or the stream held an error event.
	Failed Outcome = "failed"
	// Unreachable: no answer came: the connection failed.
	Unreachable Outcome = "unreachable"
	// Truncated: the answer began and its connection broke, or the stream ended without its end.
	Truncated Outcome = "truncated"
	// CallerLeft: the caller cancelled or disconnected before the answer was complete.
	CallerLeft Outcome = "caller_left"
	// Deadline: a deadline on our side passed.
	Deadline Outcome = "deadline"
	// Panicked: the handler panicked, or ended its goroutine, for a reason of its own.
	Panicked Outcome = "panic"
)

// bad tells whether the spans of a call with this outcome have the status Error. A caller who
// leaves is not an error, and neither is, on the request span, a request that was rejected.
func (o Outcome) bad() bool {
	switch o {
	case Failed, Unreachable, Truncated, Deadline, Panicked:
		return true
	case Completed, Rejected, CallerLeft:
	}
	return false
}
