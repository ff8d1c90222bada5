package otelvllm

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelvllm/otelvllm-go/otelvllm/internal/wire"
)

// end closes the call, once: whichever of return, panic, end of body, error, cancellation and Close
// comes first. caller is the caller's own context; finish may add what only the closer knows.
func (l *live) end(caller context.Context, finish func(*evidence)) {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.ended = true
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
	verdicts := l.core.slo.judge(&l.call)
	if n := len(verdicts); n > 0 {
		l.span.SetAttributes(keySLOMetAll.Bool(verdicts[n-1].met))
	}
	l.endSpans()
	call := l.call
	l.mu.Unlock()

	l.core.inst.active.Add(l.ctx, -1, l.core.labels.operation(call.Operation)...)
	l.core.inst.record(l.ctx, &call, l.side, l.core.labels)
	l.core.inst.recordSLO(l.ctx, &call, verdicts, l.core.labels)
	if call.Usage.Output.Known {
		l.item.OutputTokens(call.Usage.Output.N)
	}
	l.item.End(string(call.Outcome), l.waterfall(), l.at(call.Duration))
	l.log("complete")
	l.core.hook(caller, l.span, call)
}

// readAnswer copies what the engine's bytes told.
func (l *live) readAnswer() {
	e := &l.evidence
	e.status = l.call.Status
	if l.answer == nil {
		if l.metered > 0 && !l.call.Usage.Output.Known {
			l.call.Usage.Output = Tokens{N: l.metered, Known: true}
		}
		return
	}
	f := l.answer.Facts()
	e.streamed, e.engine = f.Streamed, f.Err
	e.ended = f.Done || (e.bodyErr == nil && finished(f.FinishReasons)) || f.Opaque && e.bodyErr == nil
	c := &l.call
	c.ResponseID, c.ResponseModel = clean(f.ID, maxText), clean(f.Model, maxText)
	if c.Model == "" {
		c.Model = c.ResponseModel
	}
	c.Chunks = f.Contents
	c.Usage = Usage{
		Input: tokens(f.Usage.Input), Output: tokens(f.Usage.Output), Cached: tokens(f.Usage.Cached),
		CacheWrite: tokens(f.Usage.CacheWrite), Reasoning: tokens(f.Usage.Reasoning),
	}
	if t := f.Timings; t.Queue.Known && t.Prefill.Known && t.Decode.Known {
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
	if l.side.client {
		l.side.clientDuration = l.engineEnd - l.clientStart
		if l.firstEvent > 0 {
			l.side.clientFirst = l.firstEvent - l.clientStart
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
		case c.Stream && c.Outcome != Rejected:
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
		l.span.SetAttributes(callAttributes(c, l.evidence.streamed)...)
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

// past makes a span for something that is over.
func (l *live) past(parent context.Context, name string, start, length time.Duration) {
	_, span := l.core.tracer.Start(parent, name, trace.WithTimestamp(l.at(start)))
	span.End(trace.WithTimestamp(l.at(start + length)))
}

func setStatus(span trace.Span, c *Call) {
	if c.Outcome.bad() {
		span.SetStatus(codes.Error, string(c.Outcome))
	}
}

// requestAttributes returns what a request's body told, apart from the model.
func requestAttributes(r wire.Request) []attribute.KeyValue {
	kvs := make([]attribute.KeyValue, 0, 16)
	if r.Stream {
		kvs = append(kvs, keyRequestStream.Bool(true))
	}
	ints := []struct {
		key attribute.Key
		v   wire.Int
	}{{keyMaxTokens, r.MaxTokens}, {keySeed, r.Seed}, {keyTopK, r.TopK}, {keyDimensions, r.Dimensions}}
	for _, a := range ints {
		if a.v.Known {
			kvs = append(kvs, a.key.Int64(a.v.Value))
		}
	}
	if r.Choices.Known && r.Choices.Value != 1 {
		kvs = append(kvs, keyChoiceCount.Int64(r.Choices.Value))
	}
	floats := []struct {
		key attribute.Key
		v   wire.Float
	}{{keyTemperature, r.Temperature}, {keyTopP, r.TopP}, {keyFrequencyPenalty, r.FrequencyPenalty}, {keyPresencePenalty, r.PresencePenalty}}
	for _, a := range floats {
		if a.v.Known {
			kvs = append(kvs, a.key.Float64(a.v.Value))
		}
	}
	if len(r.Stop) > 0 {
		kvs = append(kvs, keyStopSequences.StringSlice(cleanAll(r.Stop)))
	}
	if len(r.EncodingFormats) > 0 {
		kvs = append(kvs, keyEncodingFormats.StringSlice(cleanAll(r.EncodingFormats)))
	}
	if r.ReasoningEffort != "" {
		kvs = append(kvs, keyReasoningLevel.String(clean(r.ReasoningEffort, maxText)))
	}
	if r.OutputType != "" {
		kvs = append(kvs, keyOutputType.String(clean(r.OutputType, maxText)))
	}
	return kvs
}

func cleanAll(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = clean(s, maxText)
	}
	return out
}

// callAttributes returns what is known of an ended call. Unknown is absent, never zero.
func callAttributes(c *Call, streamed bool) []attribute.KeyValue {
	kvs := make([]attribute.KeyValue, 0, 24)
	kvs = append(kvs, keyOutcome.String(string(c.Outcome)))
	if c.ErrorType != "" {
		kvs = append(kvs, semconv.ErrorTypeKey.String(c.ErrorType))
	}
	if c.ResponseID != "" {
		kvs = append(kvs, keyResponseID.String(c.ResponseID))
	}
	if c.ResponseModel != "" {
		kvs = append(kvs, keyResponseModel.String(c.ResponseModel))
	}
	if len(c.FinishReasons) > 0 {
		kvs = append(kvs, keyFinishReasons.StringSlice(c.FinishReasons))
	}
	if c.TimeToFirstChunk > 0 {
		kvs = append(kvs, keyTimeToFirstChunk.Float64(c.TimeToFirstChunk.Seconds()))
	}
	if c.TimeToFirstToken > 0 {
		kvs = append(kvs, keyTimeToFirstToken.Float64(c.TimeToFirstToken.Seconds()))
	}
	kvs = usageAttributes(kvs, c, streamed)
	if rate, ok := c.OutputRate(); ok {
		kvs = append(kvs, keyOutputRate.Float64(rate))
	}
	if c.Engine.Known {
		kvs = append(kvs, keyQueueDuration.Float64(c.Engine.Queue.Seconds()),
			keyPrefillDuration.Float64(c.Engine.Prefill.Seconds()), keyDecodeDuration.Float64(c.Engine.Decode.Seconds()))
	}
	return kvs
}

func usageAttributes(kvs []attribute.KeyValue, c *Call, streamed bool) []attribute.KeyValue {
	for _, t := range []struct {
		key attribute.Key
		n   Tokens
	}{
		{keyInputTokens, c.Usage.Input}, {keyOutputTokens, c.Usage.Output}, {keyCacheReadTokens, c.Usage.Cached},
		{keyCacheWriteTokens, c.Usage.CacheWrite}, {keyReasoningTokens, c.Usage.Reasoning},
	} {
		if t.n.Known {
			kvs = append(kvs, t.key.Int64(t.n.N))
		}
	}
	if c.Usage.Partial {
		kvs = append(kvs, keyUsagePartial.Bool(true))
	}
	if !streamed && c.Chunks == 0 {
		return kvs
	}
	kvs = append(kvs, keyChunks.Int64(c.Chunks))
	if !c.Usage.Output.Known && c.Chunks > 0 {
		kvs = append(kvs, keyUsageEstimated.Bool(true), keyTokensEstimate.Int64(c.Chunks))
	}
	return kvs
}
