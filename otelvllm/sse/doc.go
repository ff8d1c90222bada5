// Package sse parses server-sent events, the text/event-stream format in which vLLM and every
// other OpenAI-compatible engine streams its answers. It follows the WHATWG HTML standard, section
// 9.2, and uses the standard library only.
//
// # A parser that is pushed
//
// Most parsers pull: they own a reader and ask it for more. Code that watches a stream on its way
// to someone else cannot do that. It would need a pipe and a goroutine for each stream, the pipe
// would block the stream where the parser is slow, and the goroutine could outlive it. A [Parser]
// is pushed instead: it is an [io.Writer] that takes the bytes as they pass, in whatever pieces,
// and calls back for each event that they complete.
//
// # A parser that cannot fail
//
// The format has no syntax errors: what is not a field is ignored. What could go wrong is
// memory, and that is bounded: an event keeps at most [Parser.MaxData] bytes of data, and one that
// is longer is delivered with [Event.Truncated] set. So [Parser.Write] always takes everything and
// returns nil, and the stream that is watched has no error to handle.
//
//	p := sse.Parser{OnEvent: func(e sse.Event) { fmt.Printf("%s\n", e.Data) }}
//	_, err := io.Copy(w, io.TeeReader(upstream, &p))
//
// # What it costs
//
// An event that lies wholly inside one Write is delivered as a part of the bytes written, without
// a copy and without an allocation. Only an event that is split over several Writes, or whose data
// has several lines, is put together in a buffer, which is kept for the next event unless it has
// grown large. The work is linear in the bytes, however they are cut.
package sse
