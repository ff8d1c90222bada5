package otelvllm

import (
	"time"

	"github.com/otelvllm/otelvllm-go/otelvllm/inflight"
)

// waterfall lists the spans of an ended call for the registry's history.
func (l *live) waterfall() []inflight.Span {
	if l.item == nil {
		return nil
	}
	c := &l.call
	spans := make([]inflight.Span, 0, 7)
	add := func(name string, parent int, start, length time.Duration) int {
		spans = append(spans, inflight.Span{Name: name, Parent: parent, Start: l.at(start), Duration: length})
		return len(spans) - 1
	}
	root := add(c.Operation+" "+c.Model, -1, 0, c.Duration)
	if l.initDone > 0 {
		add("engine_init", root, l.initDone-c.EngineInit, c.EngineInit)
	}
	if l.generation.span == nil {
		return spans
	}
	gen := add("generation", root, l.generation.start, c.Generation)
	sent := max(l.sent, l.generation.start)
	firstToken := c.TimeToFirstToken
	if c.socket {
		firstToken = l.firstContent
	}
	if firstToken > sent {
		first := add("first_token", gen, sent, firstToken-sent)
		if c.Engine.Known {
			queued := l.queueStart(sent)
			add("queue", first, queued, c.Engine.Queue)
			add("prefill", first, queued+c.Engine.Queue, c.Engine.Prefill)
		}
	}
	if start, length, ok := l.decoding(); ok {
		add("decode", gen, start, length)
	}
	return spans
}
