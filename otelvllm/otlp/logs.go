package otlp

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	sdklog "go.opentelemetry.io/otel/sdk/log"
)

// logProcessor puts log records into a queue.
type logProcessor struct {
	queue    *queue[sdklog.Record]
	exporter sdklog.Exporter
}

func newLogProcessor(e sdklog.Exporter, l limits, account *ledger, r *reporter) *logProcessor {
	return &logProcessor{queue: newQueue(l, account, r, nil, e.Export), exporter: e}
}

func (p *logProcessor) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

func (p *logProcessor) OnEmit(_ context.Context, r *sdklog.Record) error {
	p.queue.add(cleanRecord(r))
	return nil
}

func (p *logProcessor) ForceFlush(ctx context.Context) error { return p.queue.flush(ctx) }

func (p *logProcessor) Shutdown(ctx context.Context) error {
	err := p.queue.shutdown(ctx)
	return first(err, within(ctx, p.exporter.Shutdown))
}

// cleanRecord returns a copy of r with clean text, and its estimated size.
func cleanRecord(r *sdklog.Record) (sdklog.Record, int) {
	c := r.Clone()
	bytes := recordCost + len(c.EventName()) + len(c.SeverityText())
	if s := cleanString(c.EventName()); s != c.EventName() {
		c.SetEventName(s)
	}
	if s := cleanString(c.SeverityText()); s != c.SeverityText() {
		c.SetSeverityText(s)
	}
	body, n, same := cleanValue(c.Body(), maxStringBytes)
	bytes += n
	if !same {
		c.SetBody(body)
	}
	attrs := make([]attribute.KeyValue, 0, c.AttributesLen())
	c.WalkAttributes(func(kv attribute.KeyValue) bool {
		attrs = append(attrs, kv)
		return true
	})
	clean, n := cleanAttributes(attrs)
	bytes += n
	if !sameSlice(clean, attrs) {
		c.SetAttributes(clean...)
	}
	return c, bytes
}
