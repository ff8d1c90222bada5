package otelvllm

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

// hook runs the user's functions for ended calls.
func (c *core) hook(caller context.Context, span trace.Span, call Call) {
	if len(c.onDone) == 0 {
		return
	}
	ctx := trace.ContextWithSpan(context.WithoutCancel(caller), span)
	for _, f := range c.onDone {
		safely(func() { f(ctx, call) })
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

// hookError reports a panic of a user's hook to the OpenTelemetry error handler.
type hookError struct{ value any }

func (e hookError) Error() string {
	return fmt.Sprintf("otelvllm: the WithOnDone hook panicked: %v", e.value)
}
