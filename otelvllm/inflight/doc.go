// Package inflight knows which requests are running now, and for a while how the last ones ended.
// It uses the standard library only.
//
// A span is exported when it ends, so a request that hangs is in no trace. It is in a [Registry]
// from [Registry.Begin] until [Request.End], with its phase, its age and the time since the engine
// last sent something. Running requests never fall out of view, however many others finish; the
// finished ones are kept in a ring of fixed size.
//
// Whoever moves the bytes of a request reports to its [Request]. Reports of data are a few atomic
// operations, so a watchdog or a page can read all requests while one of them is blocked in a
// write to a dead client. No function of the user is called under a lock.
package inflight
