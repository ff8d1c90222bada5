package otelvllm

import (
	"log/slog"
)

// log writes one of the lines of a call.
func (l *live) log(line string) {
	if l.core.logger == nil {
		return
	}
	safely(func() { l.write(line) })
}

func (l *live) write(line string) {
	if !l.core.logger.Enabled(l.ctx, slog.LevelInfo) {
		return
	}
	attrs := l.ids()
	c := &l.call
	switch line {
	case "engine ready":
		attrs = append(attrs, slog.Duration("took", c.EngineInit))
	case "complete":
		attrs = append(attrs, slog.String("outcome", string(c.Outcome)), slog.Duration("total", c.Duration), slog.Duration("generation", c.Generation))
		if c.ErrorType != "" {
			attrs = append(attrs, slog.String("error", c.ErrorType))
		}
		if c.Usage.Input.Known {
			attrs = append(attrs, slog.Int64("input_tokens", c.Usage.Input.N))
		}
		if c.Usage.Output.Known {
			attrs = append(attrs, slog.Int64("output_tokens", c.Usage.Output.N))
		}
		if rate, ok := c.OutputRate(); ok {
			attrs = append(attrs, slog.Float64("tokens_per_second", rate))
		}
	}
	l.core.logger.LogAttrs(l.ctx, slog.LevelInfo, line, attrs...)
}

// ids returns what every line of a call begins with.
func (l *live) ids() []slog.Attr {
	attrs := make([]slog.Attr, 0, 12)
	if l.call.TraceID.IsValid() {
		attrs = append(attrs, slog.String("trace_id", l.call.TraceID.String()), slog.String("span_id", l.call.SpanID.String()))
	}
	attrs = append(attrs, slog.String("operation", l.call.Operation))
	if l.call.Model != "" {
		attrs = append(attrs, slog.String("model", l.call.Model))
	}
	return attrs
}
