package otelvllm

import (
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/internal/wire"
)

// join makes an attempt of a Transport part of this call and tells whether it could. A call takes
// one attempt at a time, and none once the engine has answered with success: a handler that asks
// the engine twice makes two calls, one that tries again makes one.
func (l *live) join(endpoint *wire.Endpoint, address string, port int, start time.Time, request wire.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.inFlight || l.endpoint != nil && l.endpoint != endpoint {
		return false
	}
	if l.call.Attempts > 0 && l.evidence.sendErr == nil && l.call.Status < 400 {
		return false
	}
	l.endpoint, l.engine, l.inFlight, l.side.client = endpoint, true, true, true
	l.answer, l.call.Status, l.evidence.sendErr, l.evidence.bodyErr = nil, 0, nil, nil
	l.evidence.source, l.evidence.unread = nil, nil
	l.call.ServerAddress, l.call.ServerPort = address, port
	l.content.restart()
	l.call.Attempts++
	if request.Complete {
		if l.call.Model != "" {
			request.Model = l.call.Model // what the caller asked for, whatever it is called at the engine
		}
		l.describe(request)
	}
	at := max(0, start.Sub(l.call.Start))
	l.attemptStart = at
	if l.call.Attempts == 1 {
		l.clientStart = at
	}
	l.openGeneration(trace.SpanKindClient, at)
	if l.item != nil && address != "" {
		l.item.SentTo(l.engineAddress())
	}
	l.item.Enter(inflight.PhaseConnect, l.at(at))
	return true
}

// wroteRequest notes that the request is with the engine.
func (l *live) wroteRequest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.evidence.answered {
		return
	}
	l.sent = l.now()
	l.item.Enter(inflight.PhaseQueueOrPrefill, l.at(l.sent))
}

// sendFailed notes that an attempt got no answer, and returns when.
func (l *live) sendFailed(err error) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return time.Now()
	}
	l.evidence.sendErr, l.evidence.unread = err, l.evidence.source
	l.engineEnd = l.now()
	return l.at(l.engineEnd)
}

// unread notes that the request could not be read, so that there was nothing to send.
func (l *live) unread(err error) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.evidence.unread = err
	}
}

// notRead returns why the request could not be read; nil if it could, or that has not been noted.
func (l *live) notRead() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.evidence.unread
}

// attemptDone makes room for another attempt.
func (l *live) attemptDone() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaveAttempt()
}

// maxAttemptTimes bounds what is kept of a caller that tries without end.
const maxAttemptTimes = 64

// leaveAttempt notes how long the attempt took that is under way, if there is one.
func (l *live) leaveAttempt() {
	if l.inFlight && !l.ended && len(l.call.AttemptTimes) < maxAttemptTimes {
		l.call.AttemptTimes = append(l.call.AttemptTimes, l.now()-l.attemptStart)
	}
	l.inFlight = false
}

// readable tells whether the answer is a stream of events that comes as it is, not compressed.
func (l *live) readable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answer != nil && l.answer.Facts().Streamed && !l.answer.Facts().Opaque
}
