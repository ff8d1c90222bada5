package otelvllm

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
	"github.com/otelvllm/otelvllm-go/otelvllm/internal/httpwrap"
)

// header takes the status and the headers of the answer, from whoever sees it first: the
// Transport, or the handler's writer where there is none.
func (l *live) header(status int, h map[string][]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	if status < 400 || status >= 500 { // a handler that refuses has generated nothing; a Transport has sent the request
		l.openGeneration(trace.SpanKindInternal, l.initDone)
	}
	l.evidence.answered = true
	l.call.Status = status
	if l.endpoint == nil {
		return
	}
	l.answer = l.endpoint.NewResponseReader()
	l.answer.Header(status, h)
	if !l.answer.Facts().Streamed {
		l.item.Enter(inflight.PhaseBody, l.at(l.now()))
	} else if !l.call.Stream {
		l.call.Stream = true
		l.item.Describe(l.call.Operation, l.call.Model, true)
	}
}

// answerBytes takes bytes of the answer as they pass.
func (l *live) answerBytes(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read(p)
}

// read is answerBytes for a caller who holds l.mu.
func (l *live) read(p []byte) {
	if l.answer == nil || l.ended {
		return
	}
	now := l.now()
	seen := l.answer.Write(p)
	if l.answer.Socket() {
		l.heard(now, seen)
		return
	}
	l.content.answer(p)
	switch {
	case seen.Contents > 0:
		l.contents(now, seen.Contents)
	case seen.Events > 0:
		if l.firstEvent == 0 {
			l.firstEvent = now
		}
		l.item.Progress(l.at(now), 0)
	case seen.Comments > 0:
		l.item.KeepAlive(l.at(now))
	case l.call.Stream:
		// Part of an event: nothing is known until it is whole.
	default:
		l.item.Progress(l.at(now), 0)
	}
}

// contents notes that n events with content arrived together.
func (l *live) contents(now time.Duration, n int) {
	if l.firstEvent == 0 {
		l.firstEvent = now
	}
	l.item.Progress(l.at(now), n)
	if l.firstContent == 0 {
		l.firstContent = now
		l.item.Enter(inflight.PhaseDecode, l.at(now))
		l.firstTokenSpan(now)
		l.prepareGaps()
		n--
	} else {
		if !l.talk.pause {
			l.gap(now - l.lastContent)
		}
		n--
	}
	l.talk.pause = false
	for range n {
		l.gap(0)
	}
	l.lastContent = now
}

// prepareGaps builds the attributes of the token gaps once per stream. The engine has answered
// with success by now, so the model's name is confirmed.
func (l *live) prepareGaps() {
	l.core.labels.confirm(l.call.Model)
	if l.answer != nil {
		l.call.ResponseModel = clean(l.answer.Facts().Model, maxText)
		l.core.labels.confirm(l.call.ResponseModel)
	}
	l.gaps = l.core.labels.gap(&l.call)
	if l.side.client && !l.side.server {
		l.chunkGaps = l.core.labels.base(&l.call)
	}
}

// gap records the time between two contents. Only a gap longer than all before it carries the
// span, so that exemplars point at the worst gaps and the usual one costs less. The conventions'
// gen_ai.client.operation.time_per_output_chunk is the same measurement: it is recorded where the
// client is all that is seen.
func (l *live) gap(d time.Duration) {
	ctx := context.Background()
	if d > l.longestGap {
		l.longestGap, ctx = d, l.ctx
	}
	l.core.inst.gap.Record(ctx, d.Seconds(), l.gaps...)
	if l.chunkGaps != nil {
		l.core.inst.clientPerChunk.Record(ctx, d.Seconds(), l.chunkGaps...)
	}
}

// firstTokenSpan exports the span from sending the request to its first content.
func (l *live) firstTokenSpan(now time.Duration) {
	if l.generation.span == nil {
		return
	}
	start := max(l.sent, l.generation.start)
	_, l.firstToken = l.core.tracer.Start(l.generation.ctx, "first_token", trace.WithTimestamp(l.at(min(start, now))))
	l.firstToken.End(trace.WithTimestamp(l.at(now)))
}

// answerEnd notes how the engine's answer ended: nil for its proper end.
func (l *live) answerEnd(err error) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return time.Now()
	}
	switch {
	case l.answer == nil:
	case err == nil:
		l.answer.End()
	case err == httpwrap.ErrClosed: //nolint:errorlint // the sentinel is passed as it is
		l.answer.HungUp()
	}
	l.engineEnd = l.now()
	l.evidence.bodyErr = err
	return l.at(l.engineEnd)
}
