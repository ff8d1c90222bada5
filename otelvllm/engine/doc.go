// Package engine reads what a vLLM engine tells about itself: its /metrics, /health, /version,
// /v1/models and /load. It needs nothing else of this module.
//
// A [Client] asks one engine one question. A [Monitor] asks many engines again and again, and keeps
// for each a [Status]: the state it is in, and its last readings with their age. Whoever reads a
// Status never waits for an engine. The monitor's readings are OpenTelemetry metrics too.
//
// # Names of every version
//
// vLLM has renamed its metrics several times. One table (names.go) holds for each reading the names
// of all generations: V0 (0.6 to 0.9), V1, today's, and those of the Rust front end. A reading that
// an engine does not tell is not known, which is another thing than zero: see [Value].
//
// # What the states mean
//
// vLLM's /health says less than it seems to. While the engine loads, its port refuses connections;
// when the engine dies, /health is 503 for about 0.2 s and then the port refuses; and when the
// engine hangs, /health stays 200 for ever. So a monitor calls an engine wedged when everything it
// counts stands still although it has work, for two readings and a minimum time (see
// [WithWedgedAfter]).
//
// # Bounds
//
// An answer is read up to a number of bytes, of samples and of seconds, before any of it is parsed;
// beyond them the whole reading fails. One malformed line among those that matter fails it too, so
// that a cut body never looks like a counter that went back. Redirects to other hosts are refused.
package engine
