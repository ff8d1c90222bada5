// Package health tells in one document how the engine, the GPUs, this host and this process are.
//
// [Source.Stats] makes the document from what others know already: the registry of running
// requests, the last readings of the engines, the findings of the watchdog, the last sample of the
// GPUs. It asks nobody and never waits, so it answers while the engine hangs, which is when it is
// read. What is not known is null and never zero: a queue that nobody could read is not an empty
// queue.
//
// [Source.Handler] serves it as GET /health, [Stats.Summary] says it in a sentence or two, and
// [Logger] writes it to a log now and then.
package health
