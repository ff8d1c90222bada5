package otelvllm

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

// hookContext returns the context that the user's functions get: what is in ctx, without its end, and the span.
func hookContext(ctx context.Context, span trace.Span) context.Context {
	return trace.ContextWithSpan(context.WithoutCancel(ctx), span)
}

// hook runs the user's functions for ended calls.
func (c *core) hook(ctx context.Context, span trace.Span, call Call) {
	if len(c.onDone) == 0 {
		return
	}
	ctx = hookContext(ctx, span)
	for _, f := range c.onDone {
		safely(func() { f(ctx, call) })
	}
}

// turn tells the user's functions whose turn it is on a WebSocket, where that has changed. The caller holds l.mu.
func (l *live) turn() {
	owes := l.answer.Owes()
	if owes == l.talk.owes {
		return
	}
	l.talk.owes = owes
	for _, f := range l.core.onIdle {
		safely(func() { f(l.caller, !owes) })
	}
}

// safely keeps a panic of a user's function from becoming the request's.
func safely(f func()) {
	defer func() {
		if v := recover(); v != nil {
			otel.Handle(hookError{v})
		}
	}()
	f()
}

// hookError reports a panic of a user's hook, or of the handler of its logger, to the OpenTelemetry error handler.
type hookError struct{ value any }

func (e hookError) Error() string {
	return fmt.Sprintf("otelvllm: a hook panicked: %v", e.value)
}
