package wire

// Usage is the engine's own count of tokens.
type Usage struct {
	Input      Int // of the prompt
	Output     Int // generated; embeddings have none
	Cached     Int // of the prompt, found in the prefix cache
	CacheWrite Int // of the prompt, put into the prefix cache
	Reasoning  Int // of the output, spent on reasoning
}

// Timings are the engine's own times in seconds.
type Timings struct {
	Queue   Float // from the request's arrival until it was scheduled
	Prefill Float // from then to the first token
	Decode  Float // from the first token to the last
}

// engineError is the code of an error that has none of its own.
const engineError = "engine_error"

// Error is an error that the engine told in an answer. Its message is not kept, as it may quote the prompt.
type Error struct {
	// Code is the error's code, else its type, else "engine_error". Of a long one the first 256 bytes are kept.
	Code string
}

// Seen is what the bytes of one Write completed.
type Seen struct {
	Events   int // events with data, apart from [DONE] and what comes after the end of the stream
	Contents int // those of them with content
	Comments int // comments, which keep a silent connection alive
	Answers  int // answers that ended on a WebSocket, which can take several
}

// Facts is what an answer told.
type Facts struct {
	Streamed      bool // it is an event stream, by its Content-Type
	ID, Model     string
	Usage         Usage
	Timings       Timings
	FinishReasons []string // in the order of the choices' indexes, "" for one without; at most 128
	Contents      int64    // events with content: text, reasoning, refusal, a piece of a tool call, sound
	Done          bool     // the stream said that it is complete
	Err           *Error   // an event or a body told an error
	Opaque        bool     // it is compressed, or neither JSON nor an event stream, and was not read
	Left          bool     // the caller closed the WebSocket while an answer was under way

	Oversize int64 // events that were too long to read
	Invalid  int64 // events and bodies that were not valid JSON, and counts and times that were none
}
