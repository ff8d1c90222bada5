package otelvllm

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm/internal/httpwrap"
	"github.com/otelvllm/otelvllm-go/otelvllm/internal/wire"
)

// end closes the call, once: whichever of return, panic, end of body, error, cancellation and Close
// comes first. caller is the caller's own context; finish may add what only the closer knows.
func (l *live) end(caller context.Context, finish func(*evidence)) {
	call, verdicts, first := l.settle(caller, finish)
	if !first {
		return
	}
	l.core.inst.active.Add(l.ctx, -1, l.core.labels.operation(l.opened)...)
	l.core.inst.record(l.ctx, &call, l.side, l.core.labels)
	l.core.inst.recordSLO(l.ctx, &call, verdicts, l.core.labels)
	if call.Usage.Output.Known {
		l.item.OutputTokens(call.Usage.Output.N)
	}
	l.item.End(string(call.Outcome), l.waterfall(), l.at(call.Duration))
	l.log("complete")
	l.core.hook(caller, l.span, call)
}

// settle makes the record and ends the spans. It tells false if that has been done. A panic of whoever gets the spans
// passes, and leaves nothing locked and nothing listed as running.
func (l *live) settle(caller context.Context, finish func(*evidence)) (call Call, verdicts []verdict, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return call, nil, false
	}
	l.leaveAttempt()
	l.ended = true
	defer func() {
		if !first {
			l.core.inst.active.Add(l.ctx, -1, l.core.labels.operation(l.opened)...)
			l.item.End(string(Panicked), nil, l.at(l.now()))
		}
	}()
	e := &l.evidence
	if finish != nil {
		finish(e)
	}
	e.ctxErr, e.ctxCause = caller.Err(), context.Cause(caller)
	l.call.Duration = l.now()
	l.readAnswer()
	if l.call.Outcome, l.call.ErrorType = e.decide(); l.call.Outcome != Completed {
		l.call.Usage.Partial = l.call.Usage.Input.Known || l.call.Usage.Output.Known
	}
	if l.call.Outcome == Completed {
		l.core.labels.confirm(l.call.Model)
		l.core.labels.confirm(l.call.ResponseModel)
	}
	l.timing()
	verdicts = l.core.slo.judge(&l.call)
	if n := len(verdicts); n > 0 {
		l.span.SetAttributes(keySLOMetAll.Bool(verdicts[n-1].met))
	}
	l.endSpans()
	return l.call, verdicts, true
}

// clockSlack is by how much the times that an engine measured may be longer than the call. It allows for recorded answers
// that are played faster than they were made; beyond, the engine's clock has jumped, or another has written its words.
const clockSlack = time.Minute

// readAnswer copies what the engine's bytes told.
func (l *live) readAnswer() {
	e := &l.evidence
	e.status = l.call.Status
	if l.answer == nil {
		if l.metered > 0 && l.metered < maxTokens && !l.call.Usage.Output.Known {
			l.call.Usage.Output = Tokens{N: l.metered, Known: true}
		}
		return
	}
	f := l.answer.Facts()
	e.streamed, e.engine, e.opaque = f.Streamed, f.Err, f.Opaque
	if f.Left {
		e.bodyErr = httpwrap.ErrClosed
	}
	e.ended = f.Done || (e.bodyErr == nil && finished(f.FinishReasons)) || f.Opaque && e.bodyErr == nil
	c := &l.call
	c.socket = l.answer.Socket()
	c.ResponseID, c.ResponseModel = clean(f.ID, maxText), clean(f.Model, maxText)
	if c.Model == "" {
		c.Model = c.ResponseModel
	}
	c.Chunks = f.Contents
	c.Usage = Usage{
		Input: tokens(f.Usage.Input), Output: tokens(f.Usage.Output), Cached: tokens(f.Usage.Cached),
		CacheWrite: tokens(f.Usage.CacheWrite), Reasoning: tokens(f.Usage.Reasoning),
	}
	if t := f.Timings; t.Queue.Known && t.Prefill.Known && t.Decode.Known && t.Queue.Value+t.Prefill.Value+t.Decode.Value <= (c.Duration+clockSlack).Seconds() {
		c.Engine = EngineTimes{Known: true, Queue: seconds(t.Queue), Prefill: seconds(t.Prefill), Decode: seconds(t.Decode)}
	}
	for _, reason := range f.FinishReasons {
		if reason == "" {
			reason = finishReasonMissing
		}
		c.FinishReasons = append(c.FinishReasons, clean(reason, maxText))
	}
}

