// Package otlp makes OpenTelemetry providers from the OTEL_* variables of the environment, with a
// delivery that counts what it cannot send. It is the only package of the library that imports the
// OpenTelemetry SDK; a service that has providers of its own does not need it.
//
//	telemetry, err := otlp.Setup(ctx, otlp.WithServiceName("my-gateway"))
//	if err != nil {
//		return err
//	}
//	defer telemetry.Shutdown(context.Background())
//
// Unlike the SDK's batch processors, spans and log records wait in a queue bounded by bytes for as long
// as the collector does not take them: an outage loses nothing until the queue is full, and then every
// lost item is counted, in [Telemetry.Lost] and in the metric vllm.telemetry.dropped. What was made is
// what was delivered plus what was dropped, exactly.
package otlp
