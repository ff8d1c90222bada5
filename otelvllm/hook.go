package otelvllm

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

// hook runs the user's function for ended calls; its panic must not become the request's.
func (c *core) hook(caller context.Context, span trace.Span, call Call) {
	if c.onDone == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			otel.Handle(hookError{v})
		}
	}()
	c.onDone(trace.ContextWithSpan(context.WithoutCancel(caller), span), call)
}

// hookError reports a panic of a user's hook to the OpenTelemetry error handler.
type hookError struct{ value any }

func (e hookError) Error() string {
	return fmt.Sprintf("otelvllm: the WithOnDone hook panicked: %v", e.value)
}