func finished(reasons []string) bool {
	for _, r := range reasons {
		if r == "" {
			return false
		}
	}
	return len(reasons) > 0
}

func tokens(n wire.Int) Tokens { return Tokens{N: n.Value, Known: n.Known} }

func seconds(f wire.Float) time.Duration { return time.Duration(f.Value * float64(time.Second)) }

// timing fills in the durations of the call.
func (l *live) timing() {
	c := &l.call
	if l.engineEnd == 0 || l.engineEnd > c.Duration {
		l.engineEnd = c.Duration
	}
	if l.generation.span != nil {
		c.Generation = l.engineEnd - l.generation.start
	}
	c.TimeToFirstChunk, c.TimeToFirstToken = l.firstEvent, l.firstContent
	if l.firstContent == 0 && c.Engine.Known && !l.evidence.streamed {
		c.TimeToFirstToken = max(l.sent, l.generation.start) + c.Engine.Queue + c.Engine.Prefill
	}
	start := l.clientStart
	if began := l.talk.began; began > 0 {
		c.TimeToFirstChunk, c.TimeToFirstToken = max(0, l.firstEvent-began), max(0, l.firstContent-began)
		start = began
	}
	if l.side.client {
		l.side.clientDuration = l.engineEnd - l.clientStart
		if l.firstEvent > 0 {
			l.side.clientFirst = l.firstEvent - start
		}
	}
}

// endSpans makes the spans that are known only now and ends those that are open.
func (l *live) endSpans() {
	g, c := &l.generation, &l.call
	if g.span != nil {
		sent := max(l.sent, g.start)
		told := c.Engine.Known && !l.evidence.streamed
		switch {
		case l.firstToken != nil:
		case told:
			l.firstTokenSpan(sent + c.Engine.Queue + c.Engine.Prefill)
		case c.Stream && c.Outcome != Rejected && (!c.socket || l.talk.began > 0):
			l.firstTokenSpan(l.engineEnd)
		}
		if c.Engine.Known && l.firstToken != nil {
			queued := l.queueStart(sent)
			parent := trace.ContextWithSpan(l.ctx, l.firstToken)
			l.past(parent, "queue", queued, c.Engine.Queue)
			l.past(parent, "prefill", queued+c.Engine.Queue, c.Engine.Prefill)
		}
		if start, length, ok := l.decoding(); ok {
			l.past(g.ctx, "decode", start, length)
		}
		if c.Attempts > 0 {
			g.span.SetAttributes(keyAttempts.Int(c.Attempts))
		}
		setStatus(g.span, c)
		g.span.End(trace.WithTimestamp(l.at(l.engineEnd)))
	}
	if l.span.IsRecording() {
		l.span.SetAttributes(callAttributes(c, l.evidence.streamed && !l.evidence.opaque)...)
		l.span.SetAttributes(dialectAttributes(l.core.dialects, c, l.asked)...)
		l.span.SetAttributes(l.content.attributes(l.core.capture, l.evidence.streamed)...)
	}
	setStatus(l.span, c)
	l.span.End(trace.WithTimestamp(l.at(c.Duration)))
}

// queueStart places the engine's own times on our clock: the first content arrived when queue and
// prefill were over, but neither began before the request was sent.
func (l *live) queueStart(sent time.Duration) time.Duration {
	if l.firstContent == 0 {
		return sent
	}
	return max(sent, l.firstContent-l.call.Engine.Queue-l.call.Engine.Prefill)
}

// decoding returns when decoding began and how long it took.
func (l *live) decoding() (start, length time.Duration, ok bool) {
	c := &l.call
	switch {
	case l.firstContent > 0:
		return l.firstContent, l.lastContent - l.firstContent, true
	case c.Engine.Known && !l.evidence.streamed:
		return c.TimeToFirstToken, c.Engine.Decode, true
	}
	return 0, 0, false
}

// past makes a span for something that is over. One that took no time at all is a nanosecond long: backends take a span
// that ends when it begins for a fault of the clocks. The attributes have what was told.
func (l *live) past(parent context.Context, name string, start, length time.Duration) {
	_, span := l.core.tracer.Start(parent, name, trace.WithTimestamp(l.at(start)))
	span.End(trace.WithTimestamp(l.at(start + max(length, 1))))
}

func setStatus(span trace.Span, c *Call) {
	if c.Outcome.bad() {
		span.SetStatus(codes.Error, string(c.Outcome))
	}
}
