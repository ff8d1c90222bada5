package inflight

import "time"

// Status is what is known about a request at one time. It is a copy: it does not change, and its
// slices and maps must not be changed.
type Status struct {
	// Info is what the request began with and what Describe added. OnStall and OnGPUError are nil.
	Info
	// StreamKnown tells that Stream is known: Describe was called, or the request began with a
	// model or as a stream.
	StreamKnown bool
	// Started is when the request began.
	Started time.Time
	// LastProgress is when the engine last sent data, a phase began, or, before the request was sent, a piece of it
	// came; at first it is Started.
	LastProgress time.Time
	// LastKeepAlive is when the engine last sent a comment; zero means never.
	LastKeepAlive time.Time
	// BlockedSince is when the write to the caller began that is under way, if it lasts for longer
	// than a write to a caller who reads; zero means there is none.
	BlockedSince time.Time
	// LastUnblocked is when the last such write ended; zero means there was none.
	LastUnblocked time.Time
	// Phase is the phase since PhaseSince; empty until one was entered.
	Phase      Phase
	PhaseSince time.Time
	// Contents counts the events with content that have arrived.
	Contents int64
	// OutputTokens is how many tokens the engine says it generated; -1 means unknown.
	OutputTokens int64
	// Age is the time since Started, also for a request that has ended.
	Age time.Duration
	// Silent is the time since LastProgress; of a request that has ended, up to its end.
	Silent time.Duration
	// Stall is set while the request is stalled, or if it was when it ended.
	Stall *Stall

	// Ended tells that the request is over. Outcome, Duration and Spans are set only then.
	Ended    bool
	Outcome  string
	Duration time.Duration
	Spans    []Span
}

// Status returns what is known about the request at the given time. It is the zero Status for a
// nil *Request.
func (q *Request) Status(now time.Time) Status {
	if q == nil {
		return Status{OutputTokens: -1}
	}
	if final := q.final.Load(); final != nil {
		return final.at(now)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if final := q.final.Load(); final != nil {
		return final.at(now)
	}
	return q.statusLocked(now)
}

// statusLocked makes the status of a request that has not ended. The caller holds q.mu.
func (q *Request) statusLocked(now time.Time) Status {
	s := Status{
		Info: q.info, StreamKnown: q.described,
		Started: q.start, LastProgress: q.start.Add(time.Duration(q.progress.Load())),
		Phase: q.phase, PhaseSince: q.phaseSince,
		Contents: q.contents.Load(), OutputTokens: q.output.Load(),
		Age: max(0, now.Sub(q.start)), Stall: q.stall.Load(),
	}
	s.OnStall, s.OnGPUError = nil, nil
	s.Silent = max(0, now.Sub(s.LastProgress))
	if at := q.keepAlive.Load(); at > 0 {
		s.LastKeepAlive = q.start.Add(time.Duration(at - 1))
	}
	if at, ok := q.blocked(int64(now.Sub(q.start))); ok {
		s.BlockedSince = q.start.Add(time.Duration(at))
	}
	if at := q.unblocked.Load(); at > 0 {
		s.LastUnblocked = q.start.Add(time.Duration(at))
	}
	return s
}

// at returns the status of a request that has ended, with its age at the given time.
func (s *Status) at(now time.Time) Status {
	copied := *s
	copied.Age = max(copied.Duration, now.Sub(s.Started))
	return copied
}
